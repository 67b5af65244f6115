/** The clocks of a simulated machine. */
import { describe, expect, test } from 'vitest';
import { createNodeClock } from '../../../src/sim/node-clock.ts';

const clockOf = (rate: number) => createNodeClock({ monoMsStart: 1000, rate, wallAheadMs: 0 });

describe('node clock', () => {
  test('runs at its rate, and tells when it will show an instant', () => {
    const clock = clockOf(1.05);
    expect(clock.now(100).monoMs).toBeCloseTo(1105);
    expect(clock.trueMsOf(1105)).toBeCloseTo(100);
    clock.setRate(100, 0.95);
    expect(clock.now(100).monoMs).toBeCloseTo(1105);
    expect(clock.now(200).monoMs).toBeCloseTo(1200);
    expect(clock.trueMsOf(1200)).toBeCloseTo(200);
  });

  test('stands still while suspended, and what was skipped shows', () => {
    const clock = clockOf(1);
    clock.suspend(50);
    expect(clock.now(80)).toEqual({ monoMs: 1050, skippedMs: 30 });
    clock.resume(150);
    expect(clock.suspended()).toBe(false);
    expect(clock.now(160)).toEqual({ monoMs: 1060, skippedMs: 100 });
    clock.restart(200);
    expect(clock.now(200)).toEqual({ monoMs: 1100, skippedMs: 0 });
  });

  test('wall time that was set ahead shows as skipped, set back it hides nothing', () => {
    const clock = clockOf(1);
    clock.setWall(10, 5000);
    expect(clock.now(10).skippedMs).toBe(5000);
    clock.setWall(20, -5000);
    expect(clock.now(20).skippedMs).toBe(0);
    clock.suspend(30);
    clock.resume(130);
    expect(clock.now(130).skippedMs).toBe(100);
  });

  test('refuses a rate beyond the bound', () => {
    expect(() => clockOf(1).setRate(0, 1.2)).toThrow(/clock rate/);
  });
});
