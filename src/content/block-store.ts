/**
 * Blocks of this node, durable in batches. `put` hands a block to the disk lanes and returns while
 * a bounded number of bytes is under way; `flush` resolves when all that was put before is written,
 * its folders are fsynced and its rows are committed: only then may a pin be called pinned.
 * Holders (an add or a pin in progress) keep blocks from collection until they release them.
 */
import { AgentError } from '../base/error.ts';
import type { BlockFiles } from './block-files.ts';
import type { BlockKey } from './cid-text.ts';
import type { ContentDb } from './content-db.ts';

const writingBytesMax = 8 * 1024 * 1024;
const freshBlocksMax = 1024;
const freeRecheckMs = 250;

export interface BlockStore {
  has(key: BlockKey): boolean;
  bytesOf(key: BlockKey): number | null;
  get(key: BlockKey): Promise<Uint8Array>;
  /** Throws `disk-full` with numbers; a failed write fails the holder's flush as well. */
  put(holder: number, key: BlockKey, bytes: Uint8Array): Promise<void>;
  /** Keeps a block that is here already from collection. */
  hold(holder: number, key: BlockKey): void;
  flush(holder: number): Promise<void>;
  /** Like flush, but a failure of the holder's writes is not thrown: it is about to be dropped. */
  settle(holder: number): Promise<void>;
  /** Drops the holder's holds; the blocks stay until collected. */
  release(holder: number): void;
  /** Forgets a damaged or missing block, so that it is fetched again. */
  forget(key: BlockKey): Promise<void>;
  /** True while the block is being written, is held in memory only, or is being deleted. */
  busy(key: BlockKey): boolean;
  /** Deletes rows first, then files; the caller made sure that nothing refers to them. */
  remove(keys: readonly BlockKey[]): Promise<void>;
  bytesFree(): number;
  totals(): { bytes: number; blocks: number };
  /** Refuses with `disk-full` when `bytes` more would touch the reserve. */
  ensureRoom(bytes: number): void;
}

interface Fresh {
  readonly bytes: number;
  written: boolean;
  data: Uint8Array | null;
}

function diskFull(bytes: number, free: number, reserve: number, cause?: unknown): AgentError {
  const text = `${bytes} bytes do not fit: ${free} bytes free, ${reserve} bytes reserved`;
  return new AgentError('disk-full', text, { cause });
}

function isFull(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !('code' in thrown)) return false;
  return thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT';
}

