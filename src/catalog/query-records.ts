/** Queries about members, elections and totals. */
import { z } from 'zod';
import type { LogIndex } from '../base/brand.ts';
import { decode as decodeCbor } from '../wire/cbor.ts';
import type { Certificate } from '../wire/member.ts';
import { defineQuery, pageArgs, statement } from './query.ts';

export interface MemberRecord {
  readonly certificate: Certificate;
  readonly voter: boolean;
  /** In the old half of a joint change. */
  readonly outgoing: boolean;
}

export interface CatalogStats {
  readonly appliedIndex: LogIndex;
  readonly digest: string;
  /** Running totals by name: pins, pins_below_min, pins_below_max, pins_above_max, ... */
  readonly counts: Readonly<Record<string, number>>;
}

/** Every member, by peer id; a cluster has at most 1000. */
export const membersList = defineQuery(z.object({}), (db) => ({
  members: statement(db, 'SELECT * FROM members ORDER BY peer')
    .all()
    .map(
      (row): MemberRecord => ({
        certificate: decodeCbor(row.certificate as Uint8Array) as Certificate,
        voter: row.voter === 1,
        outgoing: row.outgoing === 1,
      }),
    ),
}));

/** Newest terms first; `after` is the lowest term of the page before. */
export const ballotsList = defineQuery(z.object(pageArgs), (db, { after, limit }) => {
  const below = after === null ? Number.MAX_SAFE_INTEGER : Number(after) || 0;
  const rows = statement(db, 'SELECT * FROM ballots WHERE term < ? ORDER BY term DESC LIMIT ?').all(
    below,
    limit + 1,
  );
  const ballots = rows.slice(0, limit).map((row) => ({
    term: Number(row.term),
    index: Number(row.at_index),
    atMs: Number(row.at_ms),
    ballot: decodeCbor(row.ballot as Uint8Array),
  }));
  const last = ballots.at(-1);
  return { ballots, next: rows.length > limit && last ? String(last.term) : null };
});

/** The winner's ballot of one term, or null. */
export const ballotsGet = defineQuery(z.object({ term: z.int().min(0) }), (db, { term }) => {
  const row = statement(db, 'SELECT * FROM ballots WHERE term = ?').get(term);
  return row === undefined ? null : decodeCbor(row.ballot as Uint8Array);
});

/** Newest first. */
export const takeoversList = defineQuery(z.object({ limit: pageArgs.limit }), (db, { limit }) => ({
  takeovers: statement(db, 'SELECT * FROM takeovers ORDER BY at_index DESC LIMIT ?')
    .all(limit)
    .map((row) => ({
      index: Number(row.at_index),
      atMs: Number(row.at_ms),
      record: decodeCbor(row.record as Uint8Array),
    })),
}));

export const stats = defineQuery(z.object({}), (db): CatalogStats => {
  const meta = new Map(
    statement(db, 'SELECT key, value FROM meta ORDER BY key')
      .all()
      .map((row) => [row.key, String(row.value)]),
  );
  const counts = statement(db, 'SELECT name, value FROM counters ORDER BY name')
    .all()
    .map((row) => [String(row.name), Number(row.value)] as const);
  return {
    appliedIndex: Number(meta.get('applied') ?? 0),
    digest: meta.get('digest') ?? '',
    counts: Object.fromEntries(counts),
  };
});
