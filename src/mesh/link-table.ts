/**
 * The links as the rest of the agent sees them, and how many connections and streams they are made
 * of.
 */
import type { PeerId } from '../base/brand.ts';
import type { MeshLink } from './api.ts';
import type { Links } from './links.ts';

export function listLinks(options: {
  readonly links: Links;
  readonly peers: ReadonlySet<PeerId>;
  readonly self: PeerId;
  readonly wanted: readonly PeerId[];
  readonly oneSided: ReadonlySet<PeerId>;
}): MeshLink[] {
  const { links } = options;
  const wanted = new Set(options.wanted);
  return [...options.peers]
    .filter((peer) => peer !== options.self)
    .map((peerId) => {
      const state = links.state(peerId);
      const connections = state?.connections ?? [];
      const directions = new Set(connections.map((connection) => connection.direction));
      const one = directions.has('inbound') ? 'in' : 'out';
      return {
        peerId,
        connected: connections.length > 0,
        direction: directions.size === 2 ? 'both' : directions.size === 1 ? one : 'none',
        rttMs: connections.length > 0 ? (state?.rttMs ?? null) : null,
        remoteAddress: connections[0]?.remoteAddr.toString() ?? null,
        sinceMs: state?.sinceMs ?? 0,
        wanted: wanted.has(peerId),
        oneSided: connections.length > 0 && options.oneSided.has(peerId),
      };
    });
}

export function countStreams(links: Links): Record<string, number> {
  const connections = links.all();
  const streams = connections.flatMap((connection) => connection.streams);
  return {
    peers_connected: links.peers().length,
    connections: connections.length,
    streams: streams.length,
    streams_outbound: streams.filter((stream) => stream.direction === 'outbound').length,
  };
}
