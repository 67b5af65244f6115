/**
 * One decoded command: the switch over its types, and batches, which are applied whole or not at
 * all. A refusal changes nothing; it is an answer like any other and is kept like one.
 */
import type { DatabaseSync } from 'node:sqlite';
import { unreachable } from '../base/assert.ts';
import type { Command, CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, done, refused } from './apply-context.ts';
import { applyIndexPut, applyIndexRemove } from './apply-index.ts';
import { applyAllocation, applyPinPut, applyPinRemove } from './apply-pins.ts';
import { applyBallot, applyTakeover } from './apply-records.ts';

function applySimple(context: ApplyContext, command: SimpleCommand): CommandResult {
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
    default:
      return unreachable(command);
  }
}

export type ApplyCommand = (context: ApplyContext, command: Command) => CommandResult;

export function createApplyCommand(db: DatabaseSync): ApplyCommand {
  const savepoint = db.prepare('SAVEPOINT batch');
  const release = db.prepare('RELEASE batch');
  const rollback = db.prepare('ROLLBACK TO batch');
  return (context, command) => {
    if (command.type !== 'batch') return applySimple(context, command);
    const { digest, counters } = context.tables;
    const before = { digest: digest.text(), counters: counters.mark() };
    savepoint.run();
    const versions: (number | null)[] = [];
    for (const [at, member] of command.commands.entries()) {
      const result = applySimple(context, member);
      if (result.ok) {
        versions.push(result.version);
        continue;
      }
      rollback.run();
      release.run();
      digest.load(before.digest);
      counters.returnTo(before.counters);
      return { ...result, detail: `command ${at} of the batch (${member.type}): ${result.detail}` };
    }
    release.run();
    return done(context, context.index, { versions });
  };
}
