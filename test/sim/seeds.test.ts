/** Some fixed seeds and a few fresh ones through the whole simulator. */
import { describe, expect, test } from 'vitest';
import { runSeed } from '../../src/sim/run-seed.ts';

const fixed = Array.from({ length: 20 }, (_, i) => 1 + i);
const freshFrom = 1_000_000 + (Date.now() % 1_000_000_000);

describe('seeds', () => {
  test.each(fixed)('fixed seed %i finds nothing', { timeout: 60_000 }, (seed) => {
    const report = runSeed(seed);
    expect(report.failure, complaintOf(report.failure, seed)).toBeNull();
    expect(report.proposals).toBeGreaterThanOrEqual(200);
    expect(report.episodes).toBeGreaterThanOrEqual(5);
    expect(report.simulatedMs).toBeGreaterThanOrEqual(30_000);
  });

  test.each([0, 1, 2])('fresh seed %i finds nothing', { timeout: 60_000 }, (i) => {
    const seed = freshFrom + i;
    const { failure } = runSeed(seed);
    expect(failure, complaintOf(failure, seed)).toBeNull();
  });

  test('a seed takes the same course twice', { timeout: 60_000 }, () => {
    const first = runSeed(7);
    const second = runSeed(7, { keepTrace: true });
    expect(second.hash).toBe(first.hash);
    expect({ ...second, trace: null }).toEqual({ ...first, trace: null });
    expect(runSeed(8).hash).not.toBe(first.hash);
  });
});

function complaintOf(failure: Error | null, seed: number): string {
  return failure === null ? '' : `${failure.message}\nrepeat: npm run sim -- --seed ${seed}`;
}
