/**
 * Assertions guard our own invariants and stay on in production: a node that finds its own state
 * broken stops (its lease runs out and another leads) instead of acting on it.
 * Bad input from outside is never asserted on; it is refused with an AgentError.
 */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws InvariantError with `what` unless `condition` holds. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${what}`);
}

/** Marks a switch as exhaustive: a value that reaches it is a bug. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable value: ${JSON.stringify(value)}`);
}

/** The value, asserted to be there; for look-ups that our own invariant guarantees. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InvariantError(`missing: ${what}`);
  return value;
}
