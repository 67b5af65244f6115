/**
 * The slow round over all links: measures round trips, gives up connections whose peer doesn't
 * answer, closes idle surplus connections, and mends gossip. Gossipsub opens its stream to a peer
 * once per identify; when that stream is lost while a connection remains, nothing opens it again,
 * so the peer is identified anew.
 */
import type { Connection } from '@libp2p/interface';
import type { Ms, PeerId } from '../base/brand.ts';
import type { Asker } from './caller.ts';
import type { Host } from './host.ts';
import type { Links } from './links.ts';

const roundMs: Ms = 5000;
const pingTimeoutMs: Ms = 4000;
/** Unanswered rounds in a row until the connections are given up. */
const silentRoundsMax = 2;
/** Rounds in a row that a peer may lack our gossip stream. */
const muteRoundsMax = 2;
/** A surplus connection is left alone while it is young: streams are still being opened on it. */
const surplusAgeMs: Ms = 10_000;

export interface Upkeep {
  start(): void;
  stop(): void;
  /** One round, for tests; otherwise every few seconds. */
  round(): Promise<void>;
  /** Peers that answered no ping, or took no gossip, in the last round. */
  oneSided(): ReadonlySet<PeerId>;
  /** Opens the gossip stream to everybody who lacks it, now; to whom. */
  mendAll(): Promise<PeerId[]>;
  stats(): { pings_lost_total: number; gossip_mended_total: number; surplus_closed_total: number };
}

export interface UpkeepDeps {
  readonly host: Host;
  readonly links: Links;
  readonly self: PeerId;
  readonly asker: (peer: PeerId) => Asker;
  readonly monoMs: () => Ms;
  /** Whatever else is looked at with every round. */
  readonly onRound?: (peers: readonly PeerId[]) => void;
}

export function createUpkeep(deps: UpkeepDeps): Upkeep {
  const { host, links } = deps;
  const silent = new Map<PeerId, number>();
  const mute = new Map<PeerId, number>();
  const counts = { pings_lost_total: 0, gossip_mended_total: 0, surplus_closed_total: 0 };
  let timer: NodeJS.Timeout | null = null;

  async function measure(peer: PeerId): Promise<void> {
    const startedMs = deps.monoMs();
    try {
      await deps.asker(peer).ping(pingTimeoutMs);
      links.setRtt(peer, deps.monoMs() - startedMs);
      silent.delete(peer);
    } catch {
      counts.pings_lost_total += 1;
      const rounds = (silent.get(peer) ?? 0) + 1;
      silent.set(peer, rounds);
      if (rounds < silentRoundsMax) return;
      silent.delete(peer);
      for (const connection of links.state(peer)?.connections ?? [])
        connection.abort(new Error(`no answer to ${rounds} pings`));
    }
  }

  const takesGossip = (peer: PeerId): boolean =>
    (links.state(peer)?.connections ?? []).some((connection) =>
      connection.streams.some(
        (stream) => stream.direction === 'outbound' && stream.protocol.startsWith('/meshsub/'),
      ),
    );

  async function mendGossip(peer: PeerId): Promise<void> {
    if (takesGossip(peer)) {
      mute.delete(peer);
      return;
    }
    const rounds = (mute.get(peer) ?? 0) + 1;
    mute.set(peer, rounds);
    if (rounds >= muteRoundsMax) await identifyAnew(peer);
  }

  async function identifyAnew(peer: PeerId): Promise<void> {
    const connection = links.connection(peer);
    if (connection === null) return;
    mute.delete(peer);
    counts.gossip_mended_total += 1;
    try {
      await host.services.identify.identify(connection);
    } catch {
      // The link broke meanwhile; the next connection is identified anyway.
      mute.delete(peer);
    }
  }

  /** Only the smaller id closes, or both sides could close a different one of two. */
  function closeSurplus(peer: PeerId): void {
    const connections = links.state(peer)?.connections ?? [];
    if (connections.length < 2 || deps.self > peer) return;
    const surplus = connections.slice(1).find(isIdle);
    if (!surplus) return;
    counts.surplus_closed_total += 1;
    surplus.close().catch((error: Error) => surplus.abort(error));
  }

  function isIdle(connection: Connection): boolean {
    return connection.streams.length === 0 && Date.now() - connection.timeline.open > surplusAgeMs;
  }

  async function round(): Promise<void> {
    const peers = links.peers();
    for (const seen of [silent, mute])
      for (const peer of seen.keys()) if (!peers.includes(peer)) seen.delete(peer);
    for (const peer of peers) closeSurplus(peer);
    deps.onRound?.(peers);
    await Promise.all(peers.flatMap((peer) => [measure(peer), mendGossip(peer)]));
  }

  function schedule(): void {
    timer = setTimeout(() => {
      void round().finally(() => {
        if (timer !== null) schedule();
      });
    }, roundMs);
    timer.unref();
  }

  return {
    start: schedule,
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
    round,
    oneSided: () => new Set([...silent.keys(), ...mute.keys()]),
    mendAll: async () => {
      const lacking = links.peers().filter((peer) => !takesGossip(peer));
      await Promise.all(lacking.map(identifyAnew));
      return lacking;
    },
    stats: () => ({ ...counts }),
  };
}
