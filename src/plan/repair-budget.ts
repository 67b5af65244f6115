/**
 * Bytes per second that repairs may copy: a bucket that fills with time up to a burst. A repair is
 * begun while anything is left and may overdraw, so that a pin larger than the burst is repaired
 * too; the debt then delays the next ones.
 */
import type { Ms } from '../base/brand.ts';

export interface RepairBudget {
  /** Bytes that may be started now; 0 while in debt. */
  available(nowMs: Ms): number;
  spend(bytes: number, nowMs: Ms): void;
}

export function createRepairBudget(options: {
  readonly bytesPerSecond: number;
  readonly burstSeconds: number;
}): RepairBudget {
  const burst = options.bytesPerSecond * options.burstSeconds;
  let left = burst;
  let filledMs: Ms | null = null;
  const fill = (nowMs: Ms): void => {
    const passedMs = filledMs === null ? 0 : Math.max(0, nowMs - filledMs);
    left = Math.min(burst, left + (passedMs / 1000) * options.bytesPerSecond);
    filledMs = Math.max(nowMs, filledMs ?? nowMs);
  };
  return {
    available: (nowMs) => {
      fill(nowMs);
      return Math.max(0, left);
    },
    spend: (bytes, nowMs) => {
      fill(nowMs);
      left -= bytes;
    },
  };
}
