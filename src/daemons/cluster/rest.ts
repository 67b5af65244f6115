/**
 * What the REST API of ipfs-cluster answers, for service and follower alike. A port is one of ours
 * only if `/id` has cluster peers and names the peer that we expect: the service's pinning API
 * answers `/health` and `/pins` on the follower's usual port as well, and is no follower.
 */
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';
import type { DaemonClient } from '../daemon-client.ts';

const peerId = z.string().min(1).max(128);
const cid = z.string().min(1).max(256);
const text = z.string().max(4096);
const peersMax = 10_000;

const idSchema = z.looseObject({
  id: peerId,
  addresses: z.array(text).max(1000).nullable(),
  cluster_peers: z.array(peerId).max(peersMax),
  version: z.string().max(64),
  error: text,
  ipfs: z.looseObject({ id: z.string().max(128), error: text }),
  peername: z.string().max(256),
});
export type ClusterId = z.infer<typeof idSchema>;

const pinSchema = z.looseObject({
  cid,
  peer_map: z.record(peerId, z.looseObject({ status: z.string().max(64), error: text })),
});

const allocationSchema = z.looseObject({
  cid,
  name: text,
  replication_factor_min: z.int(),
  replication_factor_max: z.int(),
  allocations: z.array(peerId).max(peersMax).nullable(),
  metadata: z.record(z.string(), z.string()).nullish(),
});
export type ClusterAllocation = z.infer<typeof allocationSchema>;

const metricSchema = z.looseObject({
  name: z.string().max(128),
  peer: peerId,
  expire: z.number(),
  valid: z.boolean(),
});

/** Lists of pins grow with the cluster; this is some millions of them. */
const listBytesMax = 1024 * 1024 * 1024;

/** Who answers; throws when it is not the peer we expect (null: whoever it is). */
export async function askId(
  client: DaemonClient,
  expected: string | null,
  signal: AbortSignal,
): Promise<ClusterId> {
  const id = await client.json(idSchema, { path: '/id', signal });
  if (expected !== null && id.id !== expected)
    throw new AgentError(
      'unavailable',
      `${client.url}/id names ${id.id} (${id.peername}); our daemon is ${expected}`,
    );
  return id;
}

/** The state of every pin on this very peer. */
export async function ownPins(
  client: DaemonClient,
  own: string,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const pins = await client.lines(pinSchema, {
    path: '/pins',
    query: { local: true },
    bytesMax: listBytesMax,
    signal,
  });
  return new Map(pins.map((pin) => [pin.cid, pin.peer_map[own]?.status ?? 'unknown']));
}

/** The pinset: what is to be pinned, and by whom. */
export const allocations = (client: DaemonClient, signal: AbortSignal) =>
  client.lines(allocationSchema, { path: '/allocations', bytesMax: listBytesMax, signal });

/** Peers whose ping metric is valid now. */
export async function pingingPeers(
  client: DaemonClient,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const path = '/monitor/metrics/ping';
  const schema = z.array(metricSchema).max(peersMax).nullable();
  const metrics = (await client.json(schema, { path, signal })) ?? [];
  return new Set(metrics.filter(({ valid }) => valid).map(({ peer }) => peer));
}

/** Is it this peer's to hold? No allocations at all mean every peer. */
export const isFor = ({ allocations: to }: ClusterAllocation, peer: string): boolean =>
  to === null || to.length === 0 || to.includes(peer);

/** How many pins are in each state, the most frequent first. */
export function countsOf(states: Iterable<string>): [string, number][] {
  const counts = new Map<string, number>();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}

/** Put there by the mirror, so the mirror may take it away. */
const markName = 'bellwether';
export const isOurs = ({ metadata }: ClusterAllocation): boolean => metadata?.[markName] === 'pin';

export async function pin(
  client: DaemonClient,
  wanted: { cid: string; name: string; min: number; max: number; peers: readonly string[] },
  signal: AbortSignal,
): Promise<ClusterAllocation> {
  return client.json(allocationSchema, {
    method: 'POST',
    path: `/pins/${encodeURIComponent(wanted.cid)}`,
    query: {
      name: wanted.name,
      [`meta-${markName}`]: 'pin',
      'replication-min': wanted.min,
      'replication-max': wanted.max,
      'user-allocations': wanted.peers.length === 0 ? undefined : wanted.peers.join(','),
    },
    signal,
  });
}

export const unpin = (client: DaemonClient, cid: string, signal: AbortSignal) =>
  client.json(allocationSchema, {
    method: 'DELETE',
    path: `/pins/${encodeURIComponent(cid)}`,
    signal,
  });
