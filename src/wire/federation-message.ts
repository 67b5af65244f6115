/**
 * What nodes tell the leader about their ipfs-cluster daemons, and what followers ask it: the pins
 * that its service wants them to hold. Foreign bytes, so everything has a limit.
 */
import { z } from 'zod';

const peerId = z.string().min(1).max(128);
const cid = z.string().min(10).max(128);

/** CIDs in one answer; longer pinsets come in pages. */
export const pinsetPageMax = 5000;

/** The asker's daemon; the leader puts it into the catalog. */
export const clusterDaemonSchema = z.looseObject({
  kind: z.enum(['ipfs_cluster_service', 'ipfs_cluster_follow']),
  peerId,
  addresses: z.array(z.string().regex(/^\/[^\s,]{1,255}$/)).max(16),
});
export type ClusterDaemon = z.infer<typeof clusterDaemonSchema>;

export const clusterDaemonAnswerSchema = z.looseObject({ leads: z.boolean() });
export type ClusterDaemonAnswer = z.infer<typeof clusterDaemonAnswerSchema>;

/** What does the leader's service want this peer of the cluster to hold? In the order of CIDs. */
export const pinsetSchema = z.looseObject({ peerId, after: cid.nullable() });
export type PinsetRequest = z.infer<typeof pinsetSchema>;

export const pinsetAnswerSchema = z.looseObject({
  /** False: the answering node doesn't lead, or its service has not been read whole lately. */
  known: z.boolean(),
  cids: z.array(cid).max(pinsetPageMax),
  next: cid.nullable(),
});
export type PinsetAnswer = z.infer<typeof pinsetAnswerSchema>;
