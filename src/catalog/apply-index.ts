/**
 * Rows of the shared index: put and remove with compare-and-set on the row's version, which is the
 * index of the entry that last changed it. `replication_state` is derived and can't be written.
 */
import { decode as decodeCbor, encode as encodeCbor } from '../wire/cbor.ts';
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import type { IndexWrite } from '../wire/index-write.ts';
import { type ApplyContext, conflict, done, expected, refused } from './apply-context.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

const derived = (context: ApplyContext): CommandResult =>
  refused(context, 'bad-request', 'replication_state is derived from the pins; it is not written');

/** A put of the bytes that are to be kept, the CBOR of its value. */
type Put = IndexWrite & { readonly value: Uint8Array };
type Remove = Omit<IndexWrite, 'value'>;

export function applyIndexPut(context: ApplyContext, command: Of<'index.put'>): CommandResult {
  return put(context, { ...command, value: encodeCbor(command.value) });
}

export function applyIndexRemove(context: ApplyContext, command: Of<'index.rm'>): CommandResult {
  return remove(context, command);
}

/** The same commands, read straight from their entry. */
export function applyIndexWrite(context: ApplyContext, write: IndexWrite): CommandResult {
  const { value } = write;
  return value === null ? remove(context, write) : put(context, { ...write, value });
}

function put(context: ApplyContext, { index: type, key, value, expectedVersion }: Put) {
  const { tables, index } = context;
  if (type === 'replication_state') return derived(context);
  const row = { type, key, version: index, at_ms: context.atMs, value };
  // Most keys are new: trying that first saves looking for the row that is not there.
  const absent = expected(expectedVersion, 0) && tables.index.insert(row);
  if (!absent) {
    const old = tables.index.get(type, key);
    if (!expected(expectedVersion, old?.version ?? 0))
      return conflict(context, `${type} ${key}`, old?.version ?? 0);
    tables.index.put(row, old);
  } else tables.counters.add(`index.${type}`, 1);
  if (type === 'content_metadata')
    tables.search.put(key, decodeCbor(value) as Record<string, unknown>);
  return done(context, index);
}

function remove(context: ApplyContext, { index: type, key, expectedVersion }: Remove) {
  const { tables } = context;
  if (type === 'replication_state') return derived(context);
  const old = tables.index.get(type, key);
  if (!expected(expectedVersion, old?.version ?? 0))
    return conflict(context, `${type} ${key}`, old?.version ?? 0);
  if (old === null) return refused(context, 'not-found', `no ${type} ${key}`);
  tables.index.remove(old);
  tables.counters.add(`index.${type}`, -1);
  if (type === 'content_metadata') tables.search.remove(key);
  return done(context, null);
}
