/**
 * The machine's clocks as the pure rooms see them. The monotonic clock stands still while a machine
 * is suspended; wall time and boot time go on. What they gained on it since the process started is
 * `skippedMs`, and growth of that voids a lease. A wall clock set back never shrinks the figure.
 */
import { uptime } from 'node:os';
import type { Clock } from '../base/clock.ts';

export function createSystemClock(): Clock {
  const monoStartMs = performance.now();
  const wallStartMs = Date.now();
  const bootStartMs = uptime() * 1000;
  return {
    now: () => {
      const monoMs = performance.now();
      const elapsedMs = monoMs - monoStartMs;
      const wallMs = Date.now() - wallStartMs;
      // Boot time has a resolution of 10 ms; rounding it down can only hide what wall time shows.
      const bootMs = uptime() * 1000 - bootStartMs - 10;
      return { monoMs, skippedMs: Math.max(0, wallMs - elapsedMs, bootMs - elapsedMs) };
    },
    wallMs: () => Date.now(),
  };
}
