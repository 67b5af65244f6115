/**
 * Puts the mesh together: host, links, lines to each peer, reconnector, gossip and upkeep behind
 * the `Mesh` interface. Nothing listens or dials before `start`, and `stop` leaves no timer, stream
 * or socket behind.
 */
import type { Connection, Stream } from '@libp2p/interface';
import type { ClusterId, Ms, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { Prng } from '../base/prng.ts';
import { type NetworkKeys, onlyNetworkKey } from '../wire/network-key.ts';
import type { Mesh, MeshHandlers, MeshPeer } from './api.ts';
import { sendBytes } from './byte-stream.ts';
import { allRefuse, dialAddress, dialPeer, reachesPeer } from './dialer.ts';
import { createGossiper } from './gossip.ts';
import { healMesh } from './heal.ts';
import { createHost, type Host } from './host.ts';
import { loadIdentity, nextIncarnation } from './identity.ts';
import { askOverConnection, createInstances } from './instances.ts';
import { countStreams, listLinks } from './link-table.ts';
import { createLinks, type Links } from './links.ts';
import { chooseNeighbours } from './neighbours.ts';
import { bytesProtocol, createPeerLines, type PeerLines } from './peer-lines.ts';
import { createReconnector } from './reconnector.ts';
import { createRecords } from './records.ts';
import { serve } from './serving.ts';
import { createUpkeep } from './upkeep.ts';
import { createVisits } from './visits.ts';

/** One of the handful of a node that doesn't vote is changed this often. */
const refreshMs: Ms = 5 * 60 * 1000;
/** After gossip of another run with its key, a node keeps links to all voters for this long. */
const suspicionMs: Ms = 10 * 60 * 1000;
const openStreamTimeoutMs: Ms = 5000;
/** A dial for the sake of a frame is waited for no longer. */
const visitMsMax: Ms = 5000;
/** Beyond the wait after which a closed link counts as gone anyway, and short beside a dial. */
const knockTimeoutMs: Ms = 250;

export interface MeshDeps {
  readonly handlers: MeshHandlers;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log?: (fact: { type: string } & Record<string, unknown>) => void;
}

export interface MeshOptions {
  /** Folder of the identity key, made if it isn't there. */
  readonly dir: string;
  /** Multiaddrs to listen on, e.g. `/ip4/127.0.0.1/tcp/0`. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell others instead of those listened on. */
  readonly announce?: readonly string[];
  /** A swarm key file's text, or 64 hex digits; a function where the keys may change. */
  readonly networkKey: string | (() => NetworkKeys);
  /** Gossip of other clusters is refused; null, or a function answering null, while unknown. */
  readonly clusterId?: ClusterId | null | (() => ClusterId | null);
}

/** Loads or makes the identity and prepares a mesh that is not started. */
export async function createMesh(deps: MeshDeps, options: MeshOptions): Promise<Mesh> {
  const { handlers, clock, prng } = deps;
  const identity = await loadIdentity(options.dir, { create: true });
  const incarnation = await nextIncarnation(options.dir, clock.wallMs());
  const { clusterId } = options;
  const cluster = typeof clusterId === 'function' ? clusterId : () => clusterId ?? null;
  const monoMs = (): Ms => clock.now().monoMs;
  const self = identity.peerId;
  const traffic = { sent: 0, received: 0 };
  const host = await createHost({
    traffic,
    privateKey: identity.privateKey,
    listen: options.listen,
    announce: options.announce ?? [],
    networkKeys: keysOf(options.networkKey),
    onHandshakeFailed: handlers.onHandshakeFailed,
  });

  const lines = new Map<PeerId, PeerLines>();
  const counts = { frames_sent_total: 0, frames_received_total: 0, frames_dropped_total: 0 };
  let peers = new Map<PeerId, MeshPeer>();
  let neighbours: PeerId[] = [];
  let refreshTimer: NodeJS.Timeout | null = null;

  let suspiciousUntilMs: Ms = Number.NEGATIVE_INFINITY;

  const links = createLinks({
    ...{ host, monoMs, onChange: linkChanged },
    onSurplus: (peer) => void instances.examine(peer),
  });
  const instances = createInstances<Connection>({
    ...{ self, privateKey: identity.privateKey, monoMs, log: deps.log },
    connections: links.open,
    addressOf: (connection) => connection.remoteAddr.toString(),
    ask: askOverConnection,
    onClash: handlers.onClash,
  });
  const reconnector = createReconnector({
    self,
    prng: prng.fork(),
    monoMs,
    connected: links.connected,
    dial,
    onFailed: (peer) => handlers.onLink(peer, 'redial-failed'),
  });
  const visits = createVisits({
    ...{ monoMs, connected: links.connected },
    dial: (peer) => dial(peer, false),
  });
  const records = createRecords({
    self,
    privateKey: identity.privateKey,
    incarnation,
    cluster,
    wallMs: () => clock.wallMs(),
    mayGossip: handlers.mayGossip,
  });
  const gossip = createGossiper({
    self,
    host,
    records,
    prng: prng.fork(),
    monoMs,
    wallMs: () => clock.wallMs(),
    peers: links.peers,
    request: (to, name, body, timeoutMs) => linesTo(to).asker.request(name, body, timeoutMs),
    deliver: (from, topic, body) => {
      if (from === self) suspectClash();
      handlers.onGossip(from, topic, body);
    },
  });
  const upkeep = createUpkeep({
    ...{ host, links, self, monoMs, asker: (peer) => linesTo(peer).asker },
    onRound: instances.round,
  });

  /** A member that nobody dials for us. */
  const isRemote = (peer: PeerId): boolean =>
    peers.has(peer) && !neighbours.includes(peer) && !links.connected(peer);

  /** Lines exist while a link does; to anybody else they refuse at once. */
  function linesTo(peer: PeerId): PeerLines {
    const existing = lines.get(peer);
    if (existing) return existing;
    if (!links.connected(peer)) throw new AgentError('unavailable', `not connected to ${peer}`);
    const made = createPeerLines(
      () => links.connection(peer),
      (dropped) => {
        counts.frames_dropped_total += dropped;
      },
    );
    lines.set(peer, made);
    return made;
  }

  function linkChanged(peer: PeerId, change: 'opened' | 'closed'): void {
    if (change === 'opened') {
      reconnector.opened(peer);
      linesTo(peer).frames.connected();
      gossip.opened(peer);
    } else {
      lines.get(peer)?.close();
      lines.delete(peer);
    }
    handlers.onLink(peer, change);
    if (change === 'closed') reconnector.closed(peer);
  }

  async function dial(peer: PeerId, urgent: boolean): Promise<void> {
    const addresses = peers.get(peer)?.addresses ?? [];
    try {
      if (urgent && (await allRefuse(addresses, knockTimeoutMs))) return;
      await dialPeer(host, peer, addresses);
    } catch (error) {
      // Whether it failed is decided by whether there is a connection now, not by the error.
      deps.log?.({ type: 'dial-failed', peer, reason: asAgentError(error).message });
    }
  }

  /** A later run of this key speaks: whoever is linked to both can prove it, if it lives. */
  function suspectClash(): void {
    const before = suspiciousUntilMs;
    suspiciousUntilMs = monoMs() + suspicionMs;
    if (before < monoMs()) choose(false);
  }

  function choose(refresh: boolean): void {
    neighbours = chooseNeighbours({
      ...{ self, everyVoter: monoMs() < suspiciousUntilMs },
      peers: [...peers.values()],
      last: neighbours,
      refresh,
      prng,
    });
    reconnector.setTargets(neighbours);
  }

  return {
    peerId: self,
    identityCreated: identity.created,
    incarnation,
    async start() {
      links.start();
      await serve(host, handlers, { lines: linesTo, gossip, instances, counts });
      await startHost(host);
      gossip.start();
      upkeep.start();
      refreshTimer = setInterval(() => choose(true), refreshMs);
      refreshTimer.unref();
      choose(false);
    },
    async stop() {
      if (refreshTimer !== null) clearInterval(refreshTimer);
      reconnector.stop();
      gossip.stop();
      upkeep.stop();
      for (const line of lines.values()) line.close();
      await host.stop();
      links.stop();
      lines.clear();
    },
    addresses: () => host.getMultiaddrs().map((address) => address.toString()),
    setPeers(list) {
      const before = peers;
      peers = new Map(list.map((peer) => [peer.peerId, peer]));
      choose(false);
      for (const { peerId, addresses } of list) {
        const known = before.get(peerId)?.addresses ?? [];
        if (addresses.some((address) => !known.includes(address))) reconnector.hurry(peerId);
      }
    },
    dial: (address, { timeoutMs }) => dialAddress(host, address, timeoutMs),
    reaches: (peer, { timeoutMs }) =>
      reachesPeer(host, peer, { addresses: peers.get(peer)?.addresses ?? [], timeoutMs }),
    send(to, frame) {
      const sent = lines.get(to)?.frames.send(frame) ?? false;
      if (sent) counts.frames_sent_total += 1;
      else counts.frames_dropped_total += 1;
      // Consensus repeats what a voter did not answer.
      if (!sent && isRemote(to) && peers.get(to)?.votes) void visits.to(to, visitMsMax);
      return sent;
    },
    async request(to, name, body, { timeoutMs, linkedOnly }) {
      const begunMs = monoMs();
      if (linkedOnly !== true && isRemote(to)) await visits.to(to, timeoutMs);
      const leftMs = Math.max(1, timeoutMs - (monoMs() - begunMs));
      return linesTo(to).asker.request(name, body, leftMs);
    },
    async sendStream(to, name, header, source) {
      await sendBytes(await openBytes(links, to), name, header, source);
    },
    publish: (topic, body) => gossip.publish(topic, body),
    links: () =>
      listLinks({
        links,
        self,
        peers: new Set([...peers.keys(), ...links.peers()]),
        wanted: neighbours,
        oneSided: upkeep.oneSided(),
      }),
    protocols: () => host.getProtocols(),
    traffic: () => ({ ...traffic }),
    heal: () => healMesh({ reconnector, upkeep, gossip }),
    stats: () => ({
      ...counts,
      ...reconnector.stats(),
      ...gossip.stats(),
      ...upkeep.stats(),
      ...instances.stats(),
      ...countStreams(links),
    }),
  };
}

function keysOf(given: MeshOptions['networkKey']): () => NetworkKeys {
  if (typeof given === 'function') return given;
  const only = onlyNetworkKey(given);
  return () => only;
}

async function startHost(host: Host): Promise<void> {
  try {
    await host.start();
  } catch (cause) {
    const text = cause instanceof Error ? `${cause.message}` : String(cause);
    if (text.includes('EADDRINUSE'))
      throw new AgentError('port-in-use', `mesh port: ${text}`, { cause });
    throw cause;
  }
}

function openBytes(links: Links, to: PeerId): Promise<Stream> {
  const connection = links.connection(to);
  if (connection === null) throw new AgentError('unavailable', `not connected to ${to}`);
  return connection.newStream(bytesProtocol, { signal: AbortSignal.timeout(openStreamTimeoutMs) });
}
