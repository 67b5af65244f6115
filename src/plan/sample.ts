/**
 * A bounded uniform sample of a stream whose length nobody knows (reservoir sampling). When more
 * copies want a challenge than fit into a round, chance picks: a fixed order would let those that
 * never answer starve the others.
 */
import type { Prng } from '../base/prng.ts';

export interface Sample<T> {
  offer(item: T): void;
  items(): readonly T[];
}

export function createSample<T>(max: number, prng: Prng): Sample<T> {
  const kept: T[] = [];
  let offered = 0;
  return {
    offer: (item) => {
      offered++;
      if (kept.length < max) kept.push(item);
      else {
        const at = prng.int(offered);
        if (at < max) kept[at] = item;
      }
    },
    items: () => kept,
  };
}
