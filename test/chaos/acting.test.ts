/** Intervals from logs: what overlaps, what a death ends, and which orders came too late. */
import { expect, test } from 'vitest';
import { type ActingRecord, actingIntervals, overlaps, staleOrders } from './acting.ts';

const record = (node: string, acting: boolean, term: number, atMs: number): ActingRecord => ({
  node,
  acting,
  term,
  atMs,
});

test('one after the other is fine, also at the same instant', () => {
  const intervals = actingIntervals(
    [record('a', true, 1, 0), record('a', false, 1, 10), record('b', true, 2, 10)],
    [],
  );
  expect(intervals).toHaveLength(2);
  expect(overlaps(intervals)).toEqual([]);
});

test('two at once are found, in whatever terms', () => {
  const intervals = actingIntervals(
    [record('a', true, 1, 0), record('a', false, 1, 10), record('b', true, 2, 9.9)],
    [],
  );
  expect(overlaps(intervals)).toMatchObject([[{ node: 'a' }, { node: 'b' }]]);
});

test('a long interval is compared with all that begin within it', () => {
  const intervals = actingIntervals(
    [
      record('a', true, 1, 0),
      record('a', false, 1, 100),
      record('a', true, 1, 100),
      record('a', false, 1, 101),
      record('b', true, 2, 50),
      record('b', false, 2, 51),
    ],
    [],
  );
  expect(overlaps(intervals)).toHaveLength(1);
});

test('a killed node acts no more, though it could not say so', () => {
  const records = [record('a', true, 1, 0), record('b', true, 2, 60)];
  expect(overlaps(actingIntervals(records, [{ node: 'a', atMs: 50 }]))).toEqual([]);
  expect(overlaps(actingIntervals(records, [{ node: 'a', atMs: 70 }]))).toHaveLength(1);
  expect(overlaps(actingIntervals(records, [{ node: 'b', atMs: 50 }]))).toHaveLength(1);
});

test('an order below the fence, or below an order before it, is found', () => {
  const epoch = 'e';
  const order = (node: string, term: number, fence: number) => ({ node, epoch, term, fence });
  expect(staleOrders([order('a', 1, 1), order('a', 2, 2), order('b', 1, 1)])).toEqual([]);
  expect(staleOrders([order('a', 2, 2), order('a', 1, 1)])).toEqual([order('a', 1, 1)]);
  expect(staleOrders([order('a', 2, 3)])).toHaveLength(1);
});
