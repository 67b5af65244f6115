/**
 * When a failed daemon may be started again: growing jittered pauses, the cool-down after an act of
 * healing, and a budget by time window. It keeps what a start costs and knows nothing of processes.
 * Invariant: no window of one cool-down holds more than `startsMax` automatic starts.
 */
import { assert } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { type Cause, isCold, type SupervisePolicy, type SuperviseRecord } from './api.ts';

/** A cool-down is stretched by up to this share, so that a fleet doesn't start in one beat. */
const jitterShare = 0.1;
const failuresCountedMax = 1_000_000;

type Kept = Pick<SuperviseRecord, 'failures' | 'restarts' | 'lastHealMs'>;

export interface RetryBudget {
  kept(): Kept;
  /** So many failures in a row that it is a crash loop. */
  loops(): boolean;
  /** Counts a failure; `afterSuccess`: the first one of a new row. */
  failed(afterSuccess: boolean): void;
  forgive(): void;
  /** When the next automatic start is due. `wasReady`: the last act of healing is spent. */
  dueAtMs(cause: Cause, wasReady: boolean, nowMs: Ms): Ms;
  /** When a running daemon that is silent may be healed. */
  healAtMs(nowMs: Ms): Ms;
  affordable(nowMs: Ms): boolean;
  spend(nowMs: Ms): void;
}

export function createRetryBudget(
  policy: SupervisePolicy,
  restored: Kept,
  prng: Prng,
): RetryBudget {
  let { failures, restarts, lastHealMs } = restored;
  /** Automatic starts of the last cool-down, oldest first; at most `startsMax`. */
  let startsMs: Ms[] = [];

  const coolFrom = (fromMs: Ms): Ms => fromMs + policy.coolDownMs * prng.range(1, 1 + jitterShare);
  const loops = (): boolean => failures >= policy.failuresMax;
  const freeMs = (nowMs: Ms): Ms => {
    startsMs = startsMs.filter((atMs) => atMs + policy.coolDownMs > nowMs);
    const [oldest] = startsMs;
    return startsMs.length < policy.startsMax || oldest === undefined
      ? nowMs
      : oldest + policy.coolDownMs;
  };

  return {
    kept: () => ({ failures, restarts, lastHealMs }),
    loops,
    failed: (afterSuccess) => {
      failures = afterSuccess ? 1 : Math.min(failures + 1, failuresCountedMax);
    },
    forgive: () => {
      failures = 0;
    },
    dueAtMs: (cause, wasReady, nowMs) => {
      if (isCold(cause) || loops()) return coolFrom(nowMs);
      const growthMs = policy.backoffMsMin * 2 ** Math.min(failures - 1, 30);
      const pauseMs = Math.min(growthMs, policy.backoffMsMax) * prng.range(0.5, 1);
      const cooledMs = wasReady && lastHealMs !== null ? coolFrom(lastHealMs) : nowMs;
      return Math.max(nowMs + pauseMs, cooledMs, freeMs(nowMs));
    },
    healAtMs: (nowMs) => (lastHealMs === null ? nowMs : Math.max(nowMs, coolFrom(lastHealMs))),
    affordable: (nowMs) => freeMs(nowMs) <= nowMs,
    spend: (nowMs) => {
      startsMs.push(nowMs);
      assert(startsMs.length <= policy.startsMax, 'automatic starts stay within their budget');
      lastHealMs = nowMs;
      restarts += 1;
    },
  };
}
