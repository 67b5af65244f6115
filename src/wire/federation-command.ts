/**
 * Entries about the ipfs-cluster that the agents run together (the federation): its
 * secret, made once, and the daemon of each node with its addresses.
 */
import { z } from 'zod';

const peerId = z.string().min(1).max(128);

/** Makes the federation; a second one is a conflict. */
const federationFound = z.looseObject({
  type: z.literal('federation.found'),
  secret: z.string().regex(/^[0-9a-f]{64}$/),
});

/** This member's ipfs-cluster daemon; replaces what was known of it. */
const federationPeerPut = z.looseObject({
  type: z.literal('federation-peer.put'),
  node: peerId,
  kind: z.enum(['ipfs_cluster_service', 'ipfs_cluster_follow']),
  peerId,
  /** Multiaddrs without the peer id. */
  addresses: z.array(z.string().regex(/^\/[^\s,]{1,255}$/)).max(16),
});

export const federationCommands = [federationFound, federationPeerPut] as const;
