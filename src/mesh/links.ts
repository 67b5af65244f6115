/**
 * Which peers are connected, from the host's connection events. A link is open while at least one
 * connection to the peer is; `closed` is said the moment the last one is gone, and closing a
 * surplus connection says nothing.
 */
import type { Connection } from '@libp2p/interface';
import type { Ms, PeerId } from '../base/brand.ts';
import type { Host } from './host.ts';

export interface LinkState {
  readonly connections: readonly Connection[];
  readonly rttMs: Ms | null;
  /** Monotonic; when the link last opened or closed. */
  readonly sinceMs: Ms;
}

export interface Links {
  start(): void;
  stop(): void;
  connected(peer: PeerId): boolean;
  /** The oldest open connection: both sides keep using what they have. */
  connection(peer: PeerId): Connection | null;
  state(peer: PeerId): LinkState | null;
  peers(): PeerId[];
  setRtt(peer: PeerId, rttMs: Ms): void;
  /** The open connections to a peer, the oldest first. */
  open(peer: PeerId): Connection[];
  all(): Connection[];
}

export interface LinksDeps {
  readonly host: Host;
  readonly monoMs: () => Ms;
  readonly onChange: (peer: PeerId, change: 'opened' | 'closed') => void;
  /** A further connection to a peer that has one. */
  readonly onSurplus: (peer: PeerId) => void;
}

type State = { connections: Connection[]; rttMs: Ms | null; sinceMs: Ms };

/** Peers remembered after their link closed, for `sinceMs`. */
const closedKeptMax = 1024;

export function createLinks(deps: LinksDeps): Links {
  const { host, monoMs, onChange, onSurplus } = deps;
  const states = new Map<PeerId, State>();

  function opened(event: CustomEvent<Connection>): void {
    const connection = event.detail;
    if (connection.status !== 'open') return;
    const peer = connection.remotePeer.toString();
    const state = states.get(peer) ?? { connections: [], rttMs: null, sinceMs: monoMs() };
    states.set(peer, state);
    state.connections.push(connection);
    if (state.connections.length > 1) {
      onSurplus(peer);
      return;
    }
    state.rttMs = null;
    state.sinceMs = monoMs();
    onChange(peer, 'opened');
  }

  function closed(event: CustomEvent<Connection>): void {
    const peer = event.detail.remotePeer.toString();
    const state = states.get(peer);
    if (!state) return;
    const left = state.connections.filter((connection) => connection.id !== event.detail.id);
    if (left.length === state.connections.length) return;
    state.connections = left;
    if (left.length > 0) return;
    state.sinceMs = monoMs();
    forgetOldest();
    onChange(peer, 'closed');
  }

  function forgetOldest(): void {
    if (states.size <= closedKeptMax) return;
    for (const [peer, state] of states) {
      if (state.connections.length === 0) states.delete(peer);
      if (states.size <= closedKeptMax) return;
    }
  }

  const open = (peer: PeerId): Connection[] =>
    (states.get(peer)?.connections ?? []).filter((candidate) => candidate.status === 'open');
  const connection = (peer: PeerId): Connection | null =>
    states.get(peer)?.connections.find((candidate) => candidate.status === 'open') ?? null;

  return {
    start() {
      host.addEventListener('connection:open', opened);
      host.addEventListener('connection:close', closed);
    },
    stop() {
      host.removeEventListener('connection:open', opened);
      host.removeEventListener('connection:close', closed);
    },
    connected: (peer) => connection(peer) !== null,
    connection,
    open,
    state: (peer) => states.get(peer) ?? null,
    peers: () =>
      [...states].filter(([, state]) => state.connections.length > 0).map(([peer]) => peer),
    setRtt(peer, rttMs) {
      const state = states.get(peer);
      if (!state) return;
      // A busy event loop lengthens a sample and nothing shortens one: quickly down, slowly up.
      const last = state.rttMs ?? rttMs;
      state.rttMs = rttMs < last ? rttMs : last + (rttMs - last) / 5;
    },
    all: () => [...states.values()].flatMap((state) => state.connections),
  };
}
