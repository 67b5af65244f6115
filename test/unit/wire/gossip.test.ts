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

describe('the table', () => {
  test('takes what it lists and keeps unknown fields', () => {
    const bytes = encodeGossip('members', { ...member, version: '0.2.0' });
    expect(decodeGossip('members', bytes)).toEqual({ ...member, version: '0.2.0' });
    const health = { type: 'health' as const, score: null, reasons: [] };
    expect(decodeGossip('health', encodeGossip('health', health))).toEqual(health);
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
