/**
 * The code of the catalog's threads. The writer owns the only connection that changes the catalog;
 * readers have read-only connections of their own, and every query sees one state and says which.
 * A thread does one thing at a time, in the order asked; nothing here is ever waited for by the
 * event loop that carries heartbeats.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../base/assert.ts';
import { AgentError } from '../base/error.ts';
import { type CheckedCatalog, openCatalog } from '../catalog/catalog.ts';
import { queries } from '../catalog/queries.ts';
import { unpackEntries } from '../wire/entry-block.ts';
import {
  type Asked,
  failed,
  packResults,
  type Request,
  transferOf,
  type WorkerInput,
} from './catalog-protocol.ts';
import { readSnapshot, syncPath, writeSnapshot } from './snapshot-file.ts';

interface Connection {
  readonly db: DatabaseSync;
  readonly catalog: CheckedCatalog;
}

const busyTimeoutMs = 5000;

function openWriter(path: string): Connection {
  const db = new DatabaseSync(path, {
    timeout: busyTimeoutMs,
    enableForeignKeyConstraints: false,
  });
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = NORMAL');
  db.exec('PRAGMA cache_size = -8000');
  db.exec('PRAGMA journal_size_limit = 67108864');
  return { db, catalog: openCatalog(db) };
}

function openReader(path: string): Connection {
  const db = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  db.exec('PRAGMA cache_size = -4000');
  return { db, catalog: openCatalog(db) };
}

/** One state for everything that `work` reads. */
function reading<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN');
  try {
    return work();
  } finally {
    if (db.isTransaction) db.exec('COMMIT');
  }
}

/**
 * What was committed is durable afterwards: SQLite syncs only what it copies, and a reader may keep
 * it from copying all, so both files are synced here.
 */
function checkpoint({ db, catalog }: Connection, path: string): number {
  const index = catalog.appliedIndex();
  db.exec('PRAGMA wal_checkpoint(PASSIVE)');
  for (const name of [`${path}-wal`, path]) {
    if (!existsSync(name)) continue;
    const file = openSync(name, 'r+');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
  syncPath(dirname(path));
  return index;
}

/** SQLite keeps no checksums: the digest over all rows tells whether they are what was written. */
function verify({ db, catalog }: Connection, path: string): void {
  reading(db, () => {
    const rows = db.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[];
    const found = rows[0]?.integrity_check ?? 'no answer';
    if (found !== 'ok') throw new AgentError('damaged', `${path}: ${found}`);
    const [kept, counted] = [catalog.digest(), catalog.recomputedDigest()];
    if (kept !== counted)
      throw new AgentError('damaged', `${path}: the rows have digest ${counted}, not ${kept}`);
  });
}

function removeDatabase(path: string): void {
  for (const name of [path, `${path}-wal`, `${path}-shm`]) rmSync(name, { force: true });
}

/** A new database file with the snapshot's state, durable before anything points at it. */
function restore(snapshot: string, path: string): number {
  removeDatabase(path);
  const fresh = openWriter(path);
  try {
    readSnapshot(snapshot, (index, chunks) => {
      fresh.catalog.restore(chunks);
      const applied = fresh.catalog.appliedIndex();
      if (applied !== index)
        throw new AgentError('damaged', `snapshot ${snapshot} says ${index} and holds ${applied}`);
    });
    fresh.db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    return checkpoint(fresh, path);
  } catch (thrown) {
    fresh.db.close();
    removeDatabase(path);
    throw thrown;
  } finally {
    if (fresh.db.isOpen) fresh.db.close();
  }
}

function createThread(input: WorkerInput) {
  let path = input.path;
  let connection: Connection | null = null;
  const open = (at: string) => {
    connection?.db.close();
    path = at;
    connection = input.role === 'writer' ? openWriter(path) : openReader(path);
    return { appliedIndex: connection.catalog.appliedIndex() };
  };
  const query = ({ db, catalog }: Connection, name: string, args: unknown) => {
    const run = queries[name];
    if (run === undefined) throw new AgentError('bad-request', `no catalog query '${name}'`);
    return reading(db, () => {
      const appliedIndex = catalog.appliedIndex();
      return { value: run(db, args), appliedIndex };
    });
  };
  const snapshot = ({ db, catalog }: Connection, dir: string) =>
    reading(db, () => {
      const index = catalog.appliedIndex();
      return writeSnapshot(join(dir, `${index}-${randomUUID()}.snapshot`), index, catalog.dump());
    });
  return (request: Request): unknown => {
    if (request.type === 'open') return open(input.path);
    if (request.type === 'switch') return open(request.path);
    if (request.type === 'restore') return restore(request.snapshot, request.path);
    const now = present(connection, 'an open catalog');
    switch (request.type) {
      case 'apply':
        return packResults(now.catalog.apply(unpackEntries(request.block, request.previousIndex)));
      case 'digest':
        return now.catalog.digest();
      case 'checkpoint':
        return checkpoint(now, path);
      case 'verify':
        return verify(now, path);
      case 'query':
        return query(now, request.name, request.args);
      case 'snapshot':
        return snapshot(now, request.dir);
      case 'close':
        if (input.role === 'writer') checkpoint(now, path);
        return now.db.close();
    }
  };
}

const port = present(parentPort, 'the port to the main thread');
const answer = createThread(workerData as WorkerInput);
port.on('message', ({ id, request }: Asked) => {
  try {
    const value = answer(request);
    const transfer = value instanceof Uint8Array ? transferOf(value) : [];
    port.postMessage({ id, ok: true, value }, transfer);
  } catch (thrown) {
    port.postMessage(failed(id, thrown));
  }
});
