/** News of a grade at once, points of a score now and then, the rest rarely; less often in a crowd. */
import { expect, test } from 'vitest';
import { mustSay, wordLastsMs } from '../../../src/health/saying.ts';

const base = { score: 90, saidScore: 90, gradeChanged: false, quietMs: 0, members: 5 };

test.each([
  [{}, false],
  [{ saidScore: null }, true],
  [{ gradeChanged: true }, true],
  [{ score: 80 }, false],
  [{ score: 80, quietMs: 1000 }, true],
  [{ score: 87, quietMs: 9999 }, false],
  [{ quietMs: 10_000 }, true],
  [{ quietMs: 10_000, members: 100 }, false],
  [{ quietMs: 200_000, members: 100 }, true],
  [{ score: 80, quietMs: 19_999, members: 100 }, false],
  [{ score: 80, quietMs: 20_000, members: 100 }, true],
  [{ gradeChanged: true, members: 1000 }, true],
])('%j: %s', (change, due) => {
  expect(mustSay({ ...base, ...change })).toBe(due);
});

test('a word lasts for three of its turns, however large the cluster', () => {
  expect([1, 5, 100].map(wordLastsMs)).toEqual([30_000, 30_000, 600_000]);
});
