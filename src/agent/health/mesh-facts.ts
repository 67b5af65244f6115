/** The figures of the mesh that its score is made of, from links and directory. */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { MeshFacts } from '../../health/mesh-score.ts';
import type { Mesh, MeshLink } from '../../mesh/api.ts';
import type { Directory } from '../directory.ts';
import type { MeshReport } from './api.ts';

export function meshFactsOf(input: {
  readonly self: PeerId;
  readonly directory: Directory;
  readonly links: readonly MeshLink[];
  readonly alive: (peer: PeerId) => boolean;
  readonly gossipAgeMs: Ms | null;
  readonly upForMs: Ms;
}): MeshFacts {
  const { directory, links } = input;
  const members = directory
    .configuration()
    .members.map(({ peerId }) => peerId)
    .filter((peer) => peer !== input.self);
  const isMember = new Set(members);
  const open = links.filter(({ peerId, connected }) => connected && isMember.has(peerId));
  const linked = new Set(open.map(({ peerId }) => peerId));
  const wanted = links.filter(({ peerId, wanted }) => wanted && input.alive(peerId));
  return {
    members: members.length,
    discovered: members.filter(
      (peer) => linked.has(peer) || directory.factsOf(peer).addresses.length > 0,
    ).length,
    wanted: wanted.length,
    connected: wanted.filter(({ connected }) => connected).length,
    links: open.length,
    roundTripsMs: open.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs])),
    gossipAgeMs: input.gossipAgeMs,
    upForMs: input.upForMs,
    oneSided: open.filter(({ oneSided }) => oneSided).map(({ peerId }) => directory.nameOf(peerId)),
  };
}

function portOf(addresses: readonly string[]): number | null {
  const port = /\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1];
  return port === undefined ? null : Number(port);
}

export function meshReportOf(
  facts: MeshFacts,
  mesh: Mesh,
  more: Pick<MeshReport, 'bootstrapPeers' | 'lastHealAt'>,
): MeshReport {
  const addresses = mesh.addresses();
  const { sent, received } = mesh.traffic();
  return {
    ...facts,
    ...more,
    peerId: mesh.peerId,
    port: portOf(addresses),
    addresses,
    protocols: mesh.protocols(),
    bytesSent: sent,
    bytesReceived: received,
  };
}
