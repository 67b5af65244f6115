/**
 * One decoded command: the switch over its types, and batches, which are applied whole or not at
 * all. A refusal changes nothing; it is an answer like any other and is kept like one.
 */
import type { DatabaseSync } from 'node:sqlite';
import { unreachable } from '../base/assert.ts';
import type { Command, CommandResult, SimpleCommand } from '../wire/command.ts';
import type { IndexWrite, IndexWrites } from '../wire/index-write.ts';
import { type ApplyContext, done, refused } from './apply-context.ts';
import { applyFederation, applyFederationPeer } from './apply-federation.ts';
import {
  applyAuthority,
  applyCertificate,
  applyRevocation,
  applyTokenPut,
  applyTokenUse,
} from './apply-identity.ts';
import { applyIndexPut, applyIndexRemove, applyIndexWrite } from './apply-index.ts';
import {
  applyNetworkKeyAdd,
  applyNetworkKeyRetire,
  applyNetworkKeySend,
} from './apply-network-keys.ts';
import {
  applyDrain,
  applyPause,
  applyResume,
  applyStopRelease,
  applyStopReserve,
  applyUndrain,
  whyPaused,
} from './apply-operations.ts';
import { applyAllocation, applyPinPut, applyPinRemove } from './apply-pins.ts';
import { applyBallot, applyTakeover } from './apply-records.ts';

/** What only the leader decides by itself; a pause stops it here, on every replica alike. */
const isAutomatic = (command: SimpleCommand): boolean =>
  command.type === 'allocation.set' ||
  ((command.type === 'pin.rm' || command.type === 'network-key.send') &&
    command.automatic === true);

function applySimple(context: ApplyContext, command: SimpleCommand): CommandResult {
  const paused = isAutomatic(command) ? whyPaused(context) : null;
  if (paused !== null) return refused(context, 'conflict', paused);
  switch (command.type) {
    case 'session.open':
      return refused(context, 'bad-request', 'session.open is a command of its own, sequence 0');
    case 'pin.put':
      return applyPinPut(context, command);
    case 'pin.rm':
      return applyPinRemove(context, command);
    case 'allocation.set':
      return applyAllocation(context, command);
    case 'index.put':
      return applyIndexPut(context, command);
    case 'index.rm':
      return applyIndexRemove(context, command);
    case 'ballot.put':
      return applyBallot(context, command);
    case 'takeover.put':
      return applyTakeover(context, command);
    case 'drain.set':
      return applyDrain(context, command);
    case 'drain.clear':
      return applyUndrain(context, command);
    case 'pause.set':
      return applyPause(context, command);
    case 'pause.clear':
      return applyResume(context);
    case 'stop.reserve':
      return applyStopReserve(context, command);
    case 'stop.release':
      return applyStopRelease(context, command);
    case 'token.put':
      return applyTokenPut(context, command);
    case 'token.use':
      return applyTokenUse(context, command);
    case 'certificate.revoke':
      return applyRevocation(context, command);
    case 'certificate.put':
      return applyCertificate(context, command);
    case 'network-key.add':
      return applyNetworkKeyAdd(context, command);
    case 'network-key.send':
      return applyNetworkKeySend(context, command);
    case 'network-key.retire':
      return applyNetworkKeyRetire(context, command);
    case 'authority.put':
      return applyAuthority(context, command);
    case 'federation.found':
      return applyFederation(context, command);
    case 'federation-peer.put':
      return applyFederationPeer(context, command);
    default:
      return unreachable(command);
  }
}

export interface ApplyCommand {
  command(context: ApplyContext, command: Command): CommandResult;
  writes(context: ApplyContext, writes: IndexWrites): CommandResult;
}

const typeOfWrite = ({ value }: IndexWrite): string => (value === null ? 'index.rm' : 'index.put');

export function createApplyCommand(db: DatabaseSync): ApplyCommand {
  const savepoint = db.prepare('SAVEPOINT batch');
  const release = db.prepare('RELEASE batch');
  const rollback = db.prepare('ROLLBACK TO batch');

  /** All of the members, or none. */
  function inBatch<T>(
    context: ApplyContext,
    members: readonly T[],
    apply: (context: ApplyContext, member: T) => CommandResult,
    typeOf: (member: T) => string,
  ): CommandResult {
    const { digest, counters } = context.tables;
    const before = { digest: digest.text(), counters: counters.mark() };
    savepoint.run();
    const versions: (number | null)[] = [];
    for (const [at, member] of members.entries()) {
      const result = apply(context, member);
      if (result.ok) {
        versions.push(result.version);
        continue;
      }
      rollback.run();
      release.run();
      digest.load(before.digest);
      counters.returnTo(before.counters);
      return {
        ...result,
        detail: `command ${at} of the batch (${typeOf(member)}): ${result.detail}`,
      };
    }
    release.run();
    return done(context, context.index, { versions });
  }

  return {
    command: (context, command) =>
      command.type === 'batch'
        ? inBatch(context, command.commands, applySimple, ({ type }) => type)
        : applySimple(context, command),
    writes: (context, { batch, writes }) => {
      const [first] = writes;
      return batch || first === undefined
        ? inBatch(context, writes, applyIndexWrite, typeOfWrite)
        : applyIndexWrite(context, first);
    },
  };
}
