/**
 * The newest health record of every member, whatever way it came: newer by (incarnation, beat)
 * replaces older, never the other way round, and who is no member any more is forgotten.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import { type Beat, isOlder } from './accusations.ts';

export interface Held<R extends Beat> {
  readonly record: R;
  /** Monotonic instant of its arrival. */
  readonly atMs: Ms;
}

export interface RecordBook<R extends Beat> {
  setMembers(peers: readonly PeerId[]): void;
  /** False if it is no news, or of nobody that counts. */
  take(peer: PeerId, record: R, nowMs: Ms): boolean;
  of(peer: PeerId): Held<R> | null;
}

export function createRecordBook<R extends Beat>(): RecordBook<R> {
  const held = new Map<PeerId, Held<R>>();
  let members = new Set<PeerId>();
  return {
    setMembers: (peers) => {
      members = new Set(peers);
      for (const peer of held.keys()) if (!members.has(peer)) held.delete(peer);
    },
    take: (peer, record, nowMs) => {
      const known = held.get(peer);
      if (!members.has(peer) || (known !== undefined && !isOlder(known.record, record)))
        return false;
      held.set(peer, { record, atMs: nowMs });
      return true;
    },
    of: (peer) => held.get(peer) ?? null,
  };
}
