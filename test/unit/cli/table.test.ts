import { expect, test } from 'vitest';
import { ageOf, sizeOf, tableOf } from '../../../src/cli/table.ts';

test.each([
  [null, '-'],
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [12_345, '12.3 kB'],
  [1.5e9, '1.50 GB'],
  [2e18, '2000.0 PB'],
])('size %s is %s', (bytes, text) => expect(sizeOf(bytes)).toBe(text));

test.each([
  [null, '-'],
  [undefined, '-'],
  [12.4, '12 ms'],
  [1500, '1.5 s'],
  [600_000, '10 min'],
  [36_000_000, '10 h'],
])('age %s is %s', (ms, text) => expect(ageOf(ms)).toBe(text));

test('numbers stand to the right, missing cells are dashes', () => {
  expect(
    tableOf(
      ['NAME', 'N'],
      [
        ['a', 5],
        ['longer', 1000],
      ],
    ),
  ).toBe('NAME       N\na          5\nlonger  1000\n');
  expect(tableOf(['A', 'B'], [['x', null]])).toBe('A  B\nx  -\n');
  expect(tableOf(['A'], [])).toBe('A\n');
});
