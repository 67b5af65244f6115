/** Connections that come and go: duplicates, churn, strangers. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHost, type Host } from '../../../src/mesh/host.ts';
import { updateWindowLazily } from '../../../src/mesh/lazy-window.ts';
import { encodeGossip } from '../../../src/wire/gossip.ts';
import { onlyNetworkKey } from '../../../src/wire/network-key.ts';
import { createFlock, type Flock, peerOf, testKey, until } from './flock.ts';

let flock: Flock;
const hosts: Host[] = [];
beforeEach(() => {
  flock = createFlock();
});
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
  await flock.stop();
});

/** A peer of the network that speaks none of our protocols. */
async function stranger(): Promise<Host> {
  const privateKey = await generateKeyPair('Ed25519');
  const keys = onlyNetworkKey(testKey);
  const host = await createHost({ privateKey, listen: [], announce: [], networkKeys: () => keys });
  hosts.push(host);
  await host.start();
  return host;
}

test('two nodes that dial each other at once end with a link and report it once', async () => {
  for (let round = 0; round < 5; round++) {
    const a = await flock.node();
    const b = await flock.node();
    const dial = (from: typeof a, to: typeof a) =>
      from.mesh.dial(to.mesh.addresses()[0] ?? '', { timeoutMs: 3000 });
    await Promise.all([dial(a, b), dial(b, a)]);
    a.mesh.setPeers([peerOf(a), peerOf(b)]);
    b.mesh.setPeers([peerOf(a), peerOf(b)]);
    a.mesh.send(b.mesh.peerId, Buffer.from('to b'));
    b.mesh.send(a.mesh.peerId, Buffer.from('to a'));
    await until(() => a.frames.length === 1 && b.frames.length === 1);
    expect(a.links.map(({ change }) => change)).toEqual(['opened']);
    expect(b.links.map(({ change }) => change)).toEqual(['opened']);
  }
});

test('closing a surplus connection is not a closed link; closing the last one is', async () => {
  const node = await flock.node();
  const host = await stranger();
  const target = multiaddr(node.mesh.addresses()[0] ?? '');
  const first = await host.dial(target);
  const second = await host.dial(target, { force: true });
  await until(() => node.mesh.stats().connections === 2);
  await first.close();
  await until(() => node.mesh.stats().connections === 1);
  expect(node.links.map(({ change }) => change)).toEqual(['opened']);
  await second.close();
  await until(() => node.links.length === 2);
  expect(node.links.map(({ change }) => change)).toEqual(['opened', 'closed']);
});

test('200 connects and disconnects leave no connection, stream or line behind', {
  timeout: 90_000,
}, async () => {
  const node = await flock.node();
  const host = await stranger();
  const target = multiaddr(node.mesh.addresses()[0] ?? '');
  for (let cycle = 0; cycle < 200; cycle++) {
    const connection = await host.dial(target, { force: true });
    if (cycle % 2) await connection.close();
    else connection.abort(new Error('torn off'));
    await until(() => node.links.length === 2 * (cycle + 1));
  }
  expect(node.mesh.stats()).toMatchObject({ connections: 0, streams: 0, peers_connected: 0 });
  expect(node.links.filter(({ change }) => change === 'closed')).toHaveLength(200);
});

test('garbage on our protocols ends the stream and nothing else', async () => {
  const node = await flock.node();
  const host = await stranger();
  const connection = await host.dial(multiaddr(node.mesh.addresses()[0] ?? ''));
  for (const protocol of ['frame', 'call', 'bytes']) {
    for (const garbage of [
      Buffer.from('ffffffff00', 'hex'),
      Buffer.from('0000000401020304', 'hex'),
      Buffer.alloc(100_000, 0),
    ]) {
      const stream = await connection.newStream(`/bellwether/${protocol}/1`);
      let over = false;
      stream.addEventListener('close', () => {
        over = true;
      });
      stream.send(garbage);
      if (!over) stream.abort(new Error('enough'));
    }
  }
  expect(connection.status).toBe('open');
  expect(node.mesh.links()[0]?.connected).toBe(true);
});

test('gossip that is garbage, of an unknown topic or said before changes nothing', async () => {
  const node = await flock.node();
  const host = await stranger();
  const { pubsub } = host.services;
  const topic = '/bellwether/1/health';
  let captured: Uint8Array | null = null;
  pubsub.addEventListener('message', ({ detail }) => {
    captured = detail.data;
  });
  pubsub.subscribe(topic);
  await host.dial(multiaddr(node.mesh.addresses()[0] ?? ''));
  await until(() => pubsub.getSubscribers(topic).length === 1);
  const said = encodeGossip('health', { type: 'health', score: 7, reasons: [] });
  await until(() => {
    if (captured === null) void node.mesh.publish('health', said);
    return captured !== null;
  });
  const { gossip_refused_total: before = 0 } = node.mesh.stats();
  await pubsub.publish(topic, captured ?? said);
  await pubsub.publish(topic, Buffer.from('garbage'));
  await until(() => (node.mesh.stats().gossip_refused_total ?? 0) > before);
  await pubsub.publish('/bellwether/1/secrets', said);
  expect(node.gossip).toEqual([]);
  expect(node.mesh.stats()).toMatchObject({ gossip_records: 1, gossip_delivered_total: 0 });
});

test('streams of the installed yamux can be spared their window updates', async () => {
  const node = await flock.node();
  const host = await stranger();
  const connection = await host.dial(multiaddr(node.mesh.addresses()[0] ?? ''));
  const stream = await connection.newStream('/bellwether/frame/1');
  expect(updateWindowLazily(stream)).toBe(true);
  stream.abort(new Error('enough'));
});

test('a taken port is one clear error', async () => {
  const node = await flock.node();
  const [address = ''] = node.mesh.addresses();
  const listen = [address.replace(/\/p2p\/.*/, '')];
  await expect(flock.node({}, { listen })).rejects.toMatchObject({ code: 'port-in-use' });
});

test('another network key is told to both sides; a knock on the port is no attempt', async () => {
  const node = await flock.node();
  const other = await flock.node({}, { networkKey: '2e'.repeat(32) });
  const address = node.mesh.addresses()[0] ?? '';
  const port = Number(/tcp\/(\d+)/.exec(address)?.[1]);
  const knock = connect({ host: '127.0.0.1', port });
  await once(knock, 'connect');
  knock.destroy();
  await once(knock, 'close');
  await expect(other.mesh.dial(address, { timeoutMs: 8000 })).rejects.toMatchObject({
    code: 'network-key-mismatch',
  });
  await until(() => node.failed.length > 0);
  expect(node.failed).toEqual([expect.stringContaining('/ip4/127.0.0.1/tcp/')]);
  const friend = await flock.node();
  await friend.mesh.dial(address, { timeoutMs: 8000 });
  await friend.mesh.stop();
  await until(() => node.mesh.links().every(({ connected }) => !connected));
  expect(node.failed).toHaveLength(1);
});
