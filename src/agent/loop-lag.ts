/**
 * How late the main thread's event loop is. A timer that wakes every few milliseconds costs more
 * than an idle agent's whole work, so it is sampled often only while the loop has something to do;
 * while it sleeps most of the time, a few samples a second show what there is to see.
 */
import { performance } from 'node:perf_hooks';
import type { Ms } from '../base/brand.ts';

const busyPeriodMs: Ms = 10;
const idlePeriodMs: Ms = 250;
/** Share of its time that the loop is awake, from which on it is sampled often. */
const busyShare = 0.25;
/** Samples kept between two looks; more than a second's worth, the oldest are overwritten. */
const recentMax = 256;

export interface LoopLag {
  /** The 99th percentile since the last call, ms. */
  recentP99Ms(): Ms;
  stop(): void;
}

export function createLoopLag(onSample: (lateMs: Ms) => void): LoopLag {
  const recent: Ms[] = [];
  let samples = 0;
  let used = performance.eventLoopUtilization();
  let usedAtMs = performance.now();
  let periodMs = idlePeriodMs;
  let timer = arm();

  function arm(): NodeJS.Timeout {
    const dueMs = performance.now() + periodMs;
    // Node's timers round to whole milliseconds, so up to one of them is no lateness.
    return setTimeout(() => sample(performance.now() - dueMs - 1), periodMs).unref();
  }

  function sample(lateMs: Ms): void {
    const late = Math.max(0, lateMs);
    recent[samples % recentMax] = late;
    samples += 1;
    onSample(late);
    choosePeriod();
    timer = arm();
  }

  function choosePeriod(): void {
    const nowMs = performance.now();
    if (nowMs - usedAtMs < idlePeriodMs) return;
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, used);
    used = now;
    usedAtMs = nowMs;
    periodMs = utilization > busyShare ? busyPeriodMs : idlePeriodMs;
  }

  return {
    recentP99Ms() {
      const sorted = recent.toSorted((a, b) => a - b);
      recent.length = 0;
      samples = 0;
      return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    },
    stop: () => clearTimeout(timer),
  };
}
