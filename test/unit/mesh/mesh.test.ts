import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { decodeGossip, encodeGossip } from '../../../src/wire/gossip.ts';
import { acquaint, createFlock, type Flock, peerOf, until } from './flock.ts';

let flock: Flock;
beforeEach(() => {
  flock = createFlock();
});
afterEach(() => flock.stop());

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (body: Uint8Array): string => Buffer.from(body).toString();

describe('frames', () => {
  test('arrive in order, from the moment that the link is reported', async () => {
    const a = await flock.node();
    const b = await flock.node();
    await acquaint([a, b]);
    for (let i = 0; i < 1000; i++) expect(a.mesh.send(b.mesh.peerId, bytes(`f${i}`))).toBe(true);
    await until(() => b.frames.length === 1000);
    expect(b.frames.map(({ frame }) => text(frame))).toEqual(
      Array.from({ length: 1000 }, (_, i) => `f${i}`),
    );
    expect(b.frames[0]?.from).toBe(a.mesh.peerId);
  });

  test('to a peer that is not connected are dropped and counted', async () => {
    const a = await flock.node();
    expect(a.mesh.send('12D3KooWnobody', bytes('x'))).toBe(false);
    expect(a.mesh.stats().frames_dropped_total).toBe(1);
  });

  test('larger than the stream window arrive whole', async () => {
    const a = await flock.node();
    const b = await flock.node();
    await acquaint([a, b]);
    const big = Buffer.alloc(3 * 1024 * 1024, 7);
    expect(a.mesh.send(b.mesh.peerId, big)).toBe(true);
    expect(a.mesh.send(b.mesh.peerId, bytes('after'))).toBe(true);
    await until(() => b.frames.length === 2);
    expect(Buffer.compare(b.frames[0]?.frame ?? bytes(''), big)).toBe(0);
    expect(text(b.frames[1]?.frame ?? bytes(''))).toBe('after');
  });
});

