/**
 * The content thread's SQLite file: which blocks are durable, which pin lists which blocks in which
 * order, and what is held for work in progress. Invariant: a row in `blocks` means that the block's
 * file and its directory entry were fsynced before the row was committed; a file without a row is
 * a leftover and never trusted. Rows go before files when blocks are deleted.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const schema = `
CREATE TABLE IF NOT EXISTS blocks (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pins (
  id INTEGER PRIMARY KEY,
  cid TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  since_ms REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try_ms REAL NOT NULL DEFAULT 0,
  bytes_done INTEGER NOT NULL DEFAULT 0,
  bytes_total INTEGER,
  blocks INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS pins_due ON pins (state, next_try_ms);
CREATE TABLE IF NOT EXISTS pin_blocks (
  pin INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  block INTEGER NOT NULL,
  PRIMARY KEY (pin, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pin_blocks_block ON pin_blocks (block);
CREATE TABLE IF NOT EXISTS holds (
  holder INTEGER NOT NULL,
  block INTEGER NOT NULL,
  PRIMARY KEY (holder, block)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_block ON holds (block);
`;

export interface ContentDb {
  readonly sql: DatabaseSync;
  /** Runs `work` in one transaction that is fsynced when this returns. */
  durably<T>(work: () => T): T;
  /** Runs `work` in one transaction that a power loss may undo as a whole. */
  together<T>(work: () => T): T;
  close(): void;
}

export function openContentDb(dir: string): ContentDb {
  const sql = new DatabaseSync(join(dir, 'content.sqlite'));
  sql.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2000;');
  sql.exec(schema);
  // Holds of adds (negative holders) belong to a process that is gone; those of pins go on.
  sql.exec('DELETE FROM holds WHERE holder < 0');

  function together<T>(work: () => T): T {
    sql.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      sql.exec('COMMIT');
      return result;
    } catch (thrown) {
      sql.exec('ROLLBACK');
      throw thrown;
    }
  }

  function durably<T>(work: () => T): T {
    sql.exec('PRAGMA synchronous = FULL');
    try {
      return together(work);
    } finally {
      sql.exec('PRAGMA synchronous = NORMAL');
    }
  }

  return { sql, durably, together, close: () => sql.close() };
}
