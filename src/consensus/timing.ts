/**
 * The durations of the election and the relations between them. Leases are safe only while a
 * voter's promise outlasts the leader's lease on any two clocks that differ by at most the rate
 * bound, and an election may not begin before a promise can have run out.
 */
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { Timing } from './api.ts';

/** A voter keeps its promise this much longer than the lease that the heartbeat carries. */
export const promiseFactor = 1.11;
/** Largest rate error of a monotonic clock; the leader shortens its lease by it. */
export const clockRateBound = 0.05;
/** Growth of `skippedMs` that voids a lease, and the margin that every lease keeps for it. */
export const skippedMsMax = 20;
/** Redials that must fail before a closed link counts as gone. */
export const redialsMax = 2;
/** Shortest pause between two attempts of the same kind. */
export const pauseMsMin = 10;
/** A transfer keeps proposals waiting for at most this long. */
export const transferMsMax = 500;
/** The doubled cool-down of take-overs ends here. */
export const cooldownMsMax = 600_000;
/** A leader that lasted this many hold times resets the cool-down. */
export const holdsToReset = 10;

/** What floating point may add to a product. */
const roundingMs = 1e-6;

export const defaultTiming: Timing = {
  heartbeatMs: 100,
  leaseMs: 500,
  electionMsMin: 600,
  electionMsMax: 900,
  patienceMs: 300,
  holdMs: 10_000,
  takeoverCooldownMs: 30_000,
  voterGraceMs: 60_000,
};

/** Everything that is wrong with a timing, one sentence each; empty when it may be used. */
export function validateTiming(timing: Timing): string[] {
  const wrong: string[] = [];
  for (const [name, value] of Object.entries(timing)) {
    if (!Number.isFinite(value) || value <= 0)
      wrong.push(`${name} is ${value}; it must be a positive number of milliseconds`);
  }
  const { heartbeatMs, leaseMs, electionMsMin, electionMsMax } = timing;
  if (heartbeatMs * 3 > leaseMs)
    wrong.push(`heartbeatMs x 3 is ${heartbeatMs * 3}; it must be at most leaseMs (${leaseMs})`);
  if (leaseMs * promiseFactor > electionMsMin + roundingMs)
    wrong.push(
      `leaseMs x ${promiseFactor} is ${Math.ceil(leaseMs * promiseFactor - roundingMs)}; ` +
        `it must be at most electionMsMin (${electionMsMin})`,
    );
  if (electionMsMin >= electionMsMax)
    wrong.push(
      `electionMsMin (${electionMsMin}) must be less than electionMsMax (${electionMsMax})`,
    );
  return wrong;
}

/** How long the leader may rely on a renewal, on its own clock, counted from before its send. */
export function leaseLengthMs(leaseMs: Ms): Ms {
  return leaseMs * (1 - clockRateBound) - skippedMsMax;
}

/** How long a voter is bound by an acknowledgement, on its own clock. */
export function promiseLengthMs(leaseMs: Ms): Ms {
  return leaseMs * promiseFactor;
}

export interface Stretch {
  /** Lease length that the last heartbeat carried. */
  readonly leaseMs: Ms;
  readonly rttMs: Ms;
  readonly loopLagMs: Ms;
}

/** The shortest election timeout now: adapts upwards to lease, round trips and own lag. */
export function electionMsMin(timing: Timing, stretch: Stretch): Ms {
  const floor = Math.max(timing.electionMsMin, promiseLengthMs(stretch.leaseMs));
  return Math.max(floor, stretch.rttMs * 4) + stretch.loopLagMs;
}

/** A random election timeout. */
export function electionMs(timing: Timing, stretch: Stretch, prng: Prng): Ms {
  const min = electionMsMin(timing, stretch);
  return prng.range(min, min * (timing.electionMsMax / timing.electionMsMin));
}
