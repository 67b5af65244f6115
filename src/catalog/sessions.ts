/**
 * Exactly-once for proposers. A session is one process incarnation, opened by an entry; each of
 * its commands has a sequence. The last K sequences are kept with their results:
 * - a repeated sequence answers its stored result and changes nothing;
 * - a new sequence runs if it is above `highest - K`, in whatever order they arrive;
 * - everything else (unknown or evicted session, sequence out of the window) is `session-expired`
 *   and never runs: whether it ran before can't be known any more.
 * Sequence s lives in slot s mod K, so the window costs one row written per command.
 * Eviction goes by log index, so that every replica evicts at the same entry.
 */
import type { LogIndex, SessionId } from '../base/brand.ts';
import type { CatalogLimits } from './limits.ts';
import { createResultWindows } from './result-windows.ts';
import type { SessionRow } from './schema.ts';
import type { Tables } from './tables.ts';

export type Turn =
  | { readonly type: 'run' }
  | { readonly type: 'repeated'; readonly result: Uint8Array }
  | { readonly type: 'expired'; readonly detail: string };

export interface Sessions {
  open(id: SessionId, node: string, index: LogIndex): { ok: true } | { ok: false; detail: string };
  turn(id: SessionId, seq: number, index: LogIndex): Turn;
  /** Keeps the result of a sequence whose turn was `run`. */
  keep(id: SessionId, seq: number, index: LogIndex, result: Uint8Array): void;
  sweep(index: LogIndex): void;
  /** Writes what is only in memory; called before every commit. */
  flush(): void;
  /** Forgets what is only in memory, after a rollback or when another connection wrote. */
  reset(): void;
}

interface Live {
  row: SessionRow;
  /** What the table holds; differs from `row` while a transaction runs. */
  stored: SessionRow;
}

/** Sessions closed per sweep; each drops up to K results within one entry's 50 ms. */
const closedPerSweepMax = 2;

export function createSessions(tables: Tables, limits: CatalogLimits): Sessions {
  const { sessions, results } = tables;
  const window = limits.sessionSequencesMax;
  const live = new Map<SessionId, Live>();
  const leastUsed = sessions.select('WHERE closed = 0 ORDER BY last_index, id LIMIT 1');
  const unused = sessions.select(
    'WHERE closed = 0 AND last_index < ? ORDER BY last_index, id LIMIT ?',
  );
  const oldestClosed = sessions.select('WHERE closed = 1 ORDER BY last_index, id LIMIT 1');
  const windows = createResultWindows(results, window);

  const flush = (): void => {
    windows.flush();
    for (const session of live.values()) {
      if (session.row.last_index === session.stored.last_index) continue;
      sessions.put(session.row, session.stored);
      session.stored = { ...session.row };
    }
  };

  const find = (id: SessionId, index: LogIndex): Live | null => {
    let session = live.get(id) ?? null;
    if (session === null) {
      const row = sessions.get(id);
      if (row === null || row.closed === 1) return null;
      session = { row: { ...row }, stored: row };
      live.set(id, session);
    }
    return index - session.row.last_index > limits.sessionEntriesMax ? null : session;
  };

  const close = (row: SessionRow): void => {
    windows.remove(row.id);
    sessions.put({ ...row, closed: 1 }, row);
    live.delete(row.id);
    tables.counters.add('sessions', -1);
    tables.counters.add('sessions_closed', 1);
    if (tables.counters.get('sessions_closed') <= limits.sessionsClosedMax) return;
    const oldest = oldestClosed.get() as SessionRow | undefined;
    if (oldest === undefined) return;
    sessions.remove(oldest);
    tables.counters.add('sessions_closed', -1);
  };

  return {
    flush,
    reset: () => {
      live.clear();
      windows.reset();
    },
    open: (id, node, index) => {
      const known = sessions.get(id);
      if (known !== null) {
        if (find(id, index) !== null) return { ok: true };
        return { ok: false, detail: 'this session was evicted; open a new one' };
      }
      if (tables.counters.get('sessions') >= limits.sessionsMax) {
        flush();
        const row = leastUsed.get() as SessionRow | undefined;
        if (row !== undefined) close(row);
      }
      const row = { id, node, opened_index: index, last_index: index, seq_max: 0, closed: 0 };
      sessions.put(row, null);
      tables.counters.add('sessions', 1);
      live.set(id, { row: { ...row }, stored: row });
      return { ok: true };
    },
    turn: (id, seq, index) => {
      const session = find(id, index);
      if (session === null) return { type: 'expired', detail: 'the session is not known' };
      const highest = session.row.seq_max;
      if (seq <= highest - window)
        return { type: 'expired', detail: `sequence ${seq} is out of the session's window` };
      const kept = windows.find(id, seq);
      return kept === null ? { type: 'run' } : { type: 'repeated', result: kept };
    },
    keep: (id, seq, index, result) => {
      const session = find(id, index);
      if (session === null) return;
      windows.keep(id, seq, result);
      session.row.seq_max = Math.max(session.row.seq_max, seq);
      session.row.last_index = index;
    },
    sweep: (index) => {
      if (index <= limits.sessionEntriesMax) return;
      flush();
      const rows = unused.all(index - limits.sessionEntriesMax, closedPerSweepMax);
      for (const row of rows) close(row as SessionRow);
    },
  };
}
