/** When a closed link counts as gone, and whose other end belongs elsewhere. */
import { expect, test } from 'vitest';
import { isGone, type Links, noteApart, onLinkChange } from '../../../src/consensus/links.ts';

type Change = 'opened' | 'closed' | 'redial-failed';

test.each<[string, [number, Change][], number, number, boolean]>([
  ['an unknown link', [], 1, 9999, false],
  ['an open link', [[0, 'opened']], 1, 9999, false],
  [
    'closed just now',
    [
      [0, 'opened'],
      [10, 'closed'],
    ],
    1,
    59,
    false,
  ],
  [
    'closed for 50 ms',
    [
      [0, 'opened'],
      [10, 'closed'],
    ],
    1,
    60,
    true,
  ],
  [
    'slow link: four round trips',
    [
      [0, 'opened'],
      [10, 'closed'],
    ],
    20,
    60,
    false,
  ],
  [
    'slow link, later',
    [
      [0, 'opened'],
      [10, 'closed'],
    ],
    20,
    90,
    true,
  ],
  [
    'one failed redial',
    [
      [0, 'opened'],
      [10, 'closed'],
      [11, 'redial-failed'],
    ],
    1,
    12,
    false,
  ],
  [
    'two failed redials',
    [
      [0, 'opened'],
      [10, 'closed'],
      [11, 'redial-failed'],
      [12, 'redial-failed'],
    ],
    1,
    12,
    true,
  ],
  [
    'open again',
    [
      [0, 'opened'],
      [10, 'closed'],
      [30, 'opened'],
    ],
    1,
    500,
    false,
  ],
  [
    'closed twice counts from the first',
    [
      [0, 'opened'],
      [10, 'closed'],
      [55, 'closed'],
    ],
    1,
    60,
    true,
  ],
])('%s', (_, changes, rttMs, atMs, gone) => {
  const links: Links = new Map();
  for (const [ms, change] of changes) onLinkChange(links, 'a', change, ms);
  expect(isGone(links, 'a', rttMs, atMs)).toBe(gone);
});

test('who belongs elsewhere may have come over when its link opens again', () => {
  const links: Links = new Map();
  noteApart(links, 'a', true);
  expect(links.has('a')).toBe(false);
  onLinkChange(links, 'a', 'opened', 0);
  expect(links.get('a')?.apart).toBe(false);
  noteApart(links, 'a', true);
  onLinkChange(links, 'a', 'closed', 10);
  expect(links.get('a')?.apart).toBe(true);
  onLinkChange(links, 'a', 'opened', 20);
  expect(links.get('a')?.apart).toBe(false);
});
