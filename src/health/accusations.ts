/**
 * Who accuses whom, as told in the newest health record of each accuser. An accusation names the
 * record of the accused up to which it holds: a newer record of the accused voids it.
 */
import type { PeerId } from '../base/brand.ts';

/** One word of a node about itself: which run of it, and the how-manieth word of that run. */
export interface Beat {
  readonly incarnation: number;
  readonly beat: number;
}

export const isOlder = (a: Beat, b: Beat): boolean =>
  (a.incarnation - b.incarnation || a.beat - b.beat) < 0;

export interface Accusation extends Beat {
  readonly peer: PeerId;
}

/** Accusations in one record: its size does not grow with the cluster. */
export const accusationsMax = 32;

export interface Accusations {
  /** Replaces what this accuser said before. */
  say(accuser: PeerId, accused: readonly Accusation[]): void;
  /** Accusers of `peer` whose word is no older than `known`, its own newest word here. */
  of(peer: PeerId, known: Beat): PeerId[];
  forget(accuser: PeerId): void;
}

export function createAccusations(): Accusations {
  const byAccuser = new Map<PeerId, readonly Accusation[]>();
  return {
    say: (accuser, accused) => {
      if (accused.length === 0) byAccuser.delete(accuser);
      else byAccuser.set(accuser, accused.slice(0, accusationsMax));
    },
    of: (peer, known) =>
      [...byAccuser]
        .filter(([, list]) => list.some((one) => one.peer === peer && !isOlder(one, known)))
        .map(([accuser]) => accuser),
    forget: (accuser) => {
      byAccuser.delete(accuser);
    },
  };
}
