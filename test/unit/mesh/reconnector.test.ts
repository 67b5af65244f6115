import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { backoffMs, createReconnector } from '../../../src/mesh/reconnector.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function build(self = 'a') {
  const connected = new Set<string>();
  const dials: { peer: string; atMs: number; urgent: boolean }[] = [];
  const failed: string[] = [];
  const startMs = performance.now();
  const monoMs = (): number => performance.now() - startMs;
  const reconnector = createReconnector({
    self,
    prng: createPrng(3),
    monoMs,
    connected: (peer) => connected.has(peer),
    dial: async (peer, urgent) => {
      dials.push({ peer, atMs: monoMs(), urgent });
    },
    onFailed: (peer) => failed.push(peer),
  });
  return { connected, dials, failed, reconnector };
}

describe('after a steady link closes', () => {
  test('two redials follow at once, then they back off to the cap', async () => {
    const { connected, dials, failed, reconnector } = build();
    connected.add('b');
    reconnector.setTargets(['b']);
    await vi.advanceTimersByTimeAsync(2000);
    connected.delete('b');
    reconnector.closed('b');
    await vi.advanceTimersByTimeAsync(0);
    expect(dials.map(({ atMs }) => atMs)).toEqual([2000, 2000]);
    expect(failed).toEqual(['b', 'b']);
    expect(dials.map(({ urgent }) => urgent)).toEqual([true, true]);
    await vi.advanceTimersByTimeAsync(60_000);
    const gaps = dials.slice(2).map(({ atMs }, i) => atMs - (dials[i + 1]?.atMs ?? 0));
    expect(dials.slice(2).some(({ urgent }) => urgent)).toBe(false);
    expect(gaps[0]).toBeLessThan(500);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5001);
    expect(dials.length).toBeLessThan(30);
  });

  test('a connection that came meanwhile is no failure, whatever the dial says', async () => {
    const { connected, dials, failed, reconnector } = build();
    connected.add('b');
    reconnector.setTargets(['b']);
    await vi.advanceTimersByTimeAsync(2000);
    connected.delete('b');
    reconnector.closed('b');
    connected.add('b');
    reconnector.opened('b');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dials).toHaveLength(1);
    expect(failed).toEqual([]);
  });
});

test('a flapping link gets no immediate redials', async () => {
  const { connected, dials, reconnector } = build();
  reconnector.setTargets(['b']);
  for (let i = 0; i < 50; i++) {
    connected.add('b');
    reconnector.opened('b');
    await vi.advanceTimersByTimeAsync(5);
    connected.delete('b');
    reconnector.closed('b');
    await vi.advanceTimersByTimeAsync(5);
  }
  expect(dials.length).toBeLessThan(3);
});

test('50 dead addresses cost at most 240 dials in the first minute and 130 in later ones', async () => {
  const { dials, reconnector } = build();
  reconnector.setTargets(Array.from({ length: 50 }, (_, i) => `dead${i}`));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(dials.length).toBeGreaterThan(50);
  expect(dials.length).toBeLessThanOrEqual(240);
  const before = dials.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(dials.length - before).toBeLessThanOrEqual(130);
  const tried = new Set(dials.map(({ peer }) => peer));
  expect(tried.size).toBe(50);
});

test('never dials itself, nor who is no longer a target', async () => {
  const { dials, reconnector } = build('a');
  reconnector.setTargets(['a', 'b']);
  await vi.advanceTimersByTimeAsync(300);
  expect(new Set(dials.map(({ peer }) => peer))).toEqual(new Set(['b']));
  reconnector.setTargets(['a']);
  const before = dials.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(dials).toHaveLength(before);
});

test('the smaller id dials first; the other waits a little', async () => {
  const small = build('a');
  small.reconnector.setTargets(['m']);
  const large = build('z');
  large.reconnector.setTargets(['m']);
  await vi.advanceTimersByTimeAsync(1);
  expect([small.dials.length, large.dials.length]).toEqual([1, 0]);
  await vi.advanceTimersByTimeAsync(400);
  expect(large.dials.length).toBeGreaterThan(0);
});

test('the back-off doubles, spreads and ends at its cap', () => {
  const prng = createPrng(1);
  for (let failures = 1; failures < 40; failures++) {
    const wait = backoffMs(failures, prng);
    const base = Math.min(5000, 100 * 2 ** Math.min(failures, 16));
    expect(wait).toBeGreaterThanOrEqual(base / 2);
    expect(wait).toBeLessThan(base + 1);
  }
});
