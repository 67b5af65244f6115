/** Queries about pins, their allocations and what was removed. */
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { CidText, LogIndex, Ms, PeerId } from '../base/brand.ts';
import { defineQuery, pageArgs, pageLimitMax, pageOf, statement } from './query.ts';
import type { PinRow } from './schema.ts';

/** A pin with its policy and its allocation, as queries answer it. */
export interface PinRecord {
  readonly cid: CidText;
  readonly name: string;
  readonly bytes: number | null;
  readonly blocks: number | null;
  readonly min: number;
  readonly max: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly expiresAtMs: Ms | null;
  /** Version of the policy. */
  readonly version: LogIndex;
  readonly createdIndex: LogIndex;
  readonly createdAtMs: Ms;
  readonly allocation: {
    readonly peers: readonly PeerId[];
    /** 0: never allocated. */
    readonly version: LogIndex;
    /** Verified copies, all allocated, that the last change of the allocation relied on. */
    readonly reliesOn: readonly PeerId[];
    readonly term: number;
    readonly reason: string;
  };
}

export interface Tombstone {
  readonly cid: CidText;
  readonly removedIndex: LogIndex;
  readonly removedAtMs: Ms;
}

/**
 * Whether this committed state lets a node drop a copy that it holds: it is not allocated to it,
 * and the entry that last set the allocation relied on at least `min` verified copies elsewhere.
 */
export function mayDrop(pin: PinRecord, peer: PeerId): boolean {
  const { peers, reliesOn } = pin.allocation;
  return !peers.includes(peer) && reliesOn.length >= Math.max(1, pin.min);
}

const cid = z.string().min(1).max(128);
/** Characters sort after every CID; the least string above a prefix. */
const above = (prefix: string): string => `${prefix}\u{10ffff}`;

function pinRecord(raw: Record<string, unknown>): PinRecord {
  const row = raw as PinRow;
  return {
    cid: row.cid,
    name: row.name,
    bytes: row.bytes,
    blocks: row.blocks,
    min: row.copies_min,
    max: row.copies_max,
    labels: JSON.parse(row.labels) as Record<string, string>,
    expiresAtMs: row.expires_at_ms,
    version: row.version,
    createdIndex: row.created_index,
    createdAtMs: row.created_at_ms,
    allocation: {
      peers: JSON.parse(row.peers) as PeerId[],
      version: row.allocation_version,
      reliesOn: JSON.parse(row.relies_on) as PeerId[],
      term: row.allocation_term,
      reason: row.allocation_reason,
    },
  };
}

/** `state` picks pins by how many copies are allocated, against their policy. */
export const pinsList = defineQuery(
  z.object({
    ...pageArgs,
    state: z.enum(['all', 'below-min', 'below-max', 'above-max']).default('all'),
  }),
  (db, { after, limit, state }) => {
    const condition = {
      all: '',
      'below-min': 'AND copies < copies_min',
      'below-max': 'AND copies < copies_max',
      'above-max': 'AND copies > copies_max',
    }[state];
    const { items, next } = pageOf(
      db,
      `SELECT * FROM pins WHERE cid > ? ${condition} ORDER BY cid LIMIT ?`,
      { args: [after ?? ''], limit, item: pinRecord, keyOf: (pin) => pin.cid },
    );
    return { pins: items, next };
  },
);

function pinOf(db: DatabaseSync, wanted: CidText): PinRecord | null {
  const row = statement(db, 'SELECT * FROM pins WHERE cid = ?').get(wanted);
  return row === undefined ? null : pinRecord(row);
}

/** The pin, or null. */
export const pinsGet = defineQuery(z.object({ cid }), (db, args) => pinOf(db, args.cid));

/** One item per asked CID, in the order asked; null where there is no pin. */
export const pinsGetMany = defineQuery(
  z.object({ cids: z.array(cid).max(pageLimitMax) }),
  (db, args) => ({ pins: args.cids.map((one) => pinOf(db, one)) }),
);

/** How many pins name this peer in their allocation. */
export const allocationsCount = defineQuery(z.object({ peer: z.string() }), (db, { peer }) => {
  const row = statement(db, 'SELECT count(*) AS total FROM allocated WHERE peer = ?').get(peer);
  return { count: Number(row?.total ?? 0) };
});

/** Pins whose time is over at `atMs`, oldest first. */
export const pinsExpired = defineQuery(
  z.object({ atMs: z.number(), limit: pageArgs.limit }),
  (db, { atMs, limit }) => ({
    pins: statement(
      db,
      `SELECT * FROM pins WHERE expires_at_ms IS NOT NULL AND expires_at_ms <= ?
       ORDER BY expires_at_ms, cid LIMIT ?`,
    )
      .all(atMs, limit)
      .map(pinRecord),
  }),
);

/** What one peer is to hold, by CID. */
export const allocationsForPeer = defineQuery(
  z.object({ ...pageArgs, peer: z.string().min(1).max(128) }),
  (db, { peer, after, limit }) => {
    const { items, next } = pageOf(
      db,
      `SELECT pins.* FROM allocated CROSS JOIN pins ON pins.cid = allocated.cid
       WHERE allocated.peer = ? AND allocated.cid > ? ORDER BY allocated.cid LIMIT ?`,
      { args: [peer, after ?? ''], limit, item: pinRecord, keyOf: (pin) => pin.cid },
    );
    return { pins: items, next };
  },
);

const tombstone = (row: Record<string, unknown>): Tombstone => ({
  cid: String(row.cid),
  removedIndex: Number(row.removed_index),
  removedAtMs: Number(row.removed_at_ms),
});

/** The committed removal of a pin that is not there any more, or null. */
export const tombstonesGet = defineQuery(z.object({ cid }), (db, args) => {
  const row = statement(db, 'SELECT * FROM tombstones WHERE cid = ?').get(args.cid);
  return row === undefined ? null : tombstone(row);
});

/** Removed pins above log index `above`, oldest first; level-triggered readers keep the index. */
export const tombstonesList = defineQuery(
  z.object({ above: z.int().min(0).default(0), ...pageArgs }),
  (db, args) => {
    const [index, after] = args.after === null ? [args.above, above('')] : splitCursor(args.after);
    const { items, next } = pageOf(
      db,
      `SELECT * FROM tombstones WHERE (removed_index, cid) > (?, ?)
       ORDER BY removed_index, cid LIMIT ?`,
      {
        args: [index, after],
        limit: args.limit,
        item: tombstone,
        keyOf: (one) => `${one.removedIndex} ${one.cid}`,
      },
    );
    return { tombstones: items, next };
  },
);

function splitCursor(cursor: string): [number, string] {
  const space = cursor.indexOf(' ');
  return [Number(cursor.slice(0, space)) || 0, cursor.slice(space + 1)];
}
