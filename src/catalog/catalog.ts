/**
 * The replicated state machine. One call of `apply` is one transaction that ends with the applied
 * index, so a crash leaves the catalog at an entry's end and the log replays the rest.
 * A committed entry that can't be decoded or makes no sense is answered with a refusal and changes
 * nothing: it must not stop every replica in turn. A throw out of `apply` means trouble with the
 * disk (or a broken invariant), and leaves the state of before the call.
 */
import type { DatabaseSync } from 'node:sqlite';
import { assert } from '../base/assert.ts';
import type { LogIndex, PeerId, SessionId } from '../base/brand.ts';
import { asAgentError, type ErrorCode } from '../base/error.ts';
import {
  type CommandResult,
  decodeEnvelope,
  decodeResult,
  type Envelope,
  encodeResult,
} from '../wire/command.ts';
import { type Configuration, decodeConfiguration } from '../wire/configuration.ts';
import type { Entry } from '../wire/entry.ts';
import { type IndexWrites, readIndexWrites } from '../wire/index-write.ts';
import type { AppliedResult, Catalog } from './api.ts';
import { createApplyCommand } from './apply-command.ts';
import { type ApplyContext, done, refused } from './apply-context.ts';
import { applyConfiguration } from './apply-members.ts';
import { emptyDigest } from './digest.ts';
import { dumpState, restoreState } from './dump.ts';
import { createIdempotency } from './idempotency.ts';
import { type CatalogLimits, catalogLimits } from './limits.ts';
import { ensureSchema } from './schema.ts';
import { createSessions } from './sessions.ts';
import { createTables, recomputeDigest, type Tables } from './tables.ts';

export interface CheckedCatalog extends Catalog {
  /** The digest from scratch, by reading every row; for tests and for doctors. */
  recomputedDigest(): string;
}

const nothing = new Uint8Array(0);

export function openCatalog(
  db: DatabaseSync,
  limits: CatalogLimits = catalogLimits,
): CheckedCatalog {
  ensureSchema(db);
  const tables = createTables(db);
  const meta = createMeta(db);
  const applyEntry = createApplyEntry(db, tables, limits);
  /** What the memory of this connection belongs to; another writer makes it stale. */
  let memoryAt: LogIndex | null = null;

  const load = (): LogIndex => {
    const applied = meta.applied();
    if (memoryAt !== applied) {
      applyEntry.reset();
      tables.counters.load();
      tables.digest.load(meta.digest());
      memoryAt = applied;
    }
    return applied;
  };

  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const inTransaction = <T>(work: () => T): T => {
    begin.run();
    try {
      const result = work();
      commit.run();
      return result;
    } catch (thrown) {
      memoryAt = null;
      if (db.isTransaction) db.exec('ROLLBACK');
      throw thrown;
    }
  };

  return {
    appliedIndex: () => meta.applied(),
    digest: () => meta.digest(),
    recomputedDigest: () => recomputeDigest(tables),
    apply: (entries) => {
      if (entries.length === 0) return [];
      return inTransaction(() => {
        let applied = load();
        const results: AppliedResult[] = [];
        for (const entry of entries) {
          assert(entry.index === applied + 1, `entry ${entry.index} follows ${applied}`);
          results.push({ index: entry.index, result: applyEntry.apply(entry) });
          applied = entry.index;
        }
        applyEntry.flush();
        tables.counters.flush();
        meta.set(applied, tables.digest.text());
        memoryAt = applied;
        return results;
      });
    },
    dump: () => dumpState(db, tables, meta),
    restore: (chunks) => {
      inTransaction(() => {
        memoryAt = null;
        const restored = restoreState(tables, chunks);
        tables.rebuildDerived();
        tables.counters.flush();
        meta.set(restored.applied, restored.digest);
      });
    },
  };
}

export interface Meta {
  applied(): LogIndex;
  digest(): string;
  set(applied: LogIndex, digest: string): void;
}