describe('requests', () => {
  test('carry bodies both ways and codes back', async () => {
    const a = await flock.node();
    const b = await flock.node({
      onRequest: async (from, name, body) => {
        if (name === 'no') throw new AgentError('not-leader', 'ask another');
        if (name === 'bug') throw new TypeError('oops');
        return bytes(`${name} ${text(body)} ${from.length > 0}`);
      },
    });
    await acquaint([a, b]);
    const ask = (name: string) =>
      a.mesh.request(b.mesh.peerId, name, bytes('x'), { timeoutMs: 1000 });
    expect(text(await ask('yes'))).toBe('yes x true');
    await expect(ask('no')).rejects.toMatchObject({ code: 'not-leader', message: 'ask another' });
    await expect(ask('bug')).rejects.toMatchObject({ code: 'internal' });
  });

  test('time out, and fail at once when the link closes', async () => {
    const a = await flock.node();
    const b = await flock.node({ onRequest: () => new Promise(() => undefined) });
    await acquaint([a, b]);
    const ask = (timeoutMs: number) =>
      a.mesh.request(b.mesh.peerId, 'slow', bytes(''), { timeoutMs });
    await expect(ask(50)).rejects.toMatchObject({ code: 'timeout' });
    const waiting = expect(ask(60_000)).rejects.toMatchObject({ code: 'unavailable' });
    await b.mesh.stop();
    await waiting;
    await expect(ask(1000)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('work between peers that know each other only by an address', async () => {
    const a = await flock.node();
    const b = await flock.node();
    const address = b.mesh.addresses()[0]?.replace(/\/p2p\/.*$/, '') ?? '';
    expect(await a.mesh.dial(address, { timeoutMs: 3000 })).toBe(b.mesh.peerId);
    const echo = await a.mesh.request(b.mesh.peerId, 'hello', bytes('hi'), { timeoutMs: 1000 });
    expect(text(echo)).toBe('hi');
    const back = await b.mesh.request(a.mesh.peerId, 'hello', bytes('ho'), { timeoutMs: 1000 });
    expect(text(back)).toBe('ho');
  });

  test('a forwarder that takes connections for nobody is no other network', async () => {
    const a = await flock.node();
    const forwarder = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(forwarder, 'listening');
    const { port } = forwarder.address() as { port: number };
    const dialled = a.mesh.dial(`/ip4/127.0.0.1/tcp/${port}`, { timeoutMs: 2000 });
    await expect(dialled).rejects.toMatchObject({ code: 'unavailable' });
    await once(forwarder.close(), 'close');
  });

  test('dialling says whether nobody is there, or another network, or oneself', async () => {
    const a = await flock.node();
    const other = await flock.node({}, { networkKey: '2e'.repeat(32) });
    const bare = (node: typeof a) => node.mesh.addresses()[0]?.replace(/\/p2p\/.*$/, '') ?? '';
    const dial = (address: string) => a.mesh.dial(address, { timeoutMs: 2000 });
    await expect(dial('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(dial(bare(other))).rejects.toMatchObject({ code: 'network-key-mismatch' });
    await expect(dial(bare(a))).rejects.toMatchObject({ code: 'conflict' });
    await expect(dial('nonsense')).rejects.toMatchObject({ code: 'bad-request' });
  });
});

describe('byte streams', () => {
  test('deliver header and bytes and wait for the taker', async () => {
    const taken = { header: '', bytes: 0, sum: 0 };
    const a = await flock.node();
    const b = await flock.node({
      onStream: async (_from, name, header, source) => {
        taken.header = `${name}:${text(header)}`;
        for await (const chunk of source) {
          taken.bytes += chunk.length;
          taken.sum += chunk[0] ?? 0;
        }
      },
    });
    await acquaint([a, b]);
    async function* source() {
      for (let i = 0; i < 200; i++) yield Buffer.alloc(100_000, 1);
    }
    await a.mesh.sendStream(b.mesh.peerId, 'snapshot', bytes('meta'), source());
    expect(taken.header).toBe('snapshot:meta');
    expect(taken.bytes).toBe(20_000_000);
    expect(taken.sum).toBeGreaterThan(0);
  });

  test('bring the code of a refusal back and end the source', async () => {
    const a = await flock.node();
    const b = await flock.node({
      onStream: async () => {
        throw new AgentError('disk-full', 'no room');
      },
    });
    await acquaint([a, b]);
    let ended = false;
    async function* source() {
      try {
        for (;;) yield Buffer.alloc(64 * 1024);
      } finally {
        ended = true;
      }
    }
    await expect(
      a.mesh.sendStream(b.mesh.peerId, 'snapshot', bytes(''), source()),
    ).rejects.toMatchObject({ code: 'disk-full' });
    await until(() => ended);
  });

  test('left early by the taker are no success at the sender', async () => {
    const a = await flock.node();
    const b = await flock.node({
      onStream: async (_from, _name, _header, source) => {
        for await (const _ of source) break;
      },
    });
    await acquaint([a, b]);
    async function* source() {
      for (let i = 0; i < 100; i++) yield Buffer.alloc(64 * 1024);
    }
    await expect(
      a.mesh.sendStream(b.mesh.peerId, 'snapshot', bytes(''), source()),
    ).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('that break off are an error at the taker, never a short success', async () => {
    let outcome = 'none';
    const a = await flock.node();
    const b = await flock.node({
      onStream: async (_from, _name, _header, source) => {
        try {
          for await (const _ of source) outcome = 'started';
          outcome = 'whole';
        } catch (error) {
          outcome = error instanceof AgentError ? error.code : 'other';
          throw error;
        }
      },
    });
    await acquaint([a, b]);
    async function* source() {
      yield bytes('first');
      await until(() => outcome === 'started');
      throw new AgentError('stopped', 'the sender changed its mind');
    }
    await expect(
      a.mesh.sendStream(b.mesh.peerId, 'snapshot', bytes(''), source()),
    ).rejects.toMatchObject({ code: 'stopped' });
    await until(() => outcome === 'unavailable');
  });
});

describe('gossip', () => {
  const member = (name: string) =>
    encodeGossip('members', {
      type: 'member',
      name,
      role: 'worker',
      addresses: [],
      statusUrl: null,
      content: null,
    });

  test('a lone node publishes into the void and counts it', async () => {
    const a = await flock.node();
    await a.mesh.publish('members', member('a'));
    expect(a.mesh.stats().publish_no_peers_total).toBe(1);
  });

  test('reaches everybody, once, from whoever said it', async () => {
    const nodes = [await flock.node(), await flock.node(), await flock.node()];
    await acquaint(nodes);
    const [a, b, c] = nodes;
    if (!a || !b || !c) throw new Error('three nodes');
    await a.mesh.publish('members', member('first'));
    await until(() => b.gossip.length === 1 && c.gossip.length === 1);
    expect(b.gossip[0]).toMatchObject({ from: a.mesh.peerId, topic: 'members' });
    expect(decodeGossip('members', c.gossip[0]?.body ?? bytes(''))).toMatchObject({
      name: 'first',
    });
    await expect(a.mesh.publish('secrets', bytes('x'))).rejects.toMatchObject({
      code: 'bad-request',
    });
    await expect(a.mesh.publish('members', bytes('x'))).rejects.toMatchObject({
      code: 'bad-request',
    });
  });

  test('said before anybody was there arrives by exchange, also through a third', async () => {
    const a = await flock.node();
    await a.mesh.publish('members', member('early'));
    const b = await flock.node();
    const c = await flock.node();
    await a.mesh.dial(b.mesh.addresses()[0] ?? '', { timeoutMs: 3000 });
    await c.mesh.dial(b.mesh.addresses()[0] ?? '', { timeoutMs: 3000 });
    await until(() => c.gossip.length === 1, 20_000);
    expect(c.gossip[0]?.from).toBe(a.mesh.peerId);
  });
});

test('the links are listed with direction and round trip', async () => {
  const a = await flock.node();
  const b = await flock.node();
  a.mesh.setPeers([peerOf(a), peerOf(b)]);
  await until(() => a.mesh.links()[0]?.connected === true);
  await until(() => a.mesh.links()[0]?.rttMs !== null, 15_000);
  expect(a.mesh.links()[0]).toMatchObject({ peerId: b.mesh.peerId, direction: 'out' });
  expect(b.mesh.links()[0]).toMatchObject({ peerId: a.mesh.peerId, direction: 'in' });
});
