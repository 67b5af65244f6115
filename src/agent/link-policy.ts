/**
 * Whom this node keeps links to, told to the mesh: voters link to all voters, everybody else to a
 * handful. What a node believes of the voters may be old: a former voter that comes back would wait
 * for word from voters it no longer reaches, while the leader keeps no link to a standby. So every
 * member that could vote counts as a voter here while they are few, and, whatever their number,
 * while this node knows no leader.
 */
import type { PeerId } from '../base/brand.ts';
import type { Mesh, MeshPeer } from '../mesh/api.ts';
import type { Directory } from './directory.ts';
import type { Leadership } from './leadership.ts';

/** Members that could vote, up to which all of them are linked to each other. */
const fullMeshMax = 16;

export function linkTargets(directory: Directory, leader: PeerId | null): MeshPeer[] {
  const known = directory.meshPeers();
  const eligible = known.filter((peer) => directory.certificateOf(peer.peerId)?.votes === true);
  const all = leader === null || eligible.length <= fullMeshMax;
  return known.map((peer) => {
    const mayVote = directory.certificateOf(peer.peerId)?.votes === true;
    return { ...peer, votes: peer.votes || (mayVote && (all || peer.peerId === leader)) };
  });
}

/** Changes of one turn are told together, and only what differs from the last time. */
export function keepLinks(parts: {
  readonly mesh: Mesh;
  readonly directory: Directory;
  readonly leadership: Leadership;
}): void {
  const { mesh, directory, leadership } = parts;
  let due = false;
  let told = '';
  const tell = (): void => {
    due = false;
    const targets = linkTargets(directory, leadership.view().leader);
    const text = JSON.stringify(targets);
    if (text === told) return;
    told = text;
    mesh.setPeers(targets);
  };
  const soon = (): void => {
    if (due) return;
    due = true;
    setImmediate(tell);
  };
  directory.onChange(soon);
  leadership.onChange(soon);
}
