/** A daemon as it is shown: supervision, its last look and its place in one plain object. */
import { existsSync } from 'node:fs';
import type { Ms } from '../base/brand.ts';
import type { Supervision } from '../supervise/api.ts';
import type { DaemonAdapter, DaemonView } from './api.ts';
import type { LookState } from './looks.ts';
import type { DaemonOptions } from './options.ts';

export interface ViewParts {
  readonly adapter: Pick<DaemonAdapter, 'type' | 'title'>;
  readonly mode: DaemonView['mode'];
  readonly supervision: Supervision;
  readonly looks: LookState;
  readonly ports: Readonly<Record<string, number>>;
  readonly url: string | null;
  readonly folder: string | null;
  readonly binary: string | null;
  readonly unenforced: readonly string[];
  readonly notes: readonly string[];
  /** What is added to monotonic time to get wall time. */
  readonly wallOffsetMs: Ms;
}

const textOf = (wallMs: Ms | null): string | null =>
  wallMs === null ? null : new Date(wallMs).toISOString();

export function viewOf(parts: ViewParts): DaemonView {
  const { adapter, supervision: s, looks, wallOffsetMs } = parts;
  const at = (monoMs: Ms | null): string | null =>
    textOf(monoMs === null ? null : monoMs + wallOffsetMs);
  const { lastFailure } = s;
  return {
    type: adapter.type,
    title: adapter.title,
    mode: parts.mode,
    desired: s.desired,
    state: s.state,
    autoHeal: s.autoHeal,
    pid: s.pid,
    adopted: s.adopted,
    ports: parts.ports,
    url: parts.url,
    folder: parts.folder,
    binary: parts.binary,
    restarts: s.restarts,
    failures: s.failures,
    cooldownMsRemaining: Math.round(s.cooldownMsRemaining),
    held: s.held,
    steady: s.steady,
    lastFailure:
      lastFailure === null
        ? null
        : { cause: lastFailure.cause, detail: lastFailure.detail, at: at(lastFailure.atMs) ?? '' },
    lastHealAt: at(s.lastHealMs),
    alertSince: at(s.alertSinceMs),
    finding: looks.finding,
    findingAt: textOf(looks.findingAtMs),
    lastCheckAt: textOf(looks.atMs),
    checkError: looks.error,
    unenforced: parts.unenforced,
    notes: parts.notes,
  };
}

/** Does an API socket of such a daemon lie in its folder? */
export const socketExists = (
  adapter: Pick<DaemonAdapter, 'sockets'>,
  folder: string,
  options: DaemonOptions,
): boolean => adapter.sockets({ folder, options }).some((path) => existsSync(path));
