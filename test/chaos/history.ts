/**
 * What clients asked and what they were told, with the instants of both, on one monotonic clock:
 * the material that is judged afterwards. Values are unique, so a value names the write that made
 * it. An operation whose end is unknown stays open for ever: it may have happened at any time since
 * it was sent, or never.
 */

export type Operation =
  | { readonly type: 'write'; readonly value: string }
  | { readonly type: 'cas'; readonly value: string; readonly expected: number }
  | { readonly type: 'read' };

export type Answer =
  /** A write or a compare-and-set was done and made this version. */
  | { readonly type: 'done'; readonly version: number }
  /** A compare-and-set found this version (0: nothing) and changed nothing. */
  | { readonly type: 'conflict'; readonly version: number }
  /** A read found this, or nothing. */
  | { readonly type: 'found'; readonly value: string; readonly version: number }
  | { readonly type: 'nothing' };

export interface Invocation {
  readonly key: string;
  readonly client: string;
  readonly operation: Operation;
  readonly startMs: number;
  /** Infinity while the answer is unknown. */
  endMs: number;
  /** Null: unknown. */
  answer: Answer | null;
}

export interface History {
  begin(client: string, key: string, operation: Operation): Invocation;
  end(invocation: Invocation, answer: Answer): void;
  /** It certainly did not happen, and told nothing. */
  drop(invocation: Invocation): void;
  all(): readonly Invocation[];
}

export function createHistory(nowMs: () => number): History {
  const invocations = new Set<Invocation>();
  return {
    begin: (client, key, operation) => {
      const startMs = nowMs();
      const open: Invocation = { key, client, operation, startMs, endMs: Infinity, answer: null };
      invocations.add(open);
      return open;
    },
    end: (invocation, answer) => {
      invocation.endMs = nowMs();
      invocation.answer = answer;
    },
    drop: (invocation) => {
      invocations.delete(invocation);
    },
    all: () => [...invocations],
  };
}
