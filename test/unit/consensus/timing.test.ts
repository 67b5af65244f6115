/** Timing rules and the arithmetic that keeps a lease inside every promise. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { Timing } from '../../../src/consensus/api.ts';
import { createConsensus } from '../../../src/consensus/consensus.ts';
import {
  clockRateBound,
  defaultTiming,
  electionMsMin,
  leaseLengthMs,
  promiseLengthMs,
  skippedMsMax,
  validateTiming,
} from '../../../src/consensus/timing.ts';
import { certificateOf } from '../../scenario/cluster.ts';

const cases: [string, Partial<Timing>, RegExp | null][] = [
  ['the default', {}, null],
  ['heartbeat x 3 = lease', { heartbeatMs: 100, leaseMs: 300, electionMsMin: 333 }, null],
  ['heartbeat too long', { heartbeatMs: 167 }, /heartbeatMs x 3/],
  ['lease x 1.11 above the election minimum', { leaseMs: 541 }, /leaseMs x 1.11/],
  ['election range upside down', { electionMsMax: 600 }, /less than electionMsMax/],
  ['zero', { heartbeatMs: 0 }, /heartbeatMs is 0/],
  ['not a number', { holdMs: Number.NaN }, /holdMs is NaN/],
  ['negative', { patienceMs: -1 }, /patienceMs is -1/],
];

describe('validateTiming', () => {
  test.each(cases)('%s', (_, change, wrong) => {
    const found = validateTiming({ ...defaultTiming, ...change });
    if (wrong === null) expect(found).toEqual([]);
    else expect(found.join('\n')).toMatch(wrong);
  });

  test('lists everything that is wrong, and the core refuses it', () => {
    const timing = { ...defaultTiming, heartbeatMs: 300, leaseMs: 800 };
    expect(validateTiming(timing)).toHaveLength(2);
    const options = {
      id: 'a',
      certificate: certificateOf('a', 'master'),
      clusterId: 'c',
      epoch: 'e',
      session: 's',
      timing,
      prng: createPrng(1),
      bootstrap: true,
      restored: {
        hardState: { term: 0, vote: null, leaseMsLongest: 0, fence: 0 },
        snapshot: null,
        entries: [],
        appliedIndex: 0,
      },
      now: { monoMs: 0, skippedMs: 0 },
    };
    expect(() => createConsensus(options)).toThrow(/timing: heartbeatMs x 3/);
  });
});

describe('lease arithmetic', () => {
  test('on any two clocks within the rate bound a lease ends before its promise', () => {
    const rate = fc.double({ min: 1 - clockRateBound, max: 1 + clockRateBound, noNaN: true });
    const lease = fc.double({ min: 60, max: 60_000, noNaN: true });
    const slept = fc.double({ min: 0, max: skippedMsMax, noNaN: true });
    fc.assert(
      fc.property(lease, rate, rate, slept, (leaseMs, leader, voter, sleptMs) => {
        // The promise begins when the heartbeat arrives, at the earliest when it was sent.
        const leaseTrueMs = leaseLengthMs(leaseMs) / leader + sleptMs;
        const promiseTrueMs = promiseLengthMs(leaseMs) / voter;
        expect(leaseTrueMs).toBeLessThanOrEqual(promiseTrueMs);
      }),
    );
  });

  test('the election minimum follows the lease of the last heartbeat, round trips and lag', () => {
    const calm = { leaseMs: 500, rttMs: 1, loopLagMs: 0 };
    expect(electionMsMin(defaultTiming, calm)).toBe(600);
    expect(electionMsMin(defaultTiming, { ...calm, leaseMs: 1000 })).toBeCloseTo(1110);
    expect(electionMsMin(defaultTiming, { ...calm, rttMs: 400 })).toBe(1600);
    expect(electionMsMin(defaultTiming, { ...calm, loopLagMs: 50 })).toBe(650);
  });
});
