/**
 * The kept results of sessions that are in use, in memory: a window of K slots per session, read
 * once from its table and written back before every commit, each changed slot once. Only so many
 * windows stay in memory; which ones has no bearing on what any command answers.
 */
import type { SessionId } from '../base/brand.ts';
import type { RowHash } from './digest.ts';
import type { SessionResultRow } from './schema.ts';
import type { Table } from './table.ts';

/** Windows that stay in memory after a commit, the last used ones. */
const windowsMax = 16;

interface Slot {
  row: SessionResultRow;
  /** What the digest holds for this slot; null: the table has no row for it. */
  stored: RowHash | null;
  dirty: boolean;
}

interface Window {
  readonly slots: Map<number, Slot>;
  readonly dirty: Slot[];
}

export interface ResultWindows {
  /** The result of exactly this sequence, or null. */
  find(session: SessionId, seq: number): Uint8Array | null;
  keep(session: SessionId, seq: number, result: Uint8Array): void;
  /** Removes every row of a session. */
  remove(session: SessionId): void;
  flush(): void;
  /** Forgets what is only in memory. */
  reset(): void;
}

export function createResultWindows(results: Table<SessionResultRow>, size: number): ResultWindows {
  const windows = new Map<SessionId, Window>();
  const resultsOf = results.select('WHERE session = ? ORDER BY slot');

  function open(session: SessionId): Window {
    const known = windows.get(session);
    if (known !== undefined) {
      if (known.dirty.length === 0) {
        windows.delete(session);
        windows.set(session, known);
      }
      return known;
    }
    const slots = new Map<number, Slot>();
    for (const found of resultsOf.all(session)) {
      const row = found as SessionResultRow;
      slots.set(row.slot, { row, stored: results.hashOf(row), dirty: false });
    }
    const window = { slots, dirty: [] };
    windows.set(session, window);
    return window;
  }

  function flushWindow({ dirty }: Window): void {
    for (const slot of dirty) {
      slot.stored = results.replace(slot.row, slot.stored);
      slot.dirty = false;
    }
    dirty.length = 0;
  }

  function flush(): void {
    const excess = windows.size - windowsMax;
    let seen = 0;
    for (const [session, window] of windows) {
      flushWindow(window);
      // The map is in the order of use.
      if (seen < excess) windows.delete(session);
      seen += 1;
    }
  }

  return {
    find: (session, seq) => {
      const row = open(session).slots.get(seq % size)?.row;
      return row?.seq === seq ? row.result : null;
    },
    keep: (session, seq, result) => {
      const window = open(session);
      const slot = seq % size;
      const row = { session, slot, seq, result };
      const known = window.slots.get(slot);
      if (known === undefined) {
        const made = { row, stored: null, dirty: true };
        window.slots.set(slot, made);
        window.dirty.push(made);
        return;
      }
      known.row = row;
      if (known.dirty) return;
      known.dirty = true;
      window.dirty.push(known);
    },
    remove: (session) => {
      const window = open(session);
      flushWindow(window);
      for (const { row } of window.slots.values()) results.remove(row);
      windows.delete(session);
    },
    flush,
    reset: () => windows.clear(),
  };
}
