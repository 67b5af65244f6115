/** What the named queries share: checked arguments, statements prepared once per connection. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { firstIssues } from '../wire/checked.ts';

export type Query = (db: DatabaseSync, args: unknown) => unknown;

/** A query whose arguments are checked against its schema first. */
export function defineQuery<S extends z.ZodType>(
  schema: S,
  answer: (db: DatabaseSync, args: z.output<S>) => unknown,
): Query {
  return (db, args) => {
    const parsed = schema.safeParse(args ?? {});
    if (!parsed.success) throw new AgentError('bad-request', `query: ${firstIssues(parsed.error)}`);
    return answer(db, parsed.data);
  };
}

const prepared = new WeakMap<DatabaseSync, Map<string, StatementSync>>();

/** Only for texts that are fixed in the source: the cache keeps every one of them. */
export function statement(db: DatabaseSync, sql: string): StatementSync {
  let known = prepared.get(db);
  if (known === undefined) {
    known = new Map();
    prepared.set(db, known);
  }
  let found = known.get(sql);
  if (found === undefined) {
    found = db.prepare(sql);
    known.set(sql, found);
  }
  return found;
}

export const pageLimitMax = 1000;
export const pageArgs = {
  after: z.string().max(1024).nullable().default(null),
  limit: z.int().min(1).max(pageLimitMax).default(100),
};

export interface Page<T> {
  readonly items: T[];
  /** Ask with it as `after`; null: this was the last page. */
  readonly next: string | null;
}

/** Runs `sql` with a limit of one more than asked, which tells whether there is a next page. */
export function pageOf<T>(
  db: DatabaseSync,
  sql: string,
  options: {
    readonly args: readonly SQLInputValue[];
    readonly limit: number;
    readonly item: (row: Record<string, unknown>) => T;
    readonly keyOf: (item: T) => string;
  },
): Page<T> {
  const rows = statement(db, sql).all(...options.args, options.limit + 1);
  const items = rows.slice(0, options.limit).map((row) => options.item(row));
  const last = items.at(-1);
  const more = rows.length > options.limit && last !== undefined;
  return { items, next: more ? options.keyOf(last) : null };
}
