/**
 * Drains, pauses and the turn to stop. The check that a pause stops automatic commands is made
 * where they are applied, against the time that the entry carries: nothing that follows the pause
 * in the log gets past it, whatever its proposer believed.
 */
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, done, refused } from './apply-context.ts';
import type { PauseRow } from './schema.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

/** What is paused. */
export const clusterScope = 'cluster';
/** The turn to stop is a row of the same table: its owner is the member that has it. */
export const stopScope = 'stop';

export const isOver = (expiresAtMs: number | null, wallMs: number): boolean =>
  expiresAtMs !== null && wallMs >= expiresAtMs;

/** Why automatic commands are refused at this entry, or null. */
export function whyPaused({ tables, atMs }: ApplyContext): string | null {
  const row: PauseRow | null = tables.pauses.get(clusterScope);
  if (row === null || isOver(row.expires_at_ms, atMs)) return null;
  return `automatic actions are paused by ${row.owner}: ${row.reason || 'no reason given'}`;
}

export function applyDrain(context: ApplyContext, command: Of<'drain.set'>): CommandResult {
  const { tables, index, atMs } = context;
  const { peer, owner, reason } = command;
  if (tables.members.get(peer) === null)
    return refused(context, 'not-found', `${peer} is not a member`);
  const old = tables.drains.get(peer);
  // A second drain keeps the beginning of the first.
  const since = old ?? { at_index: index, at_ms: atMs };
  const row = { peer, at_index: since.at_index, at_ms: since.at_ms, owner, reason };
  tables.drains.put(row, old);
  return done(context, index);
}

export function applyUndrain(context: ApplyContext, command: Of<'drain.clear'>): CommandResult {
  const old = context.tables.drains.get(command.peer);
  if (old === null) return refused(context, 'not-found', `${command.peer} is not draining`);
  context.tables.drains.remove(old);
  return done(context, null);
}

export function applyPause(context: ApplyContext, command: Of<'pause.set'>): CommandResult {
  const { tables, index, atMs } = context;
  const { owner, reason, expiresAtMs } = command;
  if (isOver(expiresAtMs, atMs))
    return refused(context, 'bad-request', 'the pause would be over before it begins');
  const old = tables.pauses.get(clusterScope);
  tables.pauses.put(
    {
      scope: clusterScope,
      at_index: index,
      at_ms: atMs,
      owner,
      reason,
      expires_at_ms: expiresAtMs,
    },
    old,
  );
  return done(context, index);
}

export function applyResume(context: ApplyContext): CommandResult {
  const old = context.tables.pauses.get(clusterScope);
  if (old === null) return refused(context, 'not-found', 'nothing is paused');
  context.tables.pauses.remove(old);
  return done(context, null);
}

export function applyStopReserve(
  context: ApplyContext,
  command: Of<'stop.reserve'>,
): CommandResult {
  const { tables, index, atMs } = context;
  const { peer, forMs, expectedVersion } = command;
  if (tables.members.get(peer) === null)
    return refused(context, 'not-found', `${peer} is not a member`);
  const old = tables.pauses.get(stopScope);
  if (old !== null && old.at_index !== expectedVersion)
    return refused(context, 'conflict', `${old.owner} was given the turn to stop`);
  const row = { scope: stopScope, at_index: index, at_ms: atMs, owner: peer, reason: '' };
  tables.pauses.put({ ...row, expires_at_ms: atMs + forMs }, old);
  return done(context, index);
}

export function applyStopRelease(
  context: ApplyContext,
  command: Of<'stop.release'>,
): CommandResult {
  const old = context.tables.pauses.get(stopScope);
  if (old === null || old.owner !== command.peer)
    return refused(context, 'not-found', `${command.peer} has no turn to stop`);
  context.tables.pauses.remove(old);
  return done(context, null);
}
