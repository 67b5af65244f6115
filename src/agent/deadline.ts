/**
 * Waiting with a limit. A promise that is given up on keeps its own end; only the waiting stops.
 */
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

/** The promise's end, or `timeout` with `what` after `ms`. */
export function within<T>(ms: Ms, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new AgentError('timeout', `${what}: no answer within ${Math.round(ms)} ms`)),
      Math.max(0, ms),
    );
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Resolves after `ms`, or at once when the signal aborts; for pauses between retries. */
export function pause(ms: Ms, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
