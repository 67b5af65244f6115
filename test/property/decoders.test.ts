/**
 * Foreign bytes at every decoder: random bytes, and valid encodings with bytes changed, cut,
 * repeated and joined. Each input either decodes or is refused with an AgentError of a known code;
 * nothing else is thrown, and no input takes long. The seed is printed by the failing assertion.
 */
import { encode as encodeCbor } from 'cborg';
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../src/base/error.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import { decodeEnvelope } from '../../src/wire/command.ts';
import { decodeChange, decodeConfiguration } from '../../src/wire/configuration.ts';
import { decodeMessage } from '../../src/wire/consensus-message.ts';
import { enrolledSchema, enrolSchema, renewSchema } from '../../src/wire/enrolment.ts';
import {
  clusterDaemonAnswerSchema,
  clusterDaemonSchema,
  pinsetAnswerSchema,
  pinsetSchema,
} from '../../src/wire/federation-message.ts';
import { decodeCall } from '../../src/wire/frame.ts';
import {
  decodeDifference,
  decodeDigest,
  decodeExchange,
  decodeGossip,
  decodeSignedRecord,
  decodeSummary,
} from '../../src/wire/gossip.ts';
import {
  decodeClashNotice,
  decodeInstanceQuestion,
  decodeInstanceWord,
} from '../../src/wire/instance.ts';
import {
  admitSchema,
  copiesAnswerSchema,
  copiesSchema,
  decodeNodeMessage,
  helloSchema,
  orderAnswerSchema,
  orderSchema,
  reportAnswerSchema,
  reportSchema,
} from '../../src/wire/node-message.ts';

import {
  electableSchema,
  safetyAnswerSchema,
  safetySchema,
} from '../../src/wire/operation-message.ts';

const inputs = Number(process.env.BELLWETHER_FUZZ ?? 10_000);
const refusals = new Set(['bad-request', 'too-large', 'forbidden', 'not-built', 'damaged']);

const certificate = {
  peerId: 'p1',
  name: 'm1',
  role: 'master',
  rank: 3000,
  zone: 'z',
  votes: true,
  leads: true,
};
const id = '0123456789abcdef0123456789abcdef';
const cid = 'bafkreihdlwsafjmtwsuce4tvyq2mauev5ac7ozoyrue4wngijikj3o2xdq';
const pin = {
  cid,
  state: 'pinned',
  sinceMs: 1,
  attempts: 1,
  bytesDone: 1,
  bytesTotal: 1,
  blocks: 1,
  lastError: null,
};
const usage = { bytesStored: 1, bytesFree: 1, blocks: 1 };
const instanceWord = { instance: id, met: null, signature: new Uint8Array(64) };
const node =
  (what: string, schema: Parameters<typeof decodeNodeMessage>[1]) => (bytes: Uint8Array) =>
    decodeNodeMessage(what, schema, bytes);

/** Each decoder with one valid value to start from. */
const decoders: Record<string, { decode: (bytes: Uint8Array) => unknown; seed: unknown }> = {
  message: {
    decode: decodeMessage,
    seed: {
      type: 'heartbeat',
      v: 1,
      cluster: 'c',
      epoch: 'e',
      term: 3,
      round: 1,
      leaseMs: 500,
      commit: 9,
      direct: true,
      serving: true,
      rttMs: null,
      rank: 3000,
    },
  },
  configuration: {
    decode: decodeConfiguration,
    seed: { members: [certificate], voters: ['p1'], outgoing: null, leaving: [] },
  },
  change: { decode: decodeChange, seed: { type: 'admit', member: certificate } },
  envelope: {
    decode: decodeEnvelope,
    seed: {
      v: 1,
      session: id,
      seq: 1,
      atMs: 5,
      idempotency: null,
      command: {
        type: 'index.put',
        index: 'knowledge_graph',
        key: 'k',
        value: { a: [1, { b: null }] },
        expectedVersion: 0,
      },
    },
  },
  instanceQuestion: { decode: decodeInstanceQuestion, seed: { met: id } },
  instanceWord: { decode: decodeInstanceWord, seed: instanceWord },
  clashNotice: {
    decode: decodeClashNotice,
    seed: { other: instanceWord, address: '/ip4/1.2.3.4' },
  },
  call: { decode: decodeCall, seed: { id: 1, name: 'report', body: new Uint8Array([1, 2]) } },
  gossip: {
    decode: (bytes) => decodeGossip('members', bytes),
    seed: {
      type: 'member',
      name: 'm1',
      role: 'master',
      addresses: ['/ip4/127.0.0.1/tcp/1'],
      statusUrl: null,
      content: null,
      certificate: 'a.b.c',
    },
  },
  record: { decode: decodeSignedRecord, seed: [encodeCbor({ v: 1 }), new Uint8Array(64)] },
  digest: { decode: decodeDigest, seed: [['members', 'p1', 1, 2]] },
  summary: { decode: decodeSummary, seed: { v: 1, hashes: new Uint8Array(512) } },
  difference: {
    decode: decodeDifference,
    seed: { differs: [3], digest: [['members', 'p1', 1, 2]] },
  },
  exchange: { decode: decodeExchange, seed: { records: [], wants: [['members', 'p1']] } },
  hello: {
    decode: node('hello', helloSchema),
    seed: {
      protocol: { min: 2, max: 2 },
      certificate: 'a.b.c',
      clusterId: id,
      epoch: id,
      version: '1',
      statusUrl: null,
      addresses: [],
      leader: null,
      members: [{ peerId: 'p2', addresses: ['/ip4/127.0.0.1/tcp/1'] }],
    },
  },
  admit: {
    decode: node('admit', admitSchema),
    seed: { peerId: 'p1', certificate: 'a.b.c', epoch: id, forwarded: false },
  },
  enrol: {
    decode: node('enrol', enrolSchema),
    seed: { id: id.slice(16), secret: id, name: 'w1', zone: 'z', rank: 0 },
  },
  enrolled: {
    decode: node('enrolled', enrolledSchema),
    seed: {
      certificate: 'a.b.c',
      trusted: ['x'.repeat(43)],
      authority: { x: 'x'.repeat(43), d: 'd'.repeat(43) },
      peers: ['/ip4/127.0.0.1/tcp/1'],
    },
  },
  renew: { decode: node('renew', renewSchema), seed: { certificate: 'a.b.c' } },
  report: {
    decode: node('report', reportSchema),
    seed: {
      epoch: id,
      incarnation: 1,
      seq: 1,
      full: true,
      more: false,
      pins: [pin],
      gone: [],
      usage,
      holdsContent: true,
    },
  },
  'report answer': {
    decode: node('report answer', reportAnswerSchema),
    seed: { leads: true, resend: false, released: [cid], summary: null },
  },
  order: {
    decode: node('order', orderSchema),
    seed: {
      epoch: id,
      term: 4,
      order: { type: 'challenge', cid, blockIndex: 1, nonce: id },
    },
  },
  'order answer': {
    decode: node('order answer', orderAnswerSchema),
    seed: { executed: true, fence: 4, proof: 'x', blocks: null },
  },
  'cluster daemon': {
    decode: node('cluster daemon', clusterDaemonSchema),
    seed: { kind: 'ipfs_cluster_follow', peerId: 'f1', addresses: ['/ip4/127.0.0.1/tcp/9196'] },
  },
  'cluster daemon answer': {
    decode: node('cluster daemon answer', clusterDaemonAnswerSchema),
    seed: { leads: true },
  },
  pinset: { decode: node('pinset', pinsetSchema), seed: { peerId: 'f1', after: null } },
  'pinset answer': {
    decode: node('pinset answer', pinsetAnswerSchema),
    seed: { known: true, cids: [cid], next: cid },
  },
  copies: { decode: node('copies', copiesSchema), seed: { cids: [cid] } },
  'copies answer': {
    decode: node('copies answer', copiesAnswerSchema),
    seed: {
      leads: true,
      pins: [{ cid, copies: [{ peerId: 'p1', status: pin, verified: true, ageMs: 1 }] }],
    },
  },
  electable: {
    decode: node('electable', electableSchema),
    seed: { reason: null, term: 3, leader: 'p1', behind: 0 },
  },
  safety: { decode: node('safety', safetySchema), seed: { peer: 'p1' } },
  'safety answer': {
    decode: node('safety answer', safetyAnswerSchema),
    seed: {
      ...{ acting: true, term: 3, reasons: [{ code: 'quorum', detail: 'x' }], pinsAtRisk: 1 },
      ...{ allocated: 1, leads: false },
    },
  },
};

