/**
 * Rows of the shared index: put and remove with compare-and-set on the row's version, which is the
 * index of the entry that last changed it. `replication_state` is derived and can't be written.
 */
import { encode as encodeCbor } from '../wire/cbor.ts';
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, conflict, done, expected, refused } from './apply-context.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

const derived = (context: ApplyContext): CommandResult =>
  refused(context, 'bad-request', 'replication_state is derived from the pins; it is not written');

export function applyIndexPut(context: ApplyContext, command: Of<'index.put'>): CommandResult {
  const { tables, index } = context;
  const { index: type, key } = command;
  if (type === 'replication_state') return derived(context);
  const old = tables.index.get(type, key);
  if (!expected(command.expectedVersion, old?.version ?? 0))
    return conflict(context, `${type} ${key}`, old?.version ?? 0);
  const value = encodeCbor(command.value);
  tables.index.put({ type, key, version: index, at_ms: context.atMs, value }, old);
  if (old === null) tables.counters.add(`index.${type}`, 1);
  if (type === 'content_metadata') tables.search.put(key, command.value);
  return done(context, index);
}

export function applyIndexRemove(context: ApplyContext, command: Of<'index.rm'>): CommandResult {
  const { tables } = context;
  const { index: type, key } = command;
  if (type === 'replication_state') return derived(context);
  const old = tables.index.get(type, key);
  if (!expected(command.expectedVersion, old?.version ?? 0))
    return conflict(context, `${type} ${key}`, old?.version ?? 0);
  if (old === null) return refused(context, 'not-found', `no ${type} ${key}`);
  tables.index.remove(old);
  tables.counters.add(`index.${type}`, -1);
  if (type === 'content_metadata') tables.search.remove(key);
  return done(context, null);
}
