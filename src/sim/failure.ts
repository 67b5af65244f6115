/**
 * What a simulation can find, and the exit code that says so. A failed check is `correctness`, a
 * cluster that does not come to rest after the faults stopped is `liveness`, and an exception of
 * the code under test is a `crash` (its own assertions are one more checker).
 */
import type { Ms } from '../base/brand.ts';

export const exitCodes = {
  fine: 0,
  usage: 2,
  crash: 127,
  liveness: 128,
  correctness: 129,
} as const;
export type FailureKind = 'crash' | 'liveness' | 'correctness';

export class SimFailure extends Error {
  override readonly name = 'SimFailure';
  readonly kind: FailureKind;
  /** Name of the check, stable, for scripts and for the list of planted bugs. */
  readonly check: string;
  readonly atMs: Ms;

  constructor(kind: FailureKind, check: string, detail: string, atMs: Ms) {
    super(`${check}: ${detail}`);
    this.kind = kind;
    this.check = check;
    this.atMs = atMs;
  }
}

/** Whatever was thrown while a seed ran, as a failure. */
export function asSimFailure(thrown: unknown, atMs: Ms): SimFailure {
  if (thrown instanceof SimFailure) return thrown;
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new SimFailure('crash', 'exception', text, atMs);
}
