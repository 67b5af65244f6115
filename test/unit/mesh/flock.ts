/** Meshes on loopback for tests: started, remembered, and stopped with their folders. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerId } from '../../../src/base/brand.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { createPrng } from '../../../src/base/prng.ts';
import type { Clash, Mesh, MeshHandlers, MeshPeer } from '../../../src/mesh/api.ts';
import { createMesh, type MeshOptions } from '../../../src/mesh/mesh.ts';

export const testKey = '1f'.repeat(32);

export const clock: Clock = {
  now: () => ({ monoMs: performance.now(), skippedMs: 0 }),
  wallMs: () => Date.now(),
};

export interface Heard {
  readonly frames: { from: PeerId; frame: Uint8Array }[];
  readonly links: { peer: PeerId; change: string; atMs: number }[];
  readonly gossip: { from: PeerId; topic: string; body: Uint8Array }[];
  readonly clashes: Clash[];
  /** Addresses whose handshake failed. */
  readonly failed: string[];
}

export interface Node extends Heard {
  readonly mesh: Mesh;
  readonly dir: string;
  readonly handlers: MeshHandlers;
}

export interface Flock {
  node(overrides?: Partial<MeshHandlers>, options?: Partial<MeshOptions>): Promise<Node>;
  folder(): Promise<string>;
  stop(): Promise<void>;
}

let seed = 1;

export function createFlock(): Flock {
  const nodes: Node[] = [];
  const folders: string[] = [];
  const folder = async (): Promise<string> => {
    const dir = await mkdtemp(join(tmpdir(), 'bellwether-mesh-'));
    folders.push(dir);
    return dir;
  };
  return {
    folder,
    async node(overrides = {}, options = {}) {
      const heard: Heard = { frames: [], links: [], gossip: [], clashes: [], failed: [] };
      const handlers: MeshHandlers = {
        onFrame: (from, frame) => heard.frames.push({ from, frame }),
        onLink: (peer, change) => heard.links.push({ peer, change, atMs: performance.now() }),
        onRequest: async (_from, _name, body) => body,
        onStream: async () => undefined,
        mayGossip: async () => true,
        onGossip: (from, topic, body) => heard.gossip.push({ from, topic, body }),
        onClash: (clash) => heard.clashes.push(clash),
        onHandshakeFailed: (address) => heard.failed.push(address),
        ...overrides,
      };
      const dir = options.dir ?? (await folder());
      seed += 1;
      const mesh = await createMesh(
        { handlers, clock, prng: createPrng(seed) },
        { dir, listen: ['/ip4/127.0.0.1/tcp/0'], networkKey: testKey, ...options },
      );
      await mesh.start();
      const node = { ...heard, mesh, dir, handlers };
      nodes.push(node);
      return node;
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.mesh.stop()));
      await Promise.all(folders.map((dir) => rm(dir, { recursive: true, force: true })));
    },
  };
}

export const peerOf = (node: Node, votes = true): MeshPeer => ({
  peerId: node.mesh.peerId,
  votes,
  addresses: node.mesh.addresses(),
});

/** Tells every node of all of them, and waits until the voters are linked. */
export async function acquaint(nodes: readonly Node[], votes = true): Promise<void> {
  const peers = nodes.map((node) => peerOf(node, votes));
  for (const node of nodes) node.mesh.setPeers(peers);
  await until(() => nodes.every((node) => node.mesh.links().every((link) => link.connected)));
}

/** Waits for a condition with a deadline; looks again on every turn of the event loop. */
export async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
