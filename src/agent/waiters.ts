/**
 * Who waits for which answer of the step machine. Every ref is answered once; the map has a
 * maximum, and beyond it new work is refused with `overloaded` instead of piling up.
 */
import { AgentError } from '../base/error.ts';

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: AgentError) => void;
}

export interface Waiters<T> {
  /** A new ref and the promise of its answer; `start` is told the ref. */
  open(start: (ref: number) => void): Promise<T>;
  settle(ref: number, value: T): void;
  /** Ends all of them; nobody is left waiting when the agent stops. */
  rejectAll(error: AgentError): void;
  size(): number;
}

export function createWaiters<T>(what: string, waitersMax: number): Waiters<T> {
  const waiting = new Map<number, Waiter<T>>();
  let lastRef = 0;
  return {
    open: (start) => {
      if (waiting.size >= waitersMax)
        return Promise.reject(
          new AgentError('overloaded', `${waitersMax} ${what} are waiting already; try later`),
        );
      lastRef += 1;
      const ref = lastRef;
      return new Promise<T>((resolve, reject) => {
        waiting.set(ref, { resolve, reject });
        start(ref);
      });
    },
    settle: (ref, value) => {
      const waiter = waiting.get(ref);
      waiting.delete(ref);
      waiter?.resolve(value);
    },
    rejectAll: (error) => {
      const all = [...waiting.values()];
      waiting.clear();
      for (const waiter of all) waiter.reject(error);
    },
    size: () => waiting.size,
  };
}