function createMeta(db: DatabaseSync): Meta {
  const get = db.prepare('SELECT value FROM meta WHERE key = ?');
  const put = db.prepare(
    `INSERT INTO meta (key, value) VALUES ('applied', ?), ('digest', ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
  );
  const text = (key: string): string | null => (get.get(key)?.value as string | undefined) ?? null;
  return {
    applied: () => Number(text('applied') ?? 0),
    digest: () => text('digest') ?? emptyDigest,
    set: (applied, digest) => {
      put.run(String(applied), digest);
    },
  };
}

type Decoded =
  | { readonly type: 'config'; readonly configuration: Configuration }
  | { readonly type: 'command'; readonly envelope: Envelope }
  /** A command, too, in its commonest shape. */
  | { readonly type: 'writes'; readonly writes: IndexWrites }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly detail: string };

function decodeData(entry: Entry): Decoded {
  try {
    if (entry.kind === 'config')
      return { type: 'config', configuration: decodeConfiguration(entry.data) };
    const writes = readIndexWrites(entry.data);
    if (writes !== null) return { type: 'writes', writes };
    return { type: 'command', envelope: decodeEnvelope(entry.data) };
  } catch (thrown) {
    const { code, message } = asAgentError(thrown);
    return { type: 'refused', code, detail: message };
  }
}

interface ApplyEntry {
  apply(entry: Entry): Uint8Array;
  flush(): void;
  reset(): void;
}

function createApplyEntry(db: DatabaseSync, tables: Tables, limits: CatalogLimits): ApplyEntry {
  const sessions = createSessions(tables, limits);
  const idempotency = createIdempotency(tables, limits);
  const applyCommand = createApplyCommand(db);

  const openSession = (context: ApplyContext, id: SessionId, seq: number, node: PeerId) => {
    if (seq !== 0) return refused(context, 'bad-request', 'session.open has sequence 0');
    const opened = sessions.open(id, node, context.index);
    if (!opened.ok) return refused(context, 'session-expired', opened.detail);
    return done(context, null);
  };

  /** Runs what this sequence of the session asks for, unless it ran before. */
  const answerOnce = (
    context: ApplyContext,
    { session, seq }: Pick<Envelope, 'session' | 'seq'>,
    run: () => CommandResult,
  ): Uint8Array => {
    const refuse = (code: ErrorCode, detail: string) =>
      encodeResult(refused(context, code, detail));
    if (seq === 0) return refuse('bad-request', 'sequence 0 opens a session');
    const turn = sessions.turn(session, seq, context.index);
    if (turn.type === 'repeated') return turn.result;
    if (turn.type === 'expired') return refuse('session-expired', turn.detail);
    const result = encodeResult(run());
    sessions.keep(session, seq, context.index, result);
    return result;
  };

  const answerKeyed = (context: ApplyContext, envelope: Envelope): CommandResult => {
    const wanted = envelope.idempotency;
    if (wanted === null) return applyCommand.command(context, envelope.command);
    const known = idempotency.find(wanted.key);
    if (known !== null && known.request_hash !== wanted.requestHash)
      return refused(context, 'conflict', 'this idempotency key came with another request');
    if (known !== null) return decodeResult(known.result);
    const result = applyCommand.command(context, envelope.command);
    idempotency.keep({
      key: wanted.key,
      request_hash: wanted.requestHash,
      at_index: context.index,
      result: encodeResult(result),
    });
    return result;
  };

  const applyData = (entry: Entry): Uint8Array => {
    const context = { tables, limits, index: entry.index, atMs: 0 };
    const decoded = decodeData(entry);
    switch (decoded.type) {
      case 'refused':
        return encodeResult(refused(context, decoded.code, decoded.detail));
      case 'config':
        applyConfiguration(tables, decoded.configuration);
        return nothing;
      case 'writes': {
        const { writes } = decoded;
        const at = { ...context, atMs: writes.atMs };
        return answerOnce(at, writes, () => applyCommand.writes(at, writes));
      }
      case 'command': {
        const { envelope } = decoded;
        const { session, seq, command } = envelope;
        const at = { ...context, atMs: envelope.atMs };
        if (command.type === 'session.open')
          return encodeResult(openSession(at, session, seq, command.node));
        return answerOnce(at, envelope, () => answerKeyed(at, envelope));
      }
    }
  };

  return {
    apply: (entry) => {
      if (entry.index % limits.sweepEntries === 0) {
        sessions.sweep(entry.index);
        idempotency.sweep(entry.index);
      }
      return entry.kind === 'empty' ? nothing : applyData(entry);
    },
    flush: () => sessions.flush(),
    reset: () => sessions.reset(),
  };
}
