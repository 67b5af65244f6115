/** How late the event loop is: a blocked loop shows, and each look starts anew. */
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createLoopLag } from '../../../src/agent/loop-lag.ts';

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test('a loop that was blocked past a sample was late by the rest of the block', async () => {
  const seen: number[] = [];
  const lag = createLoopLag((lateMs) => seen.push(lateMs));
  block(600);
  while (seen.length === 0) await turn();
  expect(lag.recentP99Ms()).toBeGreaterThan(300);
  expect(lag.recentP99Ms()).toBe(0);
  lag.stop();
});

test('a busy loop is sampled often, and nothing is sampled once it is stopped', async () => {
  const seen: number[] = [];
  const lag = createLoopLag((lateMs) => seen.push(lateMs));
  for (let i = 0; i < 5000 && seen.length < 20; i++) {
    block(4);
    await wait(1);
  }
  expect(seen.length).toBeGreaterThanOrEqual(20);
  lag.stop();
  const { length } = seen;
  await wait(20);
  expect(seen).toHaveLength(length);
});
