/** Virtual time. */
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { createEventQueue } from '../../../src/sim/event-queue.ts';

test('events run in the order of their instants, ties in the order of scheduling', () => {
  const queue = createEventQueue();
  const prng = createPrng(3);
  const ran: [number, number][] = [];
  for (let i = 0; i < 500; i++) {
    const atMs = prng.int(50);
    queue.at(atMs, () => ran.push([queue.nowMs(), i]));
  }
  queue.runUntil(100);
  const sorted = [...ran].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  expect(ran).toHaveLength(500);
  expect(ran).toEqual(sorted);
  expect(queue.nowMs()).toBe(100);
});

test('an event in the past runs next, a cancelled one never', () => {
  const queue = createEventQueue();
  const ran: string[] = [];
  queue.runUntil(10);
  queue.at(5, () => ran.push(`late at ${queue.nowMs()}`));
  queue.at(11, () => ran.push('cancelled')).cancel();
  queue.in(2, () => ran.push('soon'));
  queue.runUntil(11);
  expect(ran).toEqual(['late at 10']);
  queue.runUntil(12);
  expect(ran).toEqual(['late at 10', 'soon']);
  expect(queue.runNext()).toBe(false);
});
