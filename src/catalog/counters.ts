/**
 * Small running totals (pins, pins below their minimum, rows per index, sessions, ...), so that a
 * status page never counts a million rows and evictions know when a table is full. Derived: a
 * restore recounts them. Kept in memory while a transaction runs, written before it commits.
 */
import type { DatabaseSync } from 'node:sqlite';
import { indexTypes } from '../wire/command.ts';

export interface Counters {
  get(name: string): number;
  add(name: string, delta: number): void;
  /** A copy to return to when a batch is refused. */
  mark(): ReadonlyMap<string, number>;
  returnTo(mark: ReadonlyMap<string, number>): void;
  flush(): void;
  load(): void;
  /** Counts everything again from the rows. */
  recount(): void;
}

/** Where each total comes from. */
const sources: ReadonlyMap<string, string> = new Map([
  ['members', 'members'],
  ['pins', 'pins'],
  ['pins_below_min', 'pins WHERE copies < copies_min'],
  ['pins_below_max', 'pins WHERE copies < copies_max'],
  ['pins_above_max', 'pins WHERE copies > copies_max'],
  ['tombstones', 'tombstones'],
  ['sessions', 'sessions WHERE closed = 0'],
  ['sessions_closed', 'sessions WHERE closed = 1'],
  ['idempotency', 'idempotency'],
  ['ballots', 'ballots'],
  ['takeovers', 'takeovers'],
  ['tokens', 'tokens'],
  ['revocations', 'revocations'],
  ['certificates', 'certificates'],
  ['statements.revocation', "statements WHERE kind = 'revocation'"],
  ['statements.authority', "statements WHERE kind <> 'revocation'"],
  ...indexTypes.map((type) => [`index.${type}`, `index_rows WHERE type = '${type}'`] as const),
]);

export function createCounters(db: DatabaseSync): Counters {
  let totals = new Map<string, number>();
  let changed = new Set<string>();
  const write = db.prepare(
    `INSERT INTO counters (name, value) VALUES (?, ?)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
  );
  const all = db.prepare('SELECT name, value FROM counters ORDER BY name');
  const set = (name: string, value: number): void => {
    totals.set(name, value);
    changed.add(name);
  };
  return {
    get: (name) => totals.get(name) ?? 0,
    add: (name, delta) => {
      if (delta !== 0) set(name, (totals.get(name) ?? 0) + delta);
    },
    mark: () => new Map(totals),
    returnTo: (mark) => {
      totals = new Map(mark);
    },
    flush: () => {
      for (const name of changed) write.run(name, totals.get(name) ?? 0);
      changed = new Set();
    },
    load: () => {
      totals = new Map(all.all().map((row) => [String(row.name), Number(row.value)]));
      changed = new Set();
      for (const name of sources.keys()) if (!totals.has(name)) set(name, 0);
    },
    recount: () => {
      for (const [name, from] of sources) {
        const row = db.prepare(`SELECT count(*) AS total FROM ${from}`).get();
        set(name, Number(row?.total));
      }
    },
  };
}
