/**
 * The clocks of one simulated machine as a function of true time: a monotonic clock that starts
 * anywhere and runs up to 5 % fast or slow, and stands still while the machine is suspended; wall
 * and boot time, which go on meanwhile. Wall time may also be set by hand, which must not matter.
 */
import { assert } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';

/** What the design allows for; a machine beyond it may break the lease rules. */
export const clockRateErrorMax = 0.05;

export interface NodeClock {
  now(trueMs: Ms): Now;
  wallMs(trueMs: Ms): Ms;
  /** True time at which the monotonic clock will show `monoMs`, if it keeps running. */
  trueMsOf(monoMs: Ms): Ms;
  suspend(trueMs: Ms): void;
  resume(trueMs: Ms): void;
  suspended(): boolean;
  /** A new process: what was skipped counts from its start. */
  restart(trueMs: Ms): void;
  /** A new rate from now on, within the bound. */
  setRate(trueMs: Ms, rate: number): void;
  setWall(trueMs: Ms, aheadMs: Ms): void;
}

export interface NodeClockOptions {
  readonly monoMsStart: Ms;
  readonly rate: number;
  readonly wallAheadMs: Ms;
}

export function createNodeClock(options: NodeClockOptions): NodeClock {
  let rate = options.rate;
  let monoBase = options.monoMsStart;
  let trueBase: Ms = 0;
  let skippedBase: Ms = 0;
  let wallAheadMs = options.wallAheadMs;
  let suspendedSince: Ms | null = null;
  /** By how much wall time was set ahead since the process started. */
  let wallJumpMs: Ms = 0;

  function monoMs(trueMs: Ms): Ms {
    const until = suspendedSince ?? trueMs;
    return monoBase + (until - trueBase) * rate;
  }
  function skippedMs(trueMs: Ms): Ms {
    return skippedBase + (suspendedSince === null ? 0 : (trueMs - suspendedSince) * rate);
  }
  function rebase(trueMs: Ms): void {
    const mono = monoMs(trueMs);
    const skipped = skippedMs(trueMs);
    monoBase = mono;
    trueBase = trueMs;
    skippedBase = skipped;
    if (suspendedSince !== null) suspendedSince = trueMs;
  }

  return {
    now: (trueMs) => {
      const skipped = skippedMs(trueMs);
      return { monoMs: monoMs(trueMs), skippedMs: Math.max(skipped, skipped + wallJumpMs) };
    },
    wallMs: (trueMs) => 1_700_000_000_000 + trueMs + wallAheadMs,
    trueMsOf: (mono) => trueBase + (mono - monoBase) / rate,
    suspend: (trueMs) => {
      rebase(trueMs);
      suspendedSince = trueMs;
    },
    resume: (trueMs) => {
      rebase(trueMs);
      suspendedSince = null;
    },
    suspended: () => suspendedSince !== null,
    restart: (trueMs) => {
      rebase(trueMs);
      skippedBase = 0;
      wallJumpMs = 0;
      suspendedSince = null;
    },
    setRate: (trueMs, next) => {
      assert(Math.abs(next - 1) <= clockRateErrorMax + 1e-9, `clock rate ${next}`);
      rebase(trueMs);
      rate = next;
    },
    setWall: (_trueMs, aheadMs) => {
      wallJumpMs += aheadMs - wallAheadMs;
      wallAheadMs = aheadMs;
    },
  };
}
