/** Peers that die: real processes, killed with SIGKILL, also while bytes are on their way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeGossip } from '../../../src/wire/gossip.ts';
import { createFlock, type Flock, type Node, peerOf, until } from './flock.ts';

const program = fileURLToPath(new URL('./peer-process.ts', import.meta.url));

let flock: Flock;
const children: ChildProcess[] = [];
beforeEach(() => {
  flock = createFlock();
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await flock.stop();
});

interface Peer {
  readonly child: ChildProcess;
  readonly peerId: string;
  readonly addresses: string[];
  /** Speakers whose gossip reached the process. */
  readonly heard: string[];
}

async function spawnPeer(dir: string, port = 0): Promise<Peer> {
  const child = spawn(process.execPath, [program, dir, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  const heard: string[] = [];
  lines.on('line', (text) => heard.push((JSON.parse(text) as { gossipFrom: string }).gossipFrom));
  return { child, heard, ...(JSON.parse(line) as { peerId: string; addresses: string[] }) };
}

function meet(node: Node, peer: Peer): void {
  const { peerId, addresses } = peer;
  node.mesh.setPeers([peerOf(node), { peerId, votes: true, addresses }]);
}

const health = (score: number): Uint8Array =>
  encodeGossip('health', { type: 'health', score, reasons: [] });

const portOf = (peer: Peer): number => Number(/\/tcp\/(\d+)/.exec(peer.addresses[0] ?? '')?.[1]);

test('a killed peer is reported closed, then two failed redials, within milliseconds', {
  timeout: 90_000,
}, async () => {
  const node = await flock.node();
  const dir = await flock.folder();
  const peer = await spawnPeer(dir);
  meet(node, peer);
  await until(() => node.links.some(({ change }) => change === 'opened'));
  const steadyFrom = performance.now() + 1100;
  await until(() => performance.now() > steadyFrom);
  node.links.length = 0;
  const killedMs = performance.now();
  peer.child.kill('SIGKILL');
  await until(() => node.links.filter(({ change }) => change === 'redial-failed').length >= 2);
  const [closed, first, second] = node.links.map(({ change, atMs }) => ({
    change,
    ms: Math.round((atMs - killedMs) * 10) / 10,
  }));
  expect([closed?.change, first?.change, second?.change]).toEqual([
    'closed',
    'redial-failed',
    'redial-failed',
  ]);
  console.info(`closed ${closed?.ms} ms, redials failed ${first?.ms} and ${second?.ms} ms`);
  expect(second?.ms).toBeLessThan(300);
});

test('a peer that comes back with the same key is linked and hears gossip again', {
  timeout: 90_000,
}, async () => {
  const node = await flock.node();
  const dir = await flock.folder();
  let peer = await spawnPeer(dir);
  const port = portOf(peer);
  meet(node, peer);
  for (let round = 0; round < 3; round++) {
    await until(() => node.mesh.links()[0]?.connected === true);
    const body = Buffer.from(`round ${round}`);
    const echo = await node.mesh.request(peer.peerId, 'echo', body, { timeoutMs: 3000 });
    expect(Buffer.from(echo).toString()).toBe(`round ${round}`);
    const known = peer;
    await until(() => node.gossip.some(({ from }) => from === known.peerId));
    await node.mesh.publish('health', health(round));
    await until(() => known.heard.includes(node.mesh.peerId));
    node.gossip.length = 0;
    peer.child.kill('SIGKILL');
    await until(() => node.mesh.links()[0]?.connected === false);
    const again = await spawnPeer(dir, port);
    expect(again.peerId).toBe(peer.peerId);
    peer = again;
  }
  await until(() => node.mesh.links()[0]?.connected === true);
});

test('killing peers while frames, requests and streams are under way leaks and crashes nothing', {
  timeout: 90_000,
}, async () => {
  const node = await flock.node();
  const dir = await flock.folder();
  const chunk = Buffer.alloc(64 * 1024, 1);
  async function* endless() {
    for (;;) yield chunk;
  }
  for (let round = 0; round < 5; round++) {
    const peer = await spawnPeer(dir);
    meet(node, peer);
    await until(() => node.mesh.links()[0]?.connected === true);
    const ask = () => node.mesh.request(peer.peerId, 'echo', chunk, { timeoutMs: 5000 });
    const stream = node.mesh.sendStream(peer.peerId, 'endless', chunk, endless());
    const asked = Promise.allSettled([stream, ...Array.from({ length: 50 }, ask)]);
    for (let i = 0; i < 100; i++) node.mesh.send(peer.peerId, chunk);
    await until(() => node.frames.length > 5);
    peer.child.kill('SIGKILL');
    const [streamed] = await asked;
    expect(streamed?.status).toBe('rejected');
    node.frames.length = 0;
    await until(() => node.mesh.links()[0]?.connected === false);
    expect(node.mesh.stats()).toMatchObject({ connections: 0, streams: 0, peers_connected: 0 });
  }
});
