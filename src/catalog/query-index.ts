/** Queries about the shared index and its full text. */
import { z } from 'zod';
import type { LogIndex, Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { decode as decodeCbor } from '../wire/cbor.ts';
import { indexTypes } from '../wire/command.ts';
import { defineQuery, pageArgs, pageOf, statement } from './query.ts';

export interface IndexRecord {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
  readonly version: LogIndex;
  readonly updatedAtMs: Ms;
}

const index = z.enum(indexTypes);

const indexRecord = (row: Record<string, unknown>): IndexRecord => ({
  key: String(row.key),
  value: decodeCbor(row.value as Uint8Array) as Record<string, unknown>,
  version: Number(row.version),
  updatedAtMs: Number(row.at_ms),
});

/** The row, or null. */
export const indexGet = defineQuery(z.object({ index, key: z.string() }), (db, args) => {
  const row = statement(db, 'SELECT * FROM index_rows WHERE type = ? AND key = ?').get(
    args.index,
    args.key,
  );
  return row === undefined ? null : indexRecord(row);
});

/** Keys in order, those with the prefix only. */
export const indexList = defineQuery(
  z.object({ index, prefix: z.string().max(512).nullable().default(null), ...pageArgs }),
  (db, args) => {
    const prefix = args.prefix ?? '';
    const { after } = args;
    if (after !== null && !after.startsWith(prefix))
      throw new AgentError('bad-request', 'query: `after` is not below the prefix');
    const { items, next } = pageOf(
      db,
      `SELECT * FROM index_rows WHERE type = ? AND key ${after === null ? '>=' : '>'} ?
       AND key < ? ORDER BY key LIMIT ?`,
      {
        args: [args.index, after ?? prefix, `${prefix}\u{10ffff}`],
        limit: args.limit,
        item: indexRecord,
        keyOf: (record) => record.key,
      },
    );
    return { entries: items, next };
  },
);

/** Rows per index. */
export const indexCounts = defineQuery(z.object({}), (db) => {
  const counts: Record<string, number> = Object.fromEntries(indexTypes.map((type) => [type, 0]));
  const rows = statement(
    db,
    "SELECT name, value FROM counters WHERE name LIKE 'index.%' ORDER BY name",
  ).all();
  for (const row of rows) counts[String(row.name).slice('index.'.length)] = Number(row.value);
  return counts;
});

/** Words of the query, each a literal: FTS5's own syntax is not for callers. */
function literalWords(text: string, mode: 'all' | 'any'): string {
  const words = text.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words
    .slice(0, 32)
    .map((word) => `"${word}"*`)
    .join(mode === 'all' ? ' AND ' : ' OR ');
}

/**
 * Full text over content_metadata, best first by BM25 (a name counts three times); ties by key.
 * `score` is higher for a better match.
 */
export const searchText = defineQuery(
  z.object({
    text: z.string().min(1).max(1000),
    mode: z.enum(['all', 'any']).default('all'),
    limit: z.int().min(1).max(200).default(20),
  }),
  (db, { text, mode, limit }) => {
    const match = literalWords(text, mode);
    if (match === '') return { hits: [] };
    const rows = statement(
      db,
      `SELECT found.score AS score, index_rows.* FROM
         (SELECT rowid AS doc, bm25(search_text, 3.0, 1.0, 1.0, 1.0) AS score FROM search_text
          WHERE search_text MATCH ? ORDER BY score, doc LIMIT ?) AS found
       CROSS JOIN search_docs ON search_docs.doc = found.doc
       CROSS JOIN index_rows ON index_rows.type = 'content_metadata'
         AND index_rows.key = search_docs.key
       ORDER BY found.score, index_rows.key`,
    ).all(match, limit);
    return { hits: rows.map((row) => ({ ...indexRecord(row), score: -Number(row.score) })) };
  },
);