/** Values that break what a schema expects where a valid one stood. */
const intruders: readonly unknown[] = [
  null,
  -1,
  1e308,
  Number.MAX_SAFE_INTEGER,
  '',
  'x'.repeat(5000),
  [],
  {},
  true,
  new Uint8Array(300),
  { __proto__: null, constructor: 1, toString: 2 },
];

/** The value with one part, somewhere inside, replaced by an intruder. */
function intrude(prng: Prng, value: unknown): unknown {
  if (prng.chance(0.2)) return prng.pick(intruders);
  if (value instanceof Uint8Array || value === null || typeof value !== 'object')
    return prng.pick(intruders);
  if (Array.isArray(value)) {
    if (value.length === 0 || prng.chance(0.2)) return Array(prng.int(300)).fill(value[0] ?? 1);
    const at = prng.int(value.length);
    return value.map((item, i) => (i === at ? intrude(prng, item) : item));
  }
  const keys = Object.keys(value);
  const key = prng.pick(keys);
  const entries = Object.entries(value).flatMap(([name, item]) => {
    if (name !== key) return [[name, item]];
    return prng.chance(0.15) ? [] : [[name, intrude(prng, item)]];
  });
  return Object.fromEntries(entries);
}

function mutate(prng: Prng, bytes: Uint8Array): Uint8Array {
  const out = Uint8Array.from(bytes);
  switch (prng.int(5)) {
    case 0:
      return out.subarray(0, prng.int(out.length + 1));
    case 1:
      return Uint8Array.from([...out, ...out.subarray(prng.int(out.length))]);
    case 2: {
      const from = prng.int(out.length);
      return out.fill(prng.int(256), from, from + prng.int(8));
    }
    default:
      for (let n = prng.int(4); n >= 0; n--) out[prng.int(out.length)] = prng.int(256);
      return out;
  }
}

function randomInput(prng: Prng, seed: unknown, valid: Uint8Array): Uint8Array {
  const kind = prng.float();
  if (kind < 0.1) return Uint8Array.from({ length: prng.int(200) }, () => prng.int(256));
  if (kind < 0.6) return mutate(prng, valid);
  return encodeCbor(intrude(prng, seed));
}

describe.each(Object.entries(decoders))('%s', (name, { decode, seed }) => {
  test(`${inputs} malformed inputs are decoded or refused`, { timeout: 600_000 }, () => {
    const valid = encodeCbor(seed);
    for (let i = 0; i < inputs; i++) {
      const input = randomInput(createPrng(i * 31 + name.length), seed, valid);
      try {
        decode(input);
      } catch (thrown) {
        if (!(thrown instanceof AgentError) || !refusals.has(thrown.code))
          throw new Error(`input ${i} (${Buffer.from(input).toString('hex')})`, { cause: thrown });
        if (thrown.message.length > 1000) expect(thrown.message).toBe('a short refusal');
      }
    }
  });
});
