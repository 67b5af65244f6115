import { encode } from 'cborg';
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { createPrng } from '../../../src/base/prng.ts';
import {
  compareAge,
  decodeDigest,
  decodeExchange,
  decodeGossip,
  decodeSignedRecord,
  encodeGossip,
  encodeSignedRecord,
  encodeStatement,
  type MemberGossip,
} from '../../../src/wire/gossip.ts';
import { detailCharactersMax, reasonsSaidMax } from '../../../src/wire/health-record.ts';

const member: MemberGossip = {
  type: 'member',
  name: 'worker-1',
  role: 'worker',
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
  statusUrl: 'http://127.0.0.1:8080',
  content: null,
};

const record = {
  topic: 'members' as const,
  from: '12D3KooWspeaker',
  cluster: null,
  incarnation: 3,
  seq: 4,
  atMs: 1000,
  body: encodeGossip('members', member),
};
const signed = encodeSignedRecord({
  statement: encodeStatement(record),
  signature: new Uint8Array(64),
});

/** Everything at its longest: what a record of health may grow to. */
const fullHealth = {
  type: 'health' as const,
  incarnation: Number.MAX_SAFE_INTEGER,
  beat: Number.MAX_SAFE_INTEGER,
  score: 100,
  grade: 'unhealthy' as const,
  reasons: Array.from({ length: reasonsSaidMax }, () => ({
    component: 'ipfs_cluster_service',
    code: 'daemon-leader-unreachable',
    deduction: 100,
    detail: 'x'.repeat(detailCharactersMax),
  })),
  components: Array.from({ length: 7 }, () => ({ name: 'c'.repeat(20), score: 1, weight: 2 })),
  resources: {
    cpuPercent: 99.9,
    memoryPercent: 99.9,
    diskPercent: 99.9,
    diskFreeBytes: Number.MAX_SAFE_INTEGER,
    load: [1.5, 2.5, 3.5],
    gpu: {
      gpu_count: 8,
      gpu_devices: Array.from({ length: 8 }, () => ({
        name: 'NVIDIA A100-SXM4-80GB',
        memory_total: 85899345920,
        memory_free: 85899345920,
        memory_used: 85899345920,
      })),
    },
  },
  daemons: Array.from({ length: 4 }, () => ({
    type: 'ipfs_cluster_service',
    mode: 'managed',
    state: 'unresponsive',
    score: 100,
    version: '1.33.0+mainnet+git.7bdccad3d',
  })),
  leaving: false,
  accused: Array.from({ length: 32 }, () => ({
    peer: '12D3KooWGatU9DkJLfJwDgUzKLAHWnbi5yf9XWdZDxQwVLKsJBfE',
    incarnation: Number.MAX_SAFE_INTEGER,
    beat: Number.MAX_SAFE_INTEGER,
  })),
};

describe('a health record', () => {
  test('fits into a message with everything at its longest', () => {
    expect(decodeGossip('health', encodeGossip('health', fullHealth))).toEqual(fullHealth);
  });

  test.each([
    ['a score above 100', { score: 101 }],
    ['a score that is no whole number', { score: 99.5 }],
    ['a score below 0', { score: -1 }],
    ['more accused than may be', { accused: [...fullHealth.accused, fullHealth.accused[0]] }],
    ['a grade that is none', { grade: 'fine' }],
  ])('with %s is refused', (_, wrong) => {
    expect(() => decodeGossip('health', encode({ ...fullHealth, ...wrong }))).toThrow(AgentError);
  });

  test('of an older node gets values that say nothing', () => {
    const old = encode({ type: 'health', score: 90, reasons: [{ code: 'c', detail: 'd' }] });
    expect(decodeGossip('health', old)).toMatchObject({
      beat: 0,
      grade: null,
      accused: [],
      leaving: false,
    });
  });
});

describe('the table', () => {
  test('takes what it lists and keeps unknown fields', () => {
    const bytes = encodeGossip('members', { ...member, version: '0.2.0' });
    expect(decodeGossip('members', bytes)).toEqual({ ...member, version: '0.2.0' });
    const health = { type: 'health' as const, score: null, reasons: [] };
    expect(decodeGossip('health', encodeGossip('health', health))).toMatchObject(health);
  });

  test.each([
    ['an unknown topic', 'secrets', encode(member)],
    ['a name of Object.prototype', 'constructor', encode(member)],
    ['a type of another topic', 'health', encode(member)],
    ['a bad role', 'members', encode({ ...member, role: 'king' })],
    ['a bad name', 'members', encode({ ...member, name: 'Worker 1' })],
    ['too many addresses', 'members', encode({ ...member, addresses: Array(17).fill('/ip4') })],
    ['too many bytes', 'members', encode({ ...member, extra: 'x'.repeat(8200) })],
    ['no CBOR', 'members', Buffer.from('{"type":"member"}')],
    ['nothing', 'members', new Uint8Array(0)],
  ])('refuses %s', (_what, topic, bytes) => {
    expect(() => decodeGossip(topic, bytes)).toThrow(AgentError);
  });
});

test('a record round trips', () => {
  expect(decodeSignedRecord(signed).record).toEqual(record);
});

test('a record is newer by incarnation first, then by sequence', () => {
  const age = (incarnation: number, seq: number) => ({ incarnation, seq });
  expect(compareAge(age(2, 1), age(1, 9))).toBeGreaterThan(0);
  expect(compareAge(age(2, 1), age(2, 2))).toBeLessThan(0);
  expect(compareAge(age(2, 2), age(2, 2))).toBe(0);
});

test('100,000 malformed records, digests and exchanges: AgentError or a value, nothing else', () => {
  const prng = createPrng(7);
  const goods = [
    signed,
    encode([['members', 'a', 1, 2]]),
    encode({ records: [signed], wants: [['members', 'a']] }),
    record.body,
  ];
  const decoders = [
    decodeSignedRecord,
    decodeDigest,
    decodeExchange,
    (bytes: Uint8Array) => decodeGossip('members', bytes),
  ];
  let refused = 0;
  for (let round = 0; round < 100_000; round++) {
    const good = goods[round % 4] ?? signed;
    const bytes = Uint8Array.from(good.subarray(0, good.length - (round % 5 ? 0 : prng.int(20))));
    for (let flips = prng.int(3) + 1; flips > 0; flips--)
      bytes[prng.int(bytes.length)] = prng.int(256);
    try {
      decoders[round % 4]?.(bytes);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(30_000);
});
