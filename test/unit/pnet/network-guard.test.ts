/**
 * The guard with one key and with several, against itself and against the plain protector that
 * kubo's side of the wire is compatible with: who may come in, by which key it is answered, and
 * what a stranger gets.
 */
import { connect, type Socket } from 'node:net';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import type { ConnectionProtector } from '@libp2p/interface';
import { type Ping, ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { byteStream } from '@libp2p/utils';
import { createLibp2p, type Libp2p } from 'libp2p';
import { afterEach, describe, expect, test } from 'vitest';
import xsalsa20 from 'xsalsa20';
import { createNetworkGuard, type Traffic, type Watched } from '../../../src/pnet/network-guard.ts';
import { createHandshakeWatch } from '../../../src/wire/handshake-watch.ts';
import { type NetworkKeys, swarmKeyText } from '../../../src/wire/network-key.ts';

const [a, b, c, d] = ['a1', 'b2', 'c3', 'd4'].map((byte) => byte.repeat(32)) as [
  string,
  string,
  string,
  string,
];
const upgradeMsMax = 10_000;
const hosts: Libp2p[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

interface Made {
  readonly host: Libp2p<{ ping: Ping }>;
  /** Addresses of those who did not come through the handshake. */
  readonly refused: readonly string[];
  readonly traffic: Traffic;
}

async function make(
  protector: (watched: Watched) => () => ConnectionProtector,
  inboundUpgradeTimeout = upgradeMsMax,
): Promise<Made> {
  const refused: string[] = [];
  const traffic: Traffic = { sent: 0, received: 0 };
  const watch = createHandshakeWatch((address) => refused.push(address));
  const host = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionProtector: protector({ watch, traffic }),
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { ping: ping() },
    connectionMonitor: { enabled: false },
    connectionManager: {
      inboundUpgradeTimeout,
      inboundConnectionThreshold: 1000,
      reconnectRetries: 0,
    },
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: (_peer, connection) => {
        watch.passed(connection);
        return false;
      },
    },
  });
  hosts.push(host);
  return { host, refused, traffic };
}

const guarded = (keys: () => NetworkKeys, patienceMs?: number): Promise<Made> =>
  make((watched) => createNetworkGuard(keys, watched), patienceMs);
const ring = (sending: string, ...others: string[]): NetworkKeys => ({
  sending,
  accepted: [...others, sending],
});
const plain = (key: string): Promise<Made> =>
  make(() => preSharedKey({ psk: Buffer.from(swarmKeyText(key)) }));

/** A stream there and back; throws where the two do not come together. */
async function talk(from: Made, to: Made): Promise<void> {
  const [address] = to.host.getMultiaddrs();
  if (address === undefined) throw new Error('it listens nowhere');
  const connection = await from.host.dial(address, { signal: AbortSignal.timeout(3000) });
  await from.host.services.ping.ping(to.host.peerId);
  await connection.close();
  // Whoever dials next makes a connection of its own.
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const)
    await expect.poll(() => one.host.getConnections(other.host.peerId).length).toBe(0);
}

const refusal = (made: Made, count: number) =>
  expect.poll(() => made.refused.length, { timeout: 5000 }).toBe(count);

