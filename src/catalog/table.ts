/**
 * One state table: every write goes through here, so the digest follows the rows by construction.
 * Statements are prepared once. Callers hand in the old row where they know it; a write that gets
 * a wrong old row would spoil the digest, which the tests recompute from the rows.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { RowHash, SetDigest, SqlValue } from './digest.ts';

export interface TableSpec {
  readonly name: string;
  readonly key: readonly string[];
  /** All columns, in the order of dumps and digests. */
  readonly columns: readonly string[];
}

export type Row = Record<string, SqlValue>;

export interface Table<R extends Row> {
  readonly spec: TableSpec;
  get(...key: SqlValue[]): R | null;
  /** Inserts or replaces; `old` is the row that is there now, or null. */
  put(row: R, old: R | null): void;
  /** Inserts where no row with this key is; false: there is one, and nothing was done. */
  insert(row: R): boolean;
  /** Inserts or replaces; `old` is the hash of the row that is there. Answers the new one's. */
  replace(row: R, old: RowHash | null): RowHash;
  /** What the digest counts for a row. */
  hashOf(row: R): RowHash;
  remove(old: R): void;
  /** Every row in key order. */
  rows(): IterableIterator<R>;
  /** Rows of a condition, which must end in ORDER BY. */
  select(where: string): StatementSync;
  valuesOf(row: R): SqlValue[];
  clear(): void;
}

const list = (names: readonly string[]): string => names.join(', ');

export function createTable<R extends Row>(
  db: DatabaseSync,
  digest: SetDigest,
  spec: TableSpec,
): Table<R> {
  const { name, key, columns } = spec;
  const condition = key.map((column) => `${column} = ?`).join(' AND ');
  const rest = columns.filter((column) => !key.includes(column));
  const update = rest.map((column) => `${column} = excluded.${column}`).join(', ');
  const marks = list(columns.map(() => '?'));
  const onConflict = update === '' ? 'DO NOTHING' : `DO UPDATE SET ${update}`;
  const getOne = db.prepare(`SELECT ${list(columns)} FROM ${name} WHERE ${condition}`);
  const upsert = db.prepare(
    `INSERT INTO ${name} (${list(columns)}) VALUES (${marks})
     ON CONFLICT (${list(key)}) ${onConflict}`,
  );
  const insertOne = db.prepare(
    `INSERT INTO ${name} (${list(columns)}) VALUES (${marks}) ON CONFLICT DO NOTHING`,
  );
  const removeOne = db.prepare(`DELETE FROM ${name} WHERE ${condition}`);
  const all = db.prepare(`SELECT ${list(columns)} FROM ${name} ORDER BY ${list(key)}`);
  const valuesOf = (row: R): SqlValue[] => columns.map((column) => row[column] as SqlValue);
  return {
    spec,
    valuesOf,
    get: (...wanted) => (getOne.get(...wanted) as R | undefined) ?? null,
    hashOf: (row) => digest.hashOf(name, valuesOf(row)),
    put: (row, old) => {
      const values = valuesOf(row);
      if (old !== null) digest.remove(digest.hashOf(name, valuesOf(old)));
      digest.add(digest.hashOf(name, values));
      upsert.run(...values);
    },
    insert: (row) => {
      const values = valuesOf(row);
      if (insertOne.run(...values).changes === 0) return false;
      digest.add(digest.hashOf(name, values));
      return true;
    },
    replace: (row, old) => {
      const values = valuesOf(row);
      const hash = digest.hashOf(name, values);
      if (old !== null) digest.remove(old);
      digest.add(hash);
      upsert.run(...values);
      return hash;
    },
    remove: (old) => {
      digest.remove(digest.hashOf(name, valuesOf(old)));
      removeOne.run(...key.map((column) => old[column] as SqlValue));
    },
    rows: () => all.iterate() as IterableIterator<R>,
    select: (where) => db.prepare(`SELECT ${list(columns)} FROM ${name} ${where}`),
    clear: () => db.exec(`DELETE FROM ${name}`),
  };
}
