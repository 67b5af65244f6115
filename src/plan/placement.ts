/**
 * Where a copy goes: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in
 * Schindelhauer and Schomaker 2005) among the nodes that may hold one. Every node scores every CID
 * by itself, so a node that comes or goes moves only what it wins or held. Zones are spread over
 * first, scores decide within. Whoever is left out is named with a code.
 */
import { hash } from 'node:crypto';
import type { CidText, PeerId } from '../base/brand.ts';
import type { Exclusion } from './action.ts';
import type { NodeView } from './observed.ts';

/** Uniform in (0, 1) from CID and peer. */
function draw(cid: CidText, peer: PeerId): number {
  const bytes = hash('sha256', `${cid}|${peer}`, 'buffer');
  return (bytes.readUIntBE(0, 6) + 0.5) / 2 ** 48;
}

const gibibyte = 2 ** 30;
const classMax = 5;

/** Shares that a node gets of new copies; a node that has said nothing counts as healthy. */
const healthShare = { healthy: 1, unknown: 1, degraded: 1 / 2, unhealthy: 1 / 16 } as const;

/**
 * 1, 2, 4 .. 32: doubles with every fourfold free space from 4 GiB on; coarse, so it rests. Less
 * for a node that is not well.
 */
export function weightOf(node: NodeView): number {
  return roomOf(node) * healthShare[node.health];
}

function roomOf(node: NodeView): number {
  if (node.bytesFree === null) return 1;
  const fourfolds = Math.floor(Math.log2(Math.max(1, node.bytesFree / gibibyte)) / 2);
  return 2 ** Math.min(classMax, fourfolds);
}

/** The higher, the rather it holds the CID; proportional to the weight over many CIDs. */
export function scoreOf(cid: CidText, node: NodeView): number {
  return -weightOf(node) / Math.log(draw(cid, node.peer));
}

export interface PlacementRequest {
  readonly cid: CidText;
  readonly bytes: number;
  readonly count: number;
  readonly nodes: readonly NodeView[];
  /** Peers in the allocation already, whatever became of them. */
  readonly holders: ReadonlySet<PeerId>;
  /** Holders whose copy is failing: named apart from those that hold it well. */
  readonly failing: ReadonlySet<PeerId>;
  /** Hold the blocks without being allocated: taken first, nothing has to be copied. */
  readonly strays: ReadonlySet<PeerId>;
  /** Zones of the copies that stand. */
  readonly zones: readonly string[];
  /** Bytes given to a peer earlier in this round. */
  readonly bytesPlanned: ReadonlyMap<PeerId, number>;
}

export interface Placement {
  readonly chosen: readonly PeerId[];
  readonly excluded: readonly Exclusion[];
}

function exclusionOf(request: PlacementRequest, node: NodeView): Exclusion | null {
  const { peer } = node;
  if (node.role === 'leecher' || node.role === 'witness') return { peer, code: 'role' };
  if (request.failing.has(peer)) return { peer, code: 'copy-failed' };
  if (request.holders.has(peer)) return { peer, code: 'holds-already' };
  if (node.state !== 'alive') return { peer, code: node.state };
  if (node.draining) return { peer, code: 'draining' };
  if (node.bytesFree === null || request.strays.has(peer)) return null;
  const bytesFree = node.bytesFree - node.bytesQueued - (request.bytesPlanned.get(peer) ?? 0);
  if (bytesFree >= request.bytes) return null;
  return { peer, code: 'no-room', bytesFree, bytesNeeded: request.bytes };
}

/** Whether any node could take a copy; cheaper than placing one. */
export function hasCandidate(request: PlacementRequest): boolean {
  return request.nodes.some((node) => exclusionOf(request, node) === null);
}

/** Up to `count` peers, best first, and why the others were not considered. */
export function placeCopies(request: PlacementRequest): Placement {
  const excluded: Exclusion[] = [];
  const candidates: { node: NodeView; score: number }[] = [];
  for (const node of request.nodes) {
    const exclusion = exclusionOf(request, node);
    if (exclusion !== null) excluded.push(exclusion);
    else candidates.push({ node, score: scoreOf(request.cid, node) });
  }
  candidates.sort((a, b) => b.score - a.score || (a.node.peer < b.node.peer ? -1 : 1));
  const stray = (candidate: { node: NodeView } | undefined): boolean =>
    candidate !== undefined && request.strays.has(candidate.node.peer);
  const inZone = new Map<string, number>();
  for (const zone of request.zones) inZone.set(zone, (inZone.get(zone) ?? 0) + 1);
  const crowd = (zone: string): number => inZone.get(zone) ?? 0;
  const chosen: PeerId[] = [];
  while (chosen.length < request.count && candidates.length > 0) {
    let best = 0;
    for (const [at, candidate] of candidates.entries()) {
      const known = stray(candidates[best]);
      const emptier = crowd(candidate.node.zone) < crowd(candidates[best]?.node.zone ?? '');
      if (stray(candidate) === known ? emptier : !known) best = at;
    }
    const [winner] = candidates.splice(best, 1);
    if (winner === undefined) break;
    chosen.push(winner.node.peer);
    inZone.set(winner.node.zone, crowd(winner.node.zone) + 1);
  }
  return { chosen, excluded };
}
