/** Majorities against a dumb oracle that counts every subset of voters. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isVoter, reached, verdict, votersOf } from '../../../src/consensus/quorum.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const half = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 7 });
const halves = fc.record({ voters: half, outgoing: fc.option(half) });

/** True when more than half of `voters` satisfy `yes`; written as differently as possible. */
function dumbMajority(voters: readonly string[], yes: (peer: string) => boolean): boolean {
  let balance = 0;
  for (const voter of voters) balance += yes(voter) ? 1 : -1;
  return balance > 0;
}

function dumbBoth(
  config: { voters: string[]; outgoing: string[] | null },
  yes: (peer: string) => boolean,
): boolean {
  const old = config.outgoing === null || dumbMajority(config.outgoing, yes);
  return old && dumbMajority(config.voters, yes);
}

describe('reached', () => {
  test('is the largest value that a majority of each half has reached', () => {
    const values = fc.dictionary(fc.constantFrom(...names), fc.nat(20));
    fc.assert(
      fc.property(halves, values, (config, value) => {
        const of = (peer: string): number => value[peer] ?? 0;
        const got = reached(config, of);
        expect(dumbBoth(config, (peer) => of(peer) >= got)).toBe(true);
        expect(dumbBoth(config, (peer) => of(peer) >= got + 1)).toBe(false);
      }),
    );
  });

  test('is 0 without voters', () => {
    expect(reached({ voters: [], outgoing: null }, () => 5)).toBe(0);
  });
});

describe('verdict', () => {
  test('is decided exactly when no open answer can change it', () => {
    const answers = fc.dictionary(fc.constantFrom(...names), fc.option(fc.boolean()));
    fc.assert(
      fc.property(halves, answers, (config, answer) => {
        const of = (peer: string): boolean | null => answer[peer] ?? null;
        const best = dumbBoth(config, (peer) => of(peer) !== false);
        const worst = dumbBoth(config, (peer) => of(peer) === true);
        const expected = worst ? 'won' : best ? 'pending' : 'lost';
        expect(verdict(config, of)).toBe(expected);
      }),
    );
  });
});

test('voters of both halves count once', () => {
  const config = { voters: ['a', 'b'], outgoing: ['b', 'c'] };
  expect(votersOf(config)).toEqual(['a', 'b', 'c']);
  expect(isVoter(config, 'c')).toBe(true);
  expect(isVoter(config, 'd')).toBe(false);
});
