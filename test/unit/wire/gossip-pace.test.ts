/** What is said again is said less often by each of many, but never too seldom to be believed. */
import { expect, test } from 'vitest';
import { recordAgeMsMax, sayAgainMs, sayAgainMsMax } from '../../../src/wire/gossip-pace.ts';

test.each([
  [10_000, 1, 10_000],
  [10_000, 5, 10_000],
  [10_000, 25, 50_000],
  [10_000, 100, 200_000],
  [10_000, 1000, sayAgainMsMax],
  [60_000, 100, sayAgainMsMax],
])('%d ms among %d members become %d', (usualMs, members, ms) => {
  expect(sayAgainMs(usualMs, members)).toBe(ms);
});

test('two repeats may be lost before a record is too old', () => {
  expect(3 * sayAgainMsMax).toBeLessThanOrEqual(recordAgeMsMax);
});
