/** Every reason not to stop, alone, gives exactly its code. */
import { describe, expect, test } from 'vitest';
import { type SafetyInput, whyUnsafe } from '../../../src/plan/safety.ts';

const safe: SafetyInput = {
  peer: 'a',
  isMember: true,
  voters: ['a', 'b', 'c'],
  outgoing: null,
  sound: new Set(['a', 'b', 'c']),
  leads: false,
  heirs: 0,
  held: [{ cid: 'c1', min: 2, provedElsewhere: 2 }],
};
const codes = (change: Partial<SafetyInput>): string[] =>
  whyUnsafe({ ...safe, ...change }).map(({ code }) => code);

describe('a member may stop', () => {
  test.each<[string, Partial<SafetyInput>]>([
    ['as one of three that are well', {}],
    ['as the leader with an heir', { leads: true, heirs: 1 }],
    ['as a standby, whoever is unsound', { peer: 'd', sound: new Set(['b']) }],
    ['while it is unsound itself', { sound: new Set(['b', 'c']) }],
    ['with nothing to hold', { held: [] }],
  ])('%s', (_, change) => expect(codes(change)).toEqual([]));

  test.each<[string, Partial<SafetyInput>]>([
    ['not-a-member', { isMember: false }],
    ['voters-changing', { outgoing: ['a', 'b'] }],
    ['quorum', { sound: new Set(['a', 'b']) }],
    ['quorum', { voters: ['a', 'b'], sound: new Set(['a', 'b']) }],
    ['quorum', { voters: ['a'], sound: new Set(['a']) }],
    ['no-heir', { leads: true }],
    ['not-reported', { held: null }],
    ['pins', { held: [{ cid: 'c1', min: 2, provedElsewhere: 1 }] }],
  ])('not, for %s', (code, change) => expect(codes(change)).toEqual([code]));

  test('pins are counted and some of them named', () => {
    const held = Array.from({ length: 9 }, (_, i) => ({
      cid: `c${i}`,
      min: 1,
      provedElsewhere: 0,
    }));
    const [reason] = whyUnsafe({ ...safe, held });
    expect(reason?.detail).toBe('9 pins would fall below the minimum: c0, c1, c2, c3, c4, ...');
  });
});
