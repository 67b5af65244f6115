/** Ballots among the events of a node: those of the asked term, the newest if there are many. */
import { expect, test } from 'vitest';
import { ballotsIn } from '../../../../src/agent/operations/election-accounts.ts';
import { ballotsMax } from '../../../../src/wire/operation-message.ts';

const ballot = (term: number, startedMs: number) => ({
  seq: startedMs,
  at: '2026-01-01T00:00:00.000Z',
  type: 'ballot',
  data: {
    ...{ term, epoch: 'e', candidate: 'a', kind: 'vote', won: false, startedMs, endedMs: 2 },
    ...{ candidateRank: 1, health: null, linksClosed: [], lastTerm: 0, lastIndex: 0 },
    ...{ voters: ['a', 'b'], outgoing: null, answers: [] },
  },
});

test('only ballots of that term, oldest first', () => {
  const other = { ...ballot(3, 9), type: 'state-changed' };
  const found = ballotsIn([ballot(2, 1), ballot(3, 2), other, ballot(3, 4)], 3);
  expect(found.map(({ startedMs }) => startedMs)).toEqual([2, 4]);
});

test('of a term that was fought over for long, the last attempts', () => {
  const many = Array.from({ length: ballotsMax + 5 }, (_, i) => ballot(3, i));
  const found = ballotsIn(many, 3);
  expect(found).toHaveLength(ballotsMax);
  expect(found.at(-1)?.startedMs).toBe(ballotsMax + 4);
});

test('what can not be read is left out', () => {
  const damaged = { ...ballot(3, 1), data: { term: 3, candidate: 7 } };
  expect(ballotsIn([damaged, ballot(3, 2)], 3).map(({ startedMs }) => startedMs)).toEqual([2]);
});
