/**
 * When a round of something level-triggered runs: soon after a poke, now and then without one, one
 * at a time, and never working most of the time, however often it is poked.
 */
import type { Ms } from '../../base/brand.ts';

export interface Rounds {
  start(): void;
  stop(): Promise<void>;
  /** Something may have changed. */
  poke(): void;
}

export interface RoundsOptions {
  readonly periodMs: Ms;
  /** Pokes within this time cost one round. */
  readonly gatherMs: Ms;
  /** Rounds begin at least this far apart when they are poked all the time. */
  readonly apartMs: Ms;
  /** Answers how long it worked; what it spent waiting for others doesn't count. */
  readonly run: () => Promise<Ms>;
  readonly onFailure: (error: unknown) => void;
}

/** Short rounds take at most a tenth of the time, long ones at most a half. */
const shareMax = 9;
const restMsMax = 1500;

export function createRounds(options: RoundsOptions): Rounds {
  let timer: NodeJS.Timeout | null = null;
  let dueMs = 0;
  let earliestMs = 0;
  let running: Promise<void> | null = null;
  let poked = false;
  let started = false;

  function arm(afterMs: Ms): void {
    if (!started || running !== null) return;
    const atMs = Math.max(performance.now() + afterMs, earliestMs);
    if (timer !== null && dueMs <= atMs) return;
    if (timer !== null) clearTimeout(timer);
    dueMs = atMs;
    timer = setTimeout(begin, Math.max(0, atMs - performance.now()));
  }

  function begin(): void {
    timer = null;
    poked = false;
    const begunMs = performance.now();
    running = options
      .run()
      .catch((error: unknown) => {
        options.onFailure(error);
        return 0;
      })
      .then((workedMs) => {
        const restMs = Math.max(Math.min(workedMs * shareMax, restMsMax), workedMs);
        earliestMs = begunMs + Math.max(options.apartMs, workedMs + restMs);
        running = null;
        arm(poked ? options.gatherMs : options.periodMs);
      });
  }

  return {
    start: () => {
      started = true;
      arm(0);
    },
    stop: async () => {
      started = false;
      if (timer !== null) clearTimeout(timer);
      await running;
    },
    poke: () => {
      poked = true;
      arm(options.gatherMs);
    },
  };
}