describe('keys', () => {
  test('the plain protector and the guard talk both ways, whatever else is accepted', async () => {
    for (const others of [[], [b], [b, c]]) {
      const ours = await guarded(() => ring(a, ...others));
      const theirs = await plain(a);
      await talk(ours, theirs);
      await talk(theirs, ours);
      expect(ours.refused).toEqual([]);
    }
  });

  test('who knows only an accepted key is let in and answered in it, not dialled', async () => {
    const ours = await guarded(() => ring(c, a, b));
    for (const key of [a, b, c]) await talk(await plain(key), ours);
    expect(ours.refused).toEqual([]);
    const old = await plain(a);
    await expect(talk(ours, old)).rejects.toThrow();
  });

  test('a key that none accept is refused, and the listening side counts it', async () => {
    for (const keys of [ring(a), ring(a, b), ring(a, b, c)]) {
      const ours = await guarded(() => keys);
      await expect(talk(await plain(d), ours)).rejects.toThrow();
      await refusal(ours, 1);
    }
  });

  test('keys change under a running host; open connections go on as they began', async () => {
    let keys = ring(a);
    const ours = await guarded(() => keys);
    const other = await guarded(() => ring(a));
    const [address] = ours.host.getMultiaddrs();
    if (address === undefined) throw new Error('it listens nowhere');
    await other.host.dial(address);
    keys = ring(b, a);
    await other.host.services.ping.ping(ours.host.peerId);
    await talk(await plain(a), ours);
    await talk(await plain(b), ours);
    keys = ring(b);
    await other.host.services.ping.ping(ours.host.peerId);
    await expect(talk(await plain(a), ours)).rejects.toThrow();
    await talk(await plain(b), ours);
    await talk(ours, await plain(b));
  });

  test('a large transfer arrives whole, both ways', async () => {
    const ours = await guarded(() => ring(b, a));
    const theirs = await plain(a);
    const protocol = '/echo/1';
    await ours.host.handle(protocol, async (stream) => {
      for await (const bytes of stream) if (!stream.send(bytes)) await stream.onDrain();
      await stream.close();
    });
    const [address] = ours.host.getMultiaddrs();
    if (address === undefined) throw new Error('it listens nowhere');
    const stream = await theirs.host.dialProtocol(address, protocol);
    const sent = Buffer.alloc(8 * 1024 * 1024, 'bellwether');
    const bytes = byteStream(stream);
    const piece = 256 * 1024;
    for (let at = 0; at < sent.length; at += piece) {
      const reading = bytes.read({ bytes: piece });
      await bytes.write(sent.subarray(at, at + piece));
      expect(sent.subarray(at, at + piece).equals((await reading).subarray())).toBe(true);
    }
    await stream.close();
  });
});

describe('first words', () => {
  /** What the listener sends to a dialler that writes these pieces after its nonce. */
  async function dialler(made: Made) {
    const [address = ''] = made.host.getMultiaddrs().map((each) => each.toString());
    const port = Number(/tcp\/(\d+)/.exec(address)?.[1]);
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    sockets.push(socket);
    const got: Buffer[] = [];
    let closed = false;
    socket.on('data', (bytes) => got.push(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed = true;
    });
    const nonce = Buffer.alloc(24, 7);
    socket.write(nonce);
    await expect.poll(() => Buffer.concat(got).length, { interval: 1, timeout: 5000 }).toBe(24);
    return { socket, nonce, heard: () => Buffer.concat(got).subarray(24), ended: () => closed };
  }

  const words = Buffer.from('\x13/multistream/1.0.0\n', 'latin1');
  const under = (key: string, nonce: Uint8Array, text: Uint8Array): Buffer =>
    Buffer.from(xsalsa20(nonce, Buffer.from(key, 'hex')).update(text));

  test('cut at every boundary they are the same words', async () => {
    const ours = await guarded(() => ring(b, a, c));
    for (let cut = 1; cut < words.length; cut++) {
      const { socket, nonce, heard } = await dialler(ours);
      const coded = under(a, nonce, words);
      const before = ours.traffic.received;
      socket.write(coded.subarray(0, cut));
      // The other half leaves only once the first one was read.
      await expect
        .poll(() => ours.traffic.received, { interval: 1, timeout: 5000 })
        .toBe(before + cut);
      expect(heard().length).toBe(0);
      socket.write(coded.subarray(cut));
      await expect
        .poll(() => heard().length, { interval: 1, timeout: 5000 })
        .toBeGreaterThanOrEqual(20);
      socket.destroy();
    }
  });

  test('garbage is refused at once, silence when its time is over; neither is answered', async () => {
    const ours = await guarded(() => ring(b, a));
    const garbage = await dialler(ours);
    garbage.socket.write(Buffer.alloc(64, 1));
    await expect.poll(garbage.ended, { timeout: upgradeMsMax / 2 }).toBe(true);
    await refusal(ours, 1);
    const impatient = await guarded(() => ring(b, a), 500);
    const slow = await dialler(impatient);
    slow.socket.write(under(a, slow.nonce, words).subarray(0, 19));
    await expect.poll(slow.ended, { timeout: upgradeMsMax }).toBe(true);
    await refusal(impatient, 1);
    expect([garbage.heard().length, slow.heard().length]).toEqual([0, 0]);
    await talk(await plain(a), ours);
  });

  test('strangers wear nothing out', async () => {
    const ours = await guarded(() => ring(c, b, a));
    for (let round = 1; round <= 100; round++) {
      const { socket, ended } = await dialler(ours);
      socket.write(Buffer.alloc(64, round));
      await expect.poll(ended, { interval: 1, timeout: 5000 }).toBe(true);
    }
    await talk(await plain(a), ours);
    await refusal(ours, 100);
  });
});
