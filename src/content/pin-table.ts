/**
 * The durable table of pins: state, attempts, since when, and for a pinned one the ordered list of
 * its blocks (depth first, each block once: the same on every node, so that a challenge can name a
 * block by number). Invariant: `pinned` is committed together with the last of its list, after the
 * blocks are durable. A pin that is not done keeps its partial blocks by holds.
 */
import type { CidText, Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { PinState, PinStatus } from './api.ts';
import type { BlockKey } from './cid-text.ts';
import type { ContentDb } from './content-db.ts';

const listChunkMax = 2000;

export interface PinRow extends PinStatus {
  readonly id: number;
}

export interface PinTable {
  /** Makes sure that the pins exist; new ones start as queued. */
  ensure(cids: readonly CidText[], nowMs: Ms): PinRow[];
  find(cid: CidText): PinRow | null;
  all(): PinStatus[];
  /** Pins that are due, fresh ones (never tried) or tried ones, oldest due time first. */
  due(lane: 'fresh' | 'tried', nowMs: Ms, limit: number): PinRow[];
  /** When the next tried pin is due, or null. */
  nextDueMs(): Ms | null;
  update(id: number, change: PinChange): void;
  /** Stores the list and, in the last durable transaction, the state `pinned`. */
  complete(id: number, list: readonly BlockKey[], bytes: number, nowMs: Ms): Promise<void>;
  remove(id: number): void;
  /** The block with that number in the pin's order, or null. */
  blockAt(id: number, seq: number): BlockKey | null;
  /** The pin's blocks from `seq` on, at most `limit`. */
  blocksFrom(id: number, seq: number, limit: number): BlockKey[];
  /** Every unavailable pin becomes due within `spreadMs`. */
  hurry(nowMs: Ms, spreadMs: Ms): void;
  /** Pinned pins that list the block go back to queued. */
  requeueUsers(key: BlockKey, nowMs: Ms, why: string): PinRow[];
  /** True when a pin's list or a hold refers to the block. */
  refers(key: BlockKey): boolean;
  /** Blocks that only this holder holds and no pin lists. */
  heldOnlyBy(holder: number): BlockKey[];
}

export interface PinChange {
  state: PinState;
  sinceMs: Ms;
  attempts: number;
  nextTryMs: Ms;
  bytesDone: number;
  bytesTotal: number | null;
  blocks: number;
  lastError: string | null;
}

interface Raw {
  id: number;
  cid: string;
  state: PinState;
  since_ms: number;
  attempts: number;
  bytes_done: number;
  bytes_total: number | null;
  blocks: number;
  last_error: string | null;
}

const columns = 'id, cid, state, since_ms, attempts, bytes_done, bytes_total, blocks, last_error';

const rowOf = (raw: Raw): PinRow => ({
  id: raw.id,
  cid: raw.cid,
  state: raw.state,
  sinceMs: raw.since_ms,
  attempts: raw.attempts,
  bytesDone: raw.bytes_done,
  bytesTotal: raw.bytes_total,
  blocks: raw.blocks,
  lastError: raw.last_error,
});

/** The status without what only this room needs. */
export function statusOf(row: PinRow): PinStatus {
  const { id: _, ...status } = row;
  return status;
}

function prepareAll({ sql }: ContentDb) {
  return {
    insert: sql.prepare(
      "INSERT OR IGNORE INTO pins (cid, state, since_ms) VALUES (?, 'queued', ?)",
    ),
    find: sql.prepare(`SELECT ${columns} FROM pins WHERE cid = ?`),
    all: sql.prepare(`SELECT ${columns} FROM pins ORDER BY id`),
    due: sql.prepare(
      `SELECT ${columns} FROM pins WHERE state IN ('queued', 'failed', 'unavailable')
       AND next_try_ms <= ? AND (attempts = 0) = ? ORDER BY next_try_ms, id LIMIT ?`,
    ),
    nextDue: sql.prepare(
      `SELECT min(next_try_ms) AS at FROM pins WHERE state IN ('queued', 'failed', 'unavailable')`,
    ),
    update: sql.prepare(
      `UPDATE pins SET state = ?, since_ms = ?, attempts = ?, next_try_ms = ?, bytes_done = ?,
       bytes_total = ?, blocks = ?, last_error = ? WHERE id = ?`,
    ),
    done: sql.prepare(
      `UPDATE pins SET state = 'pinned', since_ms = ?, bytes_done = ?, bytes_total = ?, blocks = ?,
       last_error = NULL WHERE id = ?`,
    ),
    dropPin: sql.prepare('DELETE FROM pins WHERE id = ?'),
    dropList: sql.prepare('DELETE FROM pin_blocks WHERE pin = ?'),
    dropHolds: sql.prepare('DELETE FROM holds WHERE holder = ?'),
    addToList: sql.prepare(
      'INSERT INTO pin_blocks (pin, seq, block) SELECT ?, ?, id FROM blocks WHERE key = ?',
    ),
    list: sql.prepare(
      `SELECT b.key AS key FROM pin_blocks p JOIN blocks b ON b.id = p.block
       WHERE p.pin = ? AND p.seq >= ? ORDER BY p.seq LIMIT ?`,
    ),
    hurry: sql.prepare(
      `UPDATE pins SET next_try_ms = min(next_try_ms, ? + abs(random() % 1000) / 1000.0 * ?)
       WHERE state = 'unavailable'`,
    ),
    requeue: sql.prepare(
      `UPDATE pins SET state = 'queued', since_ms = ?, next_try_ms = 0, last_error = ?
       WHERE state = 'pinned' AND id IN (SELECT pin FROM pin_blocks
       WHERE block = (SELECT id FROM blocks WHERE key = ?)) RETURNING ${columns}`,
    ),
    refers: sql.prepare(
      `SELECT 1 FROM blocks b WHERE key = ? AND (
       EXISTS (SELECT 1 FROM pin_blocks WHERE block = b.id) OR
       EXISTS (SELECT 1 FROM holds WHERE block = b.id))`,
    ),
    heldOnly: sql.prepare(
      `SELECT b.key AS key FROM holds h JOIN blocks b ON b.id = h.block WHERE h.holder = ?1
       AND NOT EXISTS (SELECT 1 FROM pin_blocks WHERE block = b.id)
       AND NOT EXISTS (SELECT 1 FROM holds WHERE block = b.id AND holder <> ?1)`,
    ),
  };
}

export function createPinTable(db: ContentDb): PinTable {
  const q = prepareAll(db);
  // What was being fetched when the process ended is due again at once.
  db.sql.exec("UPDATE pins SET state = 'queued', next_try_ms = 0 WHERE state = 'fetching'");

  function find(cid: CidText): PinRow | null {
    const raw = q.find.get(cid) as Raw | undefined;
    return raw === undefined ? null : rowOf(raw);
  }

  function update(id: number, c: PinChange): void {
    q.update.run(
      c.state,
      c.sinceMs,
      c.attempts,
      c.nextTryMs,
      c.bytesDone,
      c.bytesTotal,
      c.blocks,
      c.lastError,
      id,
    );
  }

  async function complete(
    id: number,
    list: readonly BlockKey[],
    bytes: number,
    nowMs: Ms,
  ): Promise<void> {
    db.together(() => q.dropList.run(id));
    let seq = 0;
    const addOne = (key: BlockKey): void => {
      if (q.addToList.run(id, seq, key).changes !== 1)
        throw new AgentError('damaged', `block ${key} vanished while its pin was recorded`);
      seq += 1;
    };
    while (list.length - seq > listChunkMax) {
      const part = list.slice(seq, seq + listChunkMax);
      db.together(() => part.forEach(addOne));
      await new Promise((resolve) => setImmediate(resolve)); // other work goes on in between
    }
    const rest = list.slice(seq);
    db.durably(() => {
      rest.forEach(addOne);
      q.done.run(nowMs, bytes, bytes, list.length, id);
      q.dropHolds.run(id);
    });
  }

  function remove(id: number): void {
    db.durably(() => {
      q.dropList.run(id);
      q.dropHolds.run(id);
      q.dropPin.run(id);
    });
  }

  function blocksFrom(id: number, seq: number, limit: number): BlockKey[] {
    return (q.list.all(id, seq, limit) as { key: string }[]).map((row) => row.key);
  }

  return {
    ensure: (cids, nowMs) => {
      db.together(() => {
        for (const cid of cids) q.insert.run(cid, nowMs);
      });
      return cids.flatMap((cid) => find(cid) ?? []);
    },
    find,
    all: () => (q.all.all() as unknown as Raw[]).map((raw) => statusOf(rowOf(raw))),
    due: (lane, nowMs, limit) =>
      (q.due.all(nowMs, lane === 'fresh' ? 1 : 0, limit) as unknown as Raw[]).map(rowOf),
    nextDueMs: () => (q.nextDue.get() as { at: number | null }).at,
    update,
    complete,
    remove,
    blockAt: (id, seq) => (q.list.all(id, seq, 1) as { key: string }[])[0]?.key ?? null,
    blocksFrom,
    hurry: (nowMs, spreadMs) => void q.hurry.run(nowMs, spreadMs),
    requeueUsers: (key, nowMs, why) =>
      (q.requeue.all(nowMs, why, key) as unknown as Raw[]).map(rowOf),
    refers: (key) => q.refers.get(key) !== undefined,
    heldOnlyBy: (holder) => (q.heldOnly.all(holder) as { key: string }[]).map((row) => row.key),
  };
}
