/**
 * Who may connect to the content host: exactly the content hosts of certified members, which the
 * agent names as providers. A content host has a key of its own; its node says in signed gossip
 * which one it is. That word may arrive a moment after the first dial, so whoever is not named yet
 * is kept waiting for it, and refused when it doesn't come.
 */
import type { Ms } from '../base/brand.ts';

const waitMsDefault: Ms = 3000;
const waitingMax = 200;

export interface Admission {
  /** Replaces the set. */
  set(peers: readonly string[]): void;
  has(peer: string): boolean;
  /** Whether the peer is let in, now or within the time that it may wait. */
  admits(peer: string): Promise<boolean>;
  /** Nobody waits any longer. */
  stop(): void;
}

export function createAdmission(waitMs: Ms = waitMsDefault): Admission {
  let members = new Set<string>();
  const waiting = new Map<() => void, string>();

  return {
    set: (peers) => {
      members = new Set(peers);
      for (const [settle, peer] of [...waiting]) if (members.has(peer)) settle();
    },
    has: (peer) => members.has(peer),
    admits: (peer) => {
      if (members.has(peer)) return Promise.resolve(true);
      if (waiting.size >= waitingMax) return Promise.resolve(false);
      return new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          waiting.delete(settle);
          resolve(members.has(peer));
        };
        const timer = setTimeout(settle, waitMs);
        waiting.set(settle, peer);
      });
    },
    stop: () => {
      members = new Set();
      for (const settle of [...waiting.keys()]) settle();
    },
  };
}
