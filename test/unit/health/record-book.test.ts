/** Merging gossiped records: whatever order they come in, the newest word of each member stands. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRecordBook } from '../../../src/health/record-book.ts';

const record = fc.record({
  peer: fc.constantFrom('a', 'b', 'stranger'),
  incarnation: fc.integer({ min: 0, max: 3 }),
  beat: fc.integer({ min: 0, max: 5 }),
});

test('in any order, with repeats, every member ends with its newest record', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), (records) => {
      const book = createRecordBook<{ incarnation: number; beat: number }>();
      book.setMembers(['a', 'b']);
      for (const [i, { peer, ...rest }] of records.entries()) book.take(peer, rest, i);
      for (const peer of ['a', 'b']) {
        const newest = records
          .filter((one) => one.peer === peer)
          .sort((x, y) => y.incarnation - x.incarnation || y.beat - x.beat)[0];
        const held = book.of(peer)?.record;
        expect([held?.incarnation, held?.beat]).toEqual([newest?.incarnation, newest?.beat]);
      }
      expect(book.of('stranger')).toBeNull();
    }),
  );
});

test('who is no member any more is forgotten', () => {
  const book = createRecordBook<{ incarnation: number; beat: number }>();
  book.setMembers(['a']);
  expect(book.take('a', { incarnation: 1, beat: 1 }, 5)).toBe(true);
  expect(book.take('a', { incarnation: 1, beat: 1 }, 6)).toBe(false);
  book.setMembers([]);
  expect(book.of('a')).toBeNull();
});
