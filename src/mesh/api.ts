/**
 * What the agent asks of the mesh: links to peers, ordered frames for consensus, requests, byte
 * streams and signed gossip. Only this room knows libp2p; peer ids and addresses cross as text.
 */
import type { Ms, PeerId } from '../base/brand.ts';

/** A node that the mesh should know how to reach. */
export interface MeshPeer {
  readonly peerId: PeerId;
  readonly votes: boolean;
  /** Multiaddrs, best first. */
  readonly addresses: readonly string[];
}

export interface MeshLink {
  readonly peerId: PeerId;
  readonly connected: boolean;
  readonly direction: 'in' | 'out' | 'both' | 'none';
  readonly rttMs: Ms | null;
  readonly remoteAddress: string | null;
  readonly sinceMs: Ms;
  /** The mesh keeps this link by itself and dials when it is gone. */
  readonly wanted: boolean;
  /** Open, but the peer answers no ping or takes no gossip of ours. */
  readonly oneSided: boolean;
}

/** What was done to mend the mesh. */
export interface MeshHealing {
  /** Peers dialled at once. */
  readonly redialled: readonly PeerId[];
  /** Peers whose records were compared with ours, for what and whom we had not heard of. */
  readonly asked: readonly PeerId[];
  /** Peers whose gossip stream was opened anew. */
  readonly rejoined: readonly PeerId[];
}

/** Two runs of one key at the same time, proved (wire/instance.ts). */
export interface Clash {
  readonly peer: PeerId;
  /** The key is this node's own. */
  readonly self: boolean;
  /** Where the runs' connections come from; of this node's own key only the other run's. */
  readonly addresses: readonly (string | null)[];
  /** Who proved it to this node; null: it was seen here. */
  readonly toldBy: PeerId | null;
}

export interface MeshHandlers {
  /** One frame of a peer's consensus stream; in order per connection. */
  onFrame(from: PeerId, frame: Uint8Array): void;
  onLink(peer: PeerId, change: 'opened' | 'closed' | 'redial-failed'): void;
  /** Answers a request; a thrown AgentError travels back with its code. */
  onRequest(from: PeerId, name: string, body: Uint8Array): Promise<Uint8Array>;
  /** A byte stream that a peer opened under `name`: read `source`, the header comes first. */
  onStream(
    from: PeerId,
    name: string,
    header: Uint8Array,
    source: AsyncIterable<Uint8Array>,
  ): Promise<void>;
  /** Whether this speaker's record counts; asked before it is held, delivered or passed on. */
  mayGossip(from: PeerId, topic: string, body: Uint8Array): Promise<boolean>;
  /** A gossip message whose signature, size and type were checked. */
  onGossip(from: PeerId, topic: string, body: Uint8Array): void;
  /** Two machines run with one key; said again every few seconds while it lasts. */
  onClash(clash: Clash): void;
  /** Somebody dialled this node and did not get through the handshake: another network key. */
  onHandshakeFailed(address: string): void;
}

export interface Mesh {
  readonly peerId: PeerId;
  /** The identity key was made just now: a log beside it belongs to somebody else. */
  readonly identityCreated: boolean;
  /** Grows with every start of this node, also when its wall clock went back. */
  readonly incarnation: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Addresses others can dial. */
  addresses(): string[];
  /**
   * Who belongs to the mesh; voters link to all voters, others to a refreshed handful. This node
   * is in the list too: that tells whether it votes.
   */
  setPeers(peers: readonly MeshPeer[]): void;
  /**
   * Connects to a multiaddr without knowing who is there and answers who is. Throws `unavailable`
   * when nobody answers, `network-key-mismatch` when the handshake is refused,
   * `conflict` when it is this node itself. Any peer with the network key can be asked and may ask.
   */
  dial(address: string, options: { timeoutMs: Ms }): Promise<PeerId>;
  /** Whether the peer can be dialled at its known addresses, by a connection of its own. */
  reaches(peer: PeerId, options: { timeoutMs: Ms }): Promise<boolean>;
  /**
   * Queues a consensus frame; false when there is no connection or its queue is full (it is
   * then dropped).
   */
  send(to: PeerId, frame: Uint8Array): boolean;
  /** A member without a link is dialled first; `linkedOnly`: it is `unavailable` instead. */
  request(
    to: PeerId,
    name: string,
    body: Uint8Array,
    options: { timeoutMs: Ms; linkedOnly?: boolean },
  ): Promise<Uint8Array>;
  /**
   * Sends a header and bytes on a stream of its own; resolves when the other side has taken
   * all.
   */
  sendStream(
    to: PeerId,
    name: string,
    header: Uint8Array,
    source: AsyncIterable<Uint8Array>,
  ): Promise<void>;
  /** Publishes to everybody; never throws for want of subscribers (it counts that). */
  publish(topic: string, body: Uint8Array): Promise<void>;
  links(): MeshLink[];
  /** Protocols that this node answers. */
  protocols(): string[];
  /** Bytes on the wire since the start, all connections together. */
  traffic(): { readonly sent: number; readonly received: number };
  /** Redials, asks around and rejoins gossip now; tells what it did. */
  heal(): Promise<MeshHealing>;
  /** Counters end in `_total`, the rest are gauges; bounded names, none of them a peer id. */
  stats(): Record<string, number>;
}
