/** Promises: kept per (leader, term), released only as the rules say, never shortened. */
import { describe, expect, test } from 'vitest';
import { PromiseBook } from '../../../src/consensus/promises.ts';

describe('PromiseBook', () => {
  test('binds against everybody but the leader it was made to', () => {
    const book = new PromiseBook();
    book.acknowledge('a', 3, 1000, 555);
    expect(book.remainingMs('b', null, 1100)).toBe(455);
    expect(book.remainingMs('a', null, 1100)).toBe(0);
    expect(book.remainingMs('b', null, 1555)).toBe(0);
  });

  test('never ends earlier than it was said', () => {
    const book = new PromiseBook();
    book.acknowledge('a', 3, 1000, 555);
    book.acknowledge('a', 3, 1010, 100);
    expect(book.remainingMs('b', null, 1010)).toBe(545);
  });

  test('a transfer releases that leader in that term and nothing else', () => {
    const book = new PromiseBook();
    book.acknowledge('a', 3, 1000, 555);
    book.acknowledge('a', 4, 1000, 300);
    book.acknowledge('b', 5, 1000, 200);
    expect(book.remainingMs('c', { leader: 'a', term: 3 }, 1000)).toBe(300);
    expect(book.remainingMs('c', { leader: 'a', term: 4 }, 1000)).toBe(555);
    expect(book.remainingMs('c', { leader: 'x', term: 3 }, 1000)).toBe(555);
  });

  test('what was promised before a restart binds against everybody', () => {
    const book = new PromiseBook();
    book.assumeUnknown(1555, 555);
    expect(book.running('a', { leader: 'a', term: 3 }, 1000)).toHaveLength(1);
    expect(book.remainingMs('a', null, 1000)).toBe(555);
    expect(book.remainingMs('a', null, 1555)).toBe(0);
  });

  test('too many promises become fewer, never shorter', () => {
    const book = new PromiseBook();
    for (let term = 1; term <= 30; term += 1) book.acknowledge(`l${term}`, term, 1000, 2000 - term);
    expect(book.list.length).toBeLessThanOrEqual(8);
    expect(book.remainingMs('l1', null, 1000)).toBe(1999);
  });

  test('tells when the longest length may be lowered', () => {
    const book = new PromiseBook();
    book.acknowledge('a', 3, 1000, 555);
    book.acknowledge('b', 4, 1000, 111);
    expect(book.noneLongerThan(111, 1500)).toBe(false);
    expect(book.noneLongerThan(555, 1500)).toBe(true);
    expect(book.noneLongerThan(111, 1555)).toBe(true);
  });
});
