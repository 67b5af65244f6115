/** The part of kubo's RPC that looks at it: POST only, every answer through a schema. */
import { z } from 'zod';
import type { DaemonClient } from '../daemon-client.ts';

const idSchema = z.object({ ID: z.string(), AgentVersion: z.string() });
const peersSchema = z.object({ Peers: z.array(z.object({ Peer: z.string() })).nullable() });
const bandwidthSchema = z.object({ TotalIn: z.number(), TotalOut: z.number() });
const repoSchema = z.object({
  RepoSize: z.number(),
  StorageMax: z.number(),
  NumObjects: z.number(),
});
const pinSchema = z.object({ Cid: z.string(), Type: z.string() });

const rpc = (name: string, signal: AbortSignal) =>
  ({ method: 'POST', path: `/api/v0/${name}`, signal }) as const;

export interface KuboLook {
  readonly peerId: string;
  readonly version: string;
  readonly peers: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What is cheap enough for every look. */
export async function lookAt(client: DaemonClient, signal: AbortSignal): Promise<KuboLook> {
  const [id, peers, bandwidth] = await Promise.all([
    client.json(idSchema, rpc('id', signal)),
    client.json(peersSchema, rpc('swarm/peers', signal)),
    client.json(bandwidthSchema, rpc('stats/bw', signal)),
  ]);
  return {
    peerId: id.ID,
    version: id.AgentVersion.split('/')[1] ?? id.AgentVersion,
    peers: peers.Peers?.length ?? 0,
    bytesIn: bandwidth.TotalIn,
    bytesOut: bandwidth.TotalOut,
  };
}

export interface KuboStock {
  readonly repoBytes: number;
  readonly storageMax: number;
  readonly objects: number;
  readonly pins: number;
}

/** What walks through the repo and is asked for now and then. */
export async function takeStock(client: DaemonClient, signal: AbortSignal): Promise<KuboStock> {
  const repo = await client.json(repoSchema, rpc('repo/stat', signal));
  const pins = await client.lines(pinSchema, {
    ...rpc('pin/ls', signal),
    query: { type: 'recursive', stream: true },
    bytesMax: 256 * 1024 * 1024,
  });
  return {
    repoBytes: repo.RepoSize,
    storageMax: repo.StorageMax,
    objects: repo.NumObjects,
    pins: pins.length,
  };
}

export async function askToShutDown(client: DaemonClient, signal: AbortSignal): Promise<void> {
  await client.status(rpc('shutdown', signal));
}
