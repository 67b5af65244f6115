/**
 * What the pure rooms know of time. Leases and timeouts use `monoMs` only; `skippedMs` reveals a
 * machine that was suspended, which the monotonic clock does not see.
 */
import type { Ms } from './brand.ts';

export interface Now {
  /** Monotonic clock of this node; never compared with another node's. */
  readonly monoMs: Ms;
  /**
   * By how much wall or boot time (the larger) has advanced beyond the monotonic clock since the
   * process started. More than 20 ms of growth since a lease renewal voids the lease.
   */
  readonly skippedMs: Ms;
}

export interface Clock {
  now(): Now;
  /** Wall time in ms since the Unix epoch; for people, records and entries, never for leases. */
  wallMs(): Ms;
}
