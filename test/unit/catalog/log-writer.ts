/** Builds logs for catalog tests: entries in order, sessions opened and sequences counted. */
import { DatabaseSync } from 'node:sqlite';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { type CatalogLimits, catalogLimits } from '../../../src/catalog/limits.ts';
import {
  type Command,
  type CommandResult,
  decodeResult,
  type Envelope,
  encodeEnvelope,
} from '../../../src/wire/command.ts';
import { type Configuration, encodeConfiguration } from '../../../src/wire/configuration.ts';
import { chainStart, type Entry, type EntryKind, makeEntry } from '../../../src/wire/entry.ts';

export const epoch = 'e'.repeat(32);
export const sessionA = 'a'.repeat(32);
export const sessionB = 'b'.repeat(32);
export const cidOf = (n: number): string => `bafkreitest${String(n).padStart(8, '0')}`;

export function createLogWriter() {
  let index = 0;
  let previousHash = chainStart;
  const sequences = new Map<string, number>();
  const raw = (kind: EntryKind, data: Uint8Array): Entry => {
    index++;
    const entry = makeEntry({ previousHash, epoch, index, term: 1, kind, data });
    previousHash = entry.hash;
    return entry;
  };
  const envelope = (command: Command, extra: Partial<Envelope> = {}): Entry => {
    const session = extra.session ?? sessionA;
    const next = (sequences.get(session) ?? 0) + 1;
    const seq = extra.seq ?? (command.type === 'session.open' ? 0 : next);
    if (extra.seq === undefined && seq > 0) sequences.set(session, seq);
    const data = encodeEnvelope({
      v: 1,
      session,
      seq,
      atMs: 1_700_000_000_000 + index,
      idempotency: null,
      command,
      ...extra,
    });
    return raw('command', data);
  };
  return {
    raw,
    command: envelope,
    open: (session = sessionA) =>
      envelope({ type: 'session.open', node: 'peer-1' }, { session, seq: 0 }),
    config: (configuration: Configuration) => raw('config', encodeConfiguration(configuration)),
    index: () => index,
  };
}

/** A catalog in memory with its log; `run` appends a command and answers its result. */
export function createBench(limits: Partial<CatalogLimits> = {}) {
  const db = new DatabaseSync(':memory:');
  const catalog = openCatalog(db, { ...catalogLimits, ...limits });
  const log = createLogWriter();
  const entries: Entry[] = [];
  const apply = (entry: Entry): CommandResult | null => {
    entries.push(entry);
    const [applied] = catalog.apply([entry]);
    return applied === undefined || applied.result.length === 0
      ? null
      : decodeResult(applied.result);
  };
  const run = (command: Command, extra: Partial<Envelope> = {}): CommandResult => {
    const result = apply(log.command(command, extra));
    if (result === null) throw new Error('a command has a result');
    return result;
  };
  apply(log.open());
  return { db, catalog, log, entries, apply, run };
}

export const put = (key: string, value: Record<string, unknown>, expectedVersion?: number) =>
  ({
    type: 'index.put',
    index: 'knowledge_graph',
    key,
    value,
    expectedVersion: expectedVersion ?? null,
  }) satisfies Command;

export const pin = (cid: string, min = 2, max = 3, expectedVersion: number | null = null) =>
  ({
    type: 'pin.put',
    cid,
    name: `pin ${cid}`,
    bytes: 1000,
    blocks: 1,
    min,
    max,
    labels: {},
    expiresAtMs: null,
    expectedVersion,
  }) satisfies Command;

export const allocate = (
  cid: string,
  peers: string[],
  expectedVersion: number,
  reliesOn: string[] = [],
) =>
  ({
    type: 'allocation.set',
    cid,
    peers,
    expectedVersion,
    reliesOn,
    term: 1,
    reason: 'test',
  }) satisfies Command;
