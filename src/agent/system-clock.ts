/**
 * The machine's clocks as the pure rooms see them. The monotonic clock stands still while a machine
 * is suspended; wall time and boot time go on. What they gained on it since the process started is
 * `skippedMs`, and growth of that voids a lease. A wall clock set back never shrinks the figure.
 */
import { uptime } from 'node:os';
import type { Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';

/** Reading boot time opens a file; this is far inside the 20 ms that lease arithmetic keeps. */
const bootSampleMs = 5;

/** The machine's monotonic clock, the same in all of its processes. */
export const machineMonoMs = (): Ms => Number(process.hrtime.bigint()) / 1e6;

export function createSystemClock(): Clock {
  const monoStartMs = performance.now();
  const wallStartMs = Date.now();
  const bootStartMs = uptime() * 1000;
  let bootSkippedMs = 0;
  let bootSampledMs = monoStartMs;
  return {
    now: () => {
      const monoMs = performance.now();
      const elapsedMs = monoMs - monoStartMs;
      const wallSkippedMs = Date.now() - wallStartMs - elapsedMs;
      if (monoMs - bootSampledMs >= bootSampleMs) {
        bootSampledMs = monoMs;
        // Its resolution is 10 ms; rounding it down can only hide what wall time shows.
        bootSkippedMs = uptime() * 1000 - bootStartMs - 10 - elapsedMs;
      }
      return { monoMs, skippedMs: Math.max(0, wallSkippedMs, bootSkippedMs) };
    },
    wallMs: () => Date.now(),
  };
}
