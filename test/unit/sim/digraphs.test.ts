/** Shapes of directed links. */
import { expect, test } from 'vitest';
import {
  allShapes,
  describeShape,
  hasPath,
  pathBit,
  reachesMajority,
  shapesUpToNames,
} from '../../../src/sim/digraphs.ts';

test('there are as many shapes up to names as there are directed graphs', () => {
  expect(shapesUpToNames(3)).toHaveLength(16);
  expect(shapesUpToNames(4)).toHaveLength(218);
  expect(shapesUpToNames(5)).toHaveLength(9608);
  expect(allShapes(3)).toHaveLength(64);
});

test('every ordered pair has its own bit', () => {
  const bits = new Set<number>();
  for (let from = 0; from < 5; from++)
    for (let to = 0; to < 5; to++) if (from !== to) bits.add(pathBit(5, from, to));
  expect(bits.size).toBe(20);
});

test('a majority counts only those that are heard and hear', () => {
  const shape = (1 << pathBit(3, 0, 1)) | (1 << pathBit(3, 1, 0)) | (1 << pathBit(3, 0, 2));
  expect(hasPath(shape, 3, 0, 2)).toBe(true);
  expect(hasPath(shape, 3, 2, 0)).toBe(false);
  expect([0, 1, 2].map((node) => reachesMajority(shape, 3, node))).toEqual([true, true, false]);
  expect(describeShape(shape, 3)).toBe('cut 1>2 2>0 2>1');
  expect(describeShape(0b111111, 3)).toBe('nothing cut');
});
