/** Reads what the nodes logged about themselves: when they acted, which orders they executed. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { ActingRecord, OrderRecord } from './acting.ts';

const acting = z.object({
  msg: z.literal('acting-changed'),
  node: z.string(),
  acting: z.boolean(),
  term: z.int(),
  machineMs: z.number(),
});
const order = z.object({
  msg: z.literal('order-executed'),
  node: z.string(),
  epoch: z.string(),
  term: z.int(),
  fence: z.int(),
});
const elected = z.object({
  msg: z.literal('state-changed'),
  node: z.string(),
  state: z.literal('leader'),
  term: z.int(),
});
const fatal = z.object({ level: z.literal(60), node: z.string(), msg: z.string() });

export interface Logged {
  readonly acting: readonly ActingRecord[];
  readonly orders: readonly OrderRecord[];
  /** Terms in which somebody was elected. */
  readonly terms: readonly number[];
  /** Broken invariants. */
  readonly fatal: readonly string[];
}

export function readLogs(files: readonly string[]): Logged {
  const found = {
    acting: [] as ActingRecord[],
    orders: [] as OrderRecord[],
    terms: [] as number[],
    fatal: [] as string[],
  };
  for (const file of files)
    for (const text of readFileSync(file, 'utf8').split('\n')) {
      if (!text.startsWith('{')) continue;
      let line: unknown;
      try {
        line = JSON.parse(text);
      } catch {
        // A line that a kill cut short.
        continue;
      }
      const acts = acting.safeParse(line).data;
      if (acts) found.acting.push({ ...acts, atMs: acts.machineMs });
      const executed = order.safeParse(line).data;
      if (executed) found.orders.push(executed);
      const leads = elected.safeParse(line).data;
      if (leads) found.terms.push(leads.term);
      const broken = fatal.safeParse(line).data;
      if (broken) found.fatal.push(`${broken.node}: ${text.slice(0, 600)}`);
    }
  return found;
}
