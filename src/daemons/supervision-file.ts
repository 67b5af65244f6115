/**
 * What supervision remembers over restarts of the agent: what a person wants, whether it is healed,
 * and when that last happened, by wall time, so that a cool-down outlives the agent.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { SuperviseRecord } from '../supervise/api.ts';
import { readJson, writeWhole } from './process.ts';

const fileSchema = z.object({
  desired: z.enum(['started', 'stopped']),
  autoHeal: z.boolean(),
  /** What the configuration said when `autoHeal` was stored: a changed configuration wins. */
  configured: z.boolean(),
  failures: z.int().min(0),
  restarts: z.int().min(0),
  lastHealAt: z.number().nullable(),
});

export interface SupervisionFile {
  restored(): SuperviseRecord;
  /** Writes if anything changed since the last time. */
  save(record: SuperviseRecord): void;
}

export function createSupervisionFile(
  folder: string,
  configured: boolean,
  clock: Clock,
): SupervisionFile {
  const path = join(folder, 'supervision.json');
  /** What is added to this run's monotonic time to get wall time. */
  const offsetMs = clock.wallMs() - clock.now().monoMs;
  let last: string | null = null;
  return {
    restored: () => {
      const stored = readJson(path, fileSchema);
      if (stored === null)
        return {
          desired: 'started',
          autoHeal: configured,
          failures: 0,
          restarts: 0,
          lastHealMs: null,
        };
      const { lastHealAt, desired, failures, restarts } = stored;
      const autoHeal = stored.configured === configured ? stored.autoHeal : configured;
      // A clock that was set back must not stretch the cool-down.
      const healedAt = lastHealAt === null ? null : Math.min(lastHealAt, clock.wallMs());
      const lastHealMs = healedAt === null ? null : healedAt - offsetMs;
      return { desired, autoHeal, failures, restarts, lastHealMs };
    },
    save: (record) => {
      const { lastHealMs, ...kept } = record;
      const lastHealAt = lastHealMs === null ? null : Math.round(lastHealMs + offsetMs);
      const text = JSON.stringify({ ...kept, configured, lastHealAt });
      if (text === last) return;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeWhole(path, text);
      last = text;
    },
  };
}
