/**
 * The catalog of one simulated machine: the real one on an in-memory database, with what a crash
 * leaves of it. A killed process keeps everything applied; a loss of power goes back to the last
 * checkpoint, and the log must still hold what came after. A snapshot replaces everything at once.
 */
import { DatabaseSync } from 'node:sqlite';
import { assert, present } from '../base/assert.ts';
import type { LogIndex } from '../base/brand.ts';
import type { AppliedResult, Catalog } from '../catalog/api.ts';
import { openCatalog } from '../catalog/catalog.ts';
import { emptyDigest } from '../catalog/digest.ts';
import { type OperationRecords, operations } from '../catalog/query-operations.ts';
import type { Entry } from '../wire/entry.ts';

export interface Dump {
  readonly index: LogIndex;
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
}

export interface NodeCatalog {
  appliedIndex(): LogIndex;
  /** What a loss of power goes back to. */
  checkpointIndex(): LogIndex;
  apply(entries: readonly Entry[]): AppliedResult[];
  digest(): string;
  dump(): Dump;
  checkpoint(): void;
  install(dump: Dump): void;
  losePower(): void;
  /** What is drained, and the pause; as everybody asks for it. */
  operations(): OperationRecords;
  /** The version of a pin's allocation here, null when there is no such pin. */
  allocationOf(cid: string): LogIndex | null;
  /** The version of an index row here, 0 when there is none. */
  versionOf(type: string, key: string): number;
  close(): void;
}

const nothing: Dump = { index: 0, chunks: [], bytes: 0 };

/** No rollback journal: a failed apply ends the run anyway, and it costs a fifth of the time. */
function openMemory(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY');
  return db;
}

interface Opened {
  readonly db: DatabaseSync;
  readonly catalog: Catalog;
}

/** Making the tables costs more than emptying them: what one seed leaves, another one takes. */
const idle: Opened[] = [];
const idleMax = 16;

function openNew(): Opened {
  const db = openMemory();
  return { db, catalog: openCatalog(db) };
}

function openEmpty(): Opened {
  const opened = idle.pop();
  if (opened === undefined) return openNew();
  opened.catalog.restore(blank());
  assert(opened.catalog.digest() === emptyDigest, 'a catalog that is used again is empty');
  return opened;
}

function giveBack(opened: Opened): void {
  if (idle.length < idleMax) idle.push(opened);
  else opened.db.close();
}

let blankChunks: readonly Uint8Array[] | null = null;

/** The dump of a catalog that nothing was applied to. */
function blank(): readonly Uint8Array[] {
  if (blankChunks === null) {
    const { db, catalog } = openNew();
    blankChunks = [...catalog.dump()];
    db.close();
  }
  return blankChunks;
}

/**
 * `entryAt` is the history that all nodes share: a checkpoint remembers only how far it reaches,
 * and a loss of power builds that state again from the last installed snapshot.
 */
export function createNodeCatalog(entryAt: (index: LogIndex) => Entry | null): NodeCatalog {
  let opened = openEmpty();
  let { catalog } = opened;
  let row = prepareRow();
  let installed: Dump = nothing;
  let saved: LogIndex = 0;
  let applied: LogIndex = 0;

  function prepareRow() {
    return opened.db.prepare('SELECT version FROM index_rows WHERE type = ? AND key = ?');
  }
  function rebuild(): void {
    // A process that starts anew remembers nothing: this one is not used again.
    opened.db.close();
    opened = openNew();
    catalog = opened.catalog;
    row = prepareRow();
    if (installed.index > 0) catalog.restore(installed.chunks);
    const entries: Entry[] = [];
    for (let index = installed.index + 1; index <= saved; index++)
      entries.push(present(entryAt(index), `the committed entry ${index}`));
    catalog.apply(entries);
    applied = saved;
  }

  return {
    appliedIndex: () => applied,
    checkpointIndex: () => saved,
    apply: (entries) => {
      const results = catalog.apply(entries);
      applied = entries.at(-1)?.index ?? applied;
      return results;
    },
    digest: () => catalog.digest(),
    dump: () => {
      const chunks = [...catalog.dump()];
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      return { index: applied, chunks, bytes };
    },
    checkpoint: () => {
      saved = applied;
    },
    install: (next) => {
      catalog.restore(next.chunks);
      installed = next;
      saved = next.index;
      applied = catalog.appliedIndex();
    },
    losePower: () => {
      if (applied !== saved) rebuild();
    },
    operations: () => operations(opened.db, {}) as OperationRecords,
    allocationOf: (cid) => {
      const found = opened.db
        .prepare('SELECT allocation_version AS version FROM pins WHERE cid = ?')
        .get(cid);
      return found === undefined ? null : Number(found.version);
    },
    versionOf: (type, key) => {
      const found = row.get(type, key) as { version: number } | undefined;
      return found?.version ?? 0;
    },
    close: () => giveBack(opened),
  };
}

/** A catalog that only counts: for runs that are about elections alone. */
export function createBlankCatalog(): NodeCatalog {
  let applied: LogIndex = 0;
  let saved: LogIndex = 0;
  const empty = new Uint8Array(0);
  return {
    appliedIndex: () => applied,
    checkpointIndex: () => saved,
    apply: (entries) => {
      applied = entries.at(-1)?.index ?? applied;
      return entries.map(({ index }) => ({ index, result: empty }));
    },
    digest: () => '',
    dump: () => ({ index: applied, chunks: [], bytes: 0 }),
    checkpoint: () => {
      saved = applied;
    },
    install: (next) => {
      applied = next.index;
      saved = next.index;
    },
    losePower: () => {
      applied = saved;
    },
    operations: () => ({ drains: [], pause: null, stopping: null }),
    allocationOf: () => null,
    versionOf: () => 0,
    close: () => undefined,
  };
}
