/**
 * Whom this node keeps links to: a voter to all voters, everybody else to a handful drawn at random
 * and changed one by one, never everybody to the same few. At least two of the handful are voters,
 * so that the log reaches everybody.
 */
import type { PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { MeshPeer } from './api.ts';

/** Links that a node which doesn't vote keeps open by itself. */
export const handfulSize = 5;
const votersInHandful = 2;

/** The handful to keep, as close to `last` as the rule and the members allow. */
export function chooseNeighbours(options: {
  self: PeerId;
  peers: readonly MeshPeer[];
  last: readonly PeerId[];
  /** Give up one of the last handful for another peer. */
  refresh: boolean;
  /** Links to all voters, whether or not this node votes. */
  everyVoter?: boolean;
  prng: Prng;
}): PeerId[] {
  const { self, peers, prng } = options;
  const others = peers.filter((peer) => peer.peerId !== self);
  const voters = others.filter((peer) => peer.votes).map((peer) => peer.peerId);
  const votes = peers.some((peer) => peer.peerId === self && peer.votes);
  if (votes || options.everyVoter) return voters;
  const known = new Set(others.map((peer) => peer.peerId));
  const kept = options.last.filter((peer) => known.has(peer)).slice(0, handfulSize);
  if (options.refresh && kept.length > 0 && known.size > kept.length)
    kept.splice(prng.int(kept.length), 1);
  const handful = new Set(kept);
  const fill = (from: readonly PeerId[], until: () => boolean): void => {
    for (const peer of prng.shuffle(from)) if (!until()) handful.add(peer);
  };
  const votersHeld = (): number => voters.filter((peer) => handful.has(peer)).length;
  fill(voters, () => votersHeld() >= Math.min(votersInHandful, voters.length));
  fill(
    [...known].filter((peer) => !options.last.includes(peer)),
    () => handful.size >= handfulSize,
  );
  fill([...known], () => handful.size >= handfulSize);
  return [...handful];
}
