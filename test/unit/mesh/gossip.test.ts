/** The exchange of records: by hashes, with an older peer by digests, and what each of it costs. */
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { createPrng } from '../../../src/base/prng.ts';
import { createGossiper, type Gossiper } from '../../../src/mesh/gossip.ts';
import type { Host } from '../../../src/mesh/host.ts';
import { createRecords, type Records } from '../../../src/mesh/records.ts';
import { encodeGossip } from '../../../src/wire/gossip.ts';

const wallMs = 1_000_000_000;
/** Nothing is pushed here: what arrives, arrives by exchange. */
const silentHost = {
  services: { pubsub: { publish: async () => ({ recipients: [] }) } },
} as unknown as Host;

interface Node {
  readonly id: string;
  readonly records: Records;
  readonly gossiper: Gossiper;
  other: Node | null;
  readonly asked: { name: string; bytes: number }[];
}

const recordsOf = (privateKey: Ed25519PrivateKey): Records =>
  createRecords({
    self: peerIdFromPrivateKey(privateKey).toString(),
    privateKey,
    incarnation: 1,
    cluster: () => null,
    wallMs: () => wallMs,
    mayGossip: async () => true,
  });

/** `knows`: requests that it answers; an older node knows fewer. */
async function makeNode(knows: (name: string) => boolean = () => true): Promise<Node> {
  const privateKey = await generateKeyPair('Ed25519');
  const records = recordsOf(privateKey);
  const id = peerIdFromPrivateKey(privateKey).toString();
  const asked: { name: string; bytes: number }[] = [];
  const gossiper = createGossiper({
    ...{ self: id, host: silentHost, records, prng: createPrng(1) },
    monoMs: () => 0,
    wallMs: () => wallMs,
    peers: () => (node.other === null ? [] : [node.other.id]),
    request: async (_to, name, body) => {
      const answer = (await node.other?.gossiper.answer(name, body)) ?? new Uint8Array(0);
      asked.push({ name, bytes: body.length + answer.length });
      return answer;
    },
    deliver: () => undefined,
  });
  const guarded: Gossiper = {
    ...gossiper,
    answer: async (name, body) => {
      if (!knows(name)) throw new AgentError('not-built', `no request ${name}`);
      return gossiper.answer(name, body);
    },
  };
  const node: Node = { id, records, gossiper: guarded, other: null, asked };
  return node;
}

const health = (score: number): Uint8Array =>
  encodeGossip('health', { type: 'health', score, reasons: [] });

/** Records of `count` strangers, held by both. */
async function tellBoth(a: Node, b: Node, count: number): Promise<Records[]> {
  const speakers: Records[] = [];
  for (let i = 0; i < count; i++) {
    const speaker = recordsOf(await generateKeyPair('Ed25519'));
    const said = await speaker.say('health', health(80));
    for (const { records } of [a, b]) expect((await records.offer(said)).verdict).toBe('new');
    speakers.push(speaker);
  }
  return speakers;
}

async function pair(knows?: (name: string) => boolean): Promise<[Node, Node]> {
  const a = await makeNode();
  const b = await makeNode(knows);
  a.other = b;
  b.other = a;
  return [a, b];
}

test('both sides get what the other has newer, in two requests', async () => {
  const [a, b] = await pair();
  const speakers = await tellBoth(a, b, 20);
  await a.records.offer((await speakers[3]?.say('health', health(70))) ?? new Uint8Array());
  await b.records.offer((await speakers[9]?.say('health', health(60))) ?? new Uint8Array());
  await a.records.say('health', health(90));
  await a.gossiper.catchUp();
  expect(a.asked.map(({ name }) => name)).toEqual(['mesh.summary', 'mesh.sync']);
  expect(a.records.newerThan(b.records.digest(), 100)).toEqual([]);
  expect(b.records.newerThan(a.records.digest(), 100)).toEqual([]);
  expect(b.records.size).toBe(21);
});

test('with an older peer whole digests are exchanged', async () => {
  const [a, b] = await pair((name) => ['mesh.digest', 'mesh.records'].includes(name));
  await a.records.say('health', health(90));
  await b.records.say('health', health(50));
  await a.gossiper.catchUp();
  expect(a.asked.map(({ name }) => name)).toEqual(['mesh.digest', 'mesh.records']);
  expect([a.records.size, b.records.size]).toEqual([2, 2]);
});

test('where nothing differs an exchange costs the same for five members and for a hundred', async () => {
  const bytes: number[] = [];
  for (const members of [5, 100]) {
    const [a, b] = await pair();
    await tellBoth(a, b, members);
    await a.gossiper.catchUp();
    expect(a.asked.map(({ name }) => name)).toEqual(['mesh.summary']);
    bytes.push(a.asked[0]?.bytes ?? 0);
  }
  expect(bytes[0]).toBe(bytes[1]);
  expect(bytes[0]).toBeLessThan(600);
});