export function createBlockStore(
  deps: {
    db: ContentDb;
    files: BlockFiles;
    monoMs: () => number;
    /** Free bytes of the disk, reserve included. */
    diskFree: () => number;
  },
  options: { reserveBytes: number },
): BlockStore {
  const { sql } = deps.db;
  const selectBlock = sql.prepare('SELECT bytes FROM blocks WHERE key = ?');
  const insertBlock = sql.prepare(
    `INSERT INTO blocks (key, bytes) VALUES (?, ?)
     ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes`,
  );
  const loseBlock = sql.prepare('UPDATE blocks SET bytes = -1 WHERE key = ?');
  const deleteBlock = sql.prepare('DELETE FROM blocks WHERE key = ?');
  const insertHold = sql.prepare(
    'INSERT OR IGNORE INTO holds (holder, block) SELECT ?, id FROM blocks WHERE key = ?',
  );
  const deleteHolds = sql.prepare('DELETE FROM holds WHERE holder = ?');
  const totalsRow = sql.prepare(
    'SELECT count(*) AS n, ifnull(sum(bytes), 0) AS s FROM blocks WHERE bytes >= 0',
  );

  const fresh = new Map<BlockKey, Fresh>();
  const freshHolds = new Map<number, Set<BlockKey>>();
  const heldCount = new Map<BlockKey, number>();
  const failures = new Map<number, unknown>();
  const deleting = new Map<BlockKey, Promise<void>>();
  const writes = new Set<Promise<void>>();
  let writingBytes = 0;
  let roomWaiters: (() => void)[] = [];
  let flushing: Promise<void> = Promise.resolve();
  let free = { bytes: 0, atMs: Number.NEGATIVE_INFINITY };
  const first = totalsRow.get() as { n: number; s: number };
  const totals = { blocks: first.n, bytes: first.s };

  function bytesFree(): number {
    const nowMs = deps.monoMs();
    if (nowMs - free.atMs > freeRecheckMs) {
      free = { bytes: deps.diskFree(), atMs: nowMs };
    }
    return Math.max(0, free.bytes - writingBytes - options.reserveBytes);
  }

  function ensureRoom(bytes: number): void {
    const left = bytesFree();
    if (bytes > left) throw diskFull(bytes, free.bytes - writingBytes, options.reserveBytes);
  }

  function bytesOf(key: BlockKey): number | null {
    const waiting = fresh.get(key);
    if (waiting !== undefined) return waiting.bytes;
    const row = selectBlock.get(key) as { bytes: number } | undefined;
    return row === undefined || row.bytes < 0 ? null : row.bytes;
  }

  async function get(key: BlockKey): Promise<Uint8Array> {
    const waiting = fresh.get(key);
    if (waiting?.data) return waiting.data;
    const bytes = bytesOf(key);
    if (bytes === null) throw new AgentError('not-found', `block ${key} is not here`);
    return deps.files.read(key, bytes);
  }

  function hold(holder: number, key: BlockKey): void {
    let keys = freshHolds.get(holder);
    if (keys === undefined) {
      keys = new Set();
      freshHolds.set(holder, keys);
    }
    if (keys.has(key)) return;
    keys.add(key);
    heldCount.set(key, (heldCount.get(key) ?? 0) + 1);
  }

  function dropFreshHolds(holder: number): void {
    for (const key of freshHolds.get(holder) ?? []) {
      const left = (heldCount.get(key) ?? 1) - 1;
      if (left === 0) heldCount.delete(key);
      else heldCount.set(key, left);
    }
    freshHolds.delete(holder);
  }

  async function writeOne(holder: number, key: BlockKey, entry: Fresh): Promise<void> {
    const data = entry.data as Uint8Array;
    try {
      await deps.files.write(key, data);
      entry.written = true;
    } catch (thrown) {
      fresh.delete(key);
      free.atMs = Number.NEGATIVE_INFINITY;
      const error = isFull(thrown)
        ? diskFull(data.length, bytesFree(), options.reserveBytes, thrown)
        : thrown;
      failures.set(holder, error);
    } finally {
      entry.data = null;
      writingBytes -= data.length;
      free.bytes -= data.length;
      const waiters = roomWaiters;
      roomWaiters = [];
      for (const wake of waiters) wake();
    }
  }

  async function put(holder: number, key: BlockKey, bytes: Uint8Array): Promise<void> {
    const deletion = deleting.get(key);
    if (deletion !== undefined) await deletion;
    hold(holder, key);
    if (bytesOf(key) !== null) return;
    ensureRoom(bytes.length);
    const entry: Fresh = { bytes: bytes.length, written: false, data: bytes };
    fresh.set(key, entry);
    writingBytes += bytes.length;
    const write = writeOne(holder, key, entry).finally(() => writes.delete(write));
    writes.add(write);
    if (fresh.size >= freshBlocksMax) await flush(holder);
    while (writingBytes > writingBytesMax)
      await new Promise<void>((resolve) => roomWaiters.push(resolve));
    const failure = failures.get(holder);
    if (failure !== undefined) throw failure;
  }

  async function flushNow(): Promise<void> {
    await Promise.all(writes);
    const done = [...fresh].filter(([, entry]) => entry.written);
    const holds = [...freshHolds].map(([holder, keys]) => [holder, [...keys]] as const);
    if (done.length > 0) await deps.files.syncFolders();
    deps.db.durably(() => {
      for (const [key, entry] of done) insertBlock.run(key, entry.bytes);
      for (const [holder, keys] of holds) for (const key of keys) insertHold.run(holder, key);
    });
    for (const [key, entry] of done) {
      fresh.delete(key);
      totals.blocks += 1;
      totals.bytes += entry.bytes;
    }
    // A hold whose block is still being written stays in memory until the next flush.
    for (const [holder, keys] of holds) settleHolds(holder, keys);
  }

  function settleHolds(holder: number, keys: readonly BlockKey[]): void {
    const live = freshHolds.get(holder);
    if (live === undefined) return void deleteHolds.run(holder); // released meanwhile
    for (const key of keys) {
      if (fresh.has(key) || !live.delete(key)) continue;
      const left = (heldCount.get(key) ?? 1) - 1;
      if (left === 0) heldCount.delete(key);
      else heldCount.set(key, left);
    }
  }

  function settle(): Promise<void> {
    const mine = flushing.then(flushNow, flushNow);
    flushing = mine.catch(() => undefined); // told to whoever asked for that flush
    return mine;
  }

  async function flush(holder: number): Promise<void> {
    await settle();
    const failure = failures.get(holder);
    if (failure !== undefined) throw failure;
  }

  function release(holder: number): void {
    dropFreshHolds(holder);
    failures.delete(holder);
    deleteHolds.run(holder);
  }

  /** The row stays, so that pins' lists keep naming it; its negative size says that it is lost. */
  async function forget(key: BlockKey): Promise<void> {
    const bytes = bytesOf(key);
    if (bytes === null || fresh.has(key)) return;
    deps.db.durably(() => loseBlock.run(key));
    totals.blocks -= 1;
    totals.bytes -= bytes;
    await removeFile(key);
  }

  function removeFile(key: BlockKey): Promise<void> {
    const removal = deps.files.remove(key).finally(() => deleting.delete(key));
    deleting.set(key, removal);
    return removal;
  }

  async function remove(keys: readonly BlockKey[]): Promise<void> {
    const sizes = keys.map((key) => bytesOf(key));
    deps.db.durably(() => {
      for (const key of keys) deleteBlock.run(key);
    });
    sizes.forEach((bytes) => {
      if (bytes === null) return;
      totals.blocks -= 1;
      totals.bytes -= bytes;
    });
    await Promise.all(keys.map(removeFile));
    free.atMs = Number.NEGATIVE_INFINITY;
  }

  return {
    has: (key) => bytesOf(key) !== null,
    bytesOf,
    get,
    put,
    hold,
    flush,
    settle,
    release,
    forget,
    busy: (key) => fresh.has(key) || heldCount.has(key) || deleting.has(key),
    remove,
    bytesFree,
    totals: () => ({ ...totals }),
    ensureRoom,
  };
}
