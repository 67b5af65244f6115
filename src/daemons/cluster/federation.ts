/**
 * What the adapters of ipfs-cluster need to know of the cluster that the agents run together (the
 * federation): its secret, who its peers are and whom to trust. All of it comes from the
 * replicated catalog; the secret goes to daemons and followers and into no other answer.
 */
import type { DaemonType } from '../api.ts';

type ClusterKind = Extract<DaemonType, 'ipfs_cluster_service' | 'ipfs_cluster_follow'>;

export interface FederationPeer {
  /** The node whose daemon it is. */
  readonly node: string;
  readonly kind: ClusterKind;
  /** The daemon's own peer id. */
  readonly peerId: string;
  /** Multiaddrs without the peer id. */
  readonly addresses: readonly string[];
  /** A service of a node that may lead: its word about pins counts. */
  readonly trusted: boolean;
}

/** What followers of our own call it, in their folders too; the secret keeps clusters apart. */
export const federationName = 'bellwether';

export interface FederationView {
  readonly secret: string;
  readonly peers: readonly FederationPeer[];
}

export interface Federation {
  /** The name that this node's daemons show. */
  readonly peerName: string;
  /**
   * Tells the cluster who this node's daemon is and on which port its peers reach it, and waits
   * until the catalog says so, and a little for the other nodes that are starting too.
   */
  announce(
    own: Pick<FederationPeer, 'kind' | 'peerId'> & { readonly port: number },
    signal: AbortSignal,
  ): Promise<FederationView>;
  /** As this node's catalog has it now; null before there is a secret. */
  view(): FederationView | null;
  /** Peer id of the service on the leader's node; null: nobody leads, or it has none. */
  leaderService(): string | null;
  /** Pins that the leader's service wants this follower to hold; null: not known. */
  expectedPins(peerId: string, signal: AbortSignal): Promise<ReadonlySet<string> | null>;
  /** Where a follower of this node gets its configuration from. */
  templateUrl(): string;
}

/** Addresses with the peer id at their end, as ipfs-cluster takes them. */
export const peerAddresses = (view: FederationView, own: string): string[] =>
  view.peers
    .filter(({ peerId }) => peerId !== own)
    .flatMap(({ peerId, addresses }) => addresses.map((address) => `${address}/p2p/${peerId}`));

export const trustedPeers = (view: FederationView): string[] =>
  view.peers.filter(({ trusted }) => trusted).map(({ peerId }) => peerId);
