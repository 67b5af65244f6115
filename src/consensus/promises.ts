/**
 * A voter's promises: for each (leader, term) whose heartbeat it acknowledged, until when it grants
 * no other leader. A promise's end never moves earlier. A restarted voter does not know to whom it
 * promised, only the longest length it ever did; that promise is to nobody in particular, so no
 * closed link releases it.
 */
import type { Ms, PeerId, Term } from '../base/brand.ts';
import type { Release } from '../wire/consensus-message.ts';

export interface Promised {
  /** null: made before a restart, to whomever. */
  readonly leader: PeerId | null;
  readonly term: Term;
  untilMs: Ms;
  lengthMs: Ms;
}

/** Promises kept apart; beyond that the two oldest become one to nobody in particular. */
const promisesMax = 8;

export class PromiseBook {
  #list: Promised[] = [];

  get list(): readonly Promised[] {
    return this.#list;
  }

  /** The promise of a restarted voter. */
  assumeUnknown(untilMs: Ms, lengthMs: Ms): void {
    this.#list.push({ leader: null, term: 0, untilMs, lengthMs });
  }

  acknowledge(leader: PeerId, term: Term, nowMs: Ms, lengthMs: Ms): void {
    this.#list = this.#list.filter((promise) => promise.untilMs > nowMs);
    const known = this.#list.find((item) => item.leader === leader && item.term === term);
    if (known) {
      known.untilMs = Math.max(known.untilMs, nowMs + lengthMs);
      known.lengthMs = Math.max(known.lengthMs, lengthMs);
      return;
    }
    this.#list.push({ leader, term, untilMs: nowMs + lengthMs, lengthMs });
    if (this.#list.length > promisesMax) this.#mergeOldest();
  }

  #mergeOldest(): void {
    const [first, second, ...rest] = this.#list;
    if (!first || !second) return;
    const untilMs = Math.max(first.untilMs, second.untilMs);
    const lengthMs = Math.max(first.lengthMs, second.lengthMs);
    this.#list = [{ leader: null, term: 0, untilMs, lengthMs }, ...rest];
  }

  /** Running promises that bind against `candidate`; its own consented one is released. */
  running(candidate: PeerId, release: Release | null, nowMs: Ms): Promised[] {
    return this.#list.filter(
      (promise) =>
        promise.untilMs > nowMs &&
        promise.leader !== candidate &&
        !(release && promise.leader === release.leader && promise.term === release.term),
    );
  }

  /** How much of the longest of them remains. */
  remainingMs(candidate: PeerId, release: Release | null, nowMs: Ms): Ms {
    let longest = 0;
    for (const promise of this.running(candidate, release, nowMs))
      longest = Math.max(longest, promise.untilMs - nowMs);
    return longest;
  }

  /** Whether every promise longer than `lengthMs` has run out. */
  noneLongerThan(lengthMs: Ms, nowMs: Ms): boolean {
    return this.#list.every((item) => item.untilMs <= nowMs || item.lengthMs <= lengthMs);
  }
}
