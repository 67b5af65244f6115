/**
 * Ballots and take-overs: what the cluster remembers of its own elections, bounded, newest kept.
 * One ballot a term: a second one for the same term is a conflict, whoever proposes it.
 */
import { encode as encodeCbor } from '../wire/cbor.ts';
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, conflict, done, refused } from './apply-context.ts';
import type { BallotRow, TakeoverRow } from './schema.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

export function applyBallot(context: ApplyContext, command: Of<'ballot.put'>): CommandResult {
  const { tables, limits, index, atMs } = context;
  const term: unknown = command.ballot.term;
  if (!Number.isSafeInteger(term) || Number(term) < 0)
    return refused(context, 'bad-request', 'a ballot needs a term, a whole number');
  const known = tables.ballots.get(Number(term));
  if (known !== null) return conflict(context, `the ballot of term ${term}`, known.at_index);
  const ballot = encodeCbor(command.ballot);
  tables.ballots.put({ term: Number(term), at_index: index, at_ms: atMs, ballot }, null);
  tables.counters.add('ballots', 1);
  if (tables.counters.get('ballots') > limits.ballotsMax) {
    tables.ballots.remove(tables.ballots.select('ORDER BY term LIMIT 1').get() as BallotRow);
    tables.counters.add('ballots', -1);
  }
  return done(context, index);
}

export function applyTakeover(context: ApplyContext, command: Of<'takeover.put'>): CommandResult {
  const { tables, limits, index, atMs } = context;
  const { type: _, ...record } = command;
  const old = tables.takeovers.get(index); // a batch may hold several; the last one stays
  tables.takeovers.put({ at_index: index, at_ms: atMs, record: encodeCbor(record) }, old);
  if (old === null) tables.counters.add('takeovers', 1);
  if (tables.counters.get('takeovers') > limits.takeoversMax) {
    const oldest = tables.takeovers.select('ORDER BY at_index LIMIT 1').get() as TakeoverRow;
    tables.takeovers.remove(oldest);
    tables.counters.add('takeovers', -1);
  }
  return done(context, index);
}
