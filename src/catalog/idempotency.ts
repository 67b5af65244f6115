/**
 * One cluster-wide table of HTTP idempotency keys, so that a request repeated through another node
 * gets its first answer. The same key with another request is a conflict. Bounded, evicted by log
 * index.
 */
import type { LogIndex } from '../base/brand.ts';
import type { CatalogLimits } from './limits.ts';
import type { IdempotencyRow } from './schema.ts';
import type { Tables } from './tables.ts';

export interface Idempotency {
  find(key: string): IdempotencyRow | null;
  keep(row: IdempotencyRow): void;
  sweep(index: LogIndex): void;
}

const droppedPerSweepMax = 256;

export function createIdempotency(tables: Tables, limits: CatalogLimits): Idempotency {
  const { idempotency, counters } = tables;
  const oldest = idempotency.select('ORDER BY at_index, key LIMIT 1');
  const old = idempotency.select('WHERE at_index < ? ORDER BY at_index, key LIMIT ?');
  const drop = (row: IdempotencyRow): void => {
    idempotency.remove(row);
    counters.add('idempotency', -1);
  };
  return {
    find: (key) => idempotency.get(key),
    keep: (row) => {
      idempotency.put(row, null);
      counters.add('idempotency', 1);
      if (counters.get('idempotency') > limits.idempotencyKeysMax)
        drop(oldest.get() as IdempotencyRow);
    },
    sweep: (index) => {
      if (index <= limits.idempotencyEntriesMax) return;
      const rows = old.all(index - limits.idempotencyEntriesMax, droppedPerSweepMax);
      for (const row of rows) drop(row as IdempotencyRow);
    },
  };
}
