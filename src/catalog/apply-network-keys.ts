/**
 * The private network's keys: at most one was added and is not sent yet, exactly one is sent, and
 * all that stand here are accepted. Each change gives the row that it leaves in charge the index
 * of its entry, so that the highest index in the table tells which of two states is the newer one.
 */
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { networkKeyFingerprint, networkKeysMax } from '../wire/network-key.ts';
import { type ApplyContext, conflict, done, refused } from './apply-context.ts';
import type { NetworkKeyRow } from './identity-schema.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

/** A list of its own: rows change while it is gone through. */
const rowsOf = ({ tables }: ApplyContext): NetworkKeyRow[] => [...tables.networkKeys.rows()];

export function applyNetworkKeyAdd(
  context: ApplyContext,
  command: Of<'network-key.add'>,
): CommandResult {
  const { tables, index, atMs } = context;
  const { cluster, current, key, owner } = command;
  const fingerprint = networkKeyFingerprint(key);
  const rows = rowsOf(context).filter((row) => row.cluster === cluster);
  const next = rows.find(({ state }) => state === 'added');
  if (next !== undefined)
    return refused(
      context,
      'conflict',
      `the key ${next.fingerprint} was added and is not sent yet`,
    );
  if (rows.length >= networkKeysMax)
    return refused(context, 'overloaded', `${rows.length} keys are accepted: retire the old ones`);
  const sent = rows.find(({ state }) => state === 'sending');
  if (sent !== undefined && sent.key !== current)
    return conflict(context, `the key that is sent (${sent.fingerprint})`, sent.at_index);
  const first = networkKeyFingerprint(current);
  if (first === fingerprint || rows.some((row) => row.fingerprint === fingerprint))
    return refused(context, 'conflict', `the key ${fingerprint} is there already`);
  for (const row of rowsOf(context)) if (row.cluster !== cluster) tables.networkKeys.remove(row);
  const made = { cluster, at_index: index, at_ms: atMs, owner };
  if (sent === undefined)
    tables.networkKeys.put(
      { ...made, fingerprint: first, key: current, state: 'sending', owner: '' },
      null,
    );
  tables.networkKeys.put({ ...made, fingerprint, key, state: 'added' }, null);
  return done(context, index);
}

export function applyNetworkKeySend(
  context: ApplyContext,
  command: Of<'network-key.send'>,
): CommandResult {
  const { tables, index, atMs } = context;
  const { fingerprint, owner } = command;
  const next = tables.networkKeys.get(fingerprint);
  if (next === null)
    return refused(context, 'not-found', `no network key ${fingerprint} is accepted`);
  if (next.state === 'sending') return done(context, next.at_index);
  if (next.state === 'accepted')
    return refused(context, 'conflict', `the key ${fingerprint} is an older one: add another`);
  for (const row of rowsOf(context))
    if (row.state === 'sending') tables.networkKeys.put({ ...row, state: 'accepted' }, row);
  const changed = { at_index: index, at_ms: atMs, owner };
  tables.networkKeys.put({ ...next, ...changed, state: 'sending' }, next);
  return done(context, index);
}

export function applyNetworkKeyRetire(
  context: ApplyContext,
  command: Of<'network-key.retire'>,
): CommandResult {
  const { tables, index } = context;
  const kept = tables.networkKeys.get(command.keep);
  if (kept === null || kept.state !== 'sending')
    return refused(context, 'conflict', `the key ${command.keep} is not the one that is sent`);
  const others = rowsOf(context).filter(({ fingerprint }) => fingerprint !== command.keep);
  const next = others.find(({ state }) => state === 'added');
  if (next !== undefined)
    return refused(
      context,
      'conflict',
      `the key ${next.fingerprint} was added and is not sent yet`,
    );
  if (others.length === 0)
    return refused(context, 'not-found', `the key ${command.keep} is the only one`);
  for (const row of others) tables.networkKeys.remove(row);
  tables.networkKeys.put({ ...kept, at_index: index }, kept);
  return done(context, index);
}
