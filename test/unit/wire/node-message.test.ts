import { expect, test } from 'vitest';
import type { z } from 'zod';
import {
  admitSchema,
  admittedSchema,
  decodeNodeMessage,
  encodeNodeMessage,
  helloSchema,
  nodeProtocol,
  orderAnswerSchema,
  orderSchema,
  reachAnswerSchema,
  reachSchema,
  reportAnswerSchema,
  reportSchema,
} from '../../../src/wire/node-message.ts';

const hex = 'a'.repeat(32);
const cid = 'bafybeifk2drdsqrmoldobilmz5qopm7bppcllj3nz5swrcmoli7v3o6cgy';
const certificate = {
  peerId: '12D3KooW',
  name: 'master-1',
  role: 'master',
  rank: 3000,
  zone: 'z',
  votes: true,
  leads: true,
} as const;

const samples = {
  hello: [
    helloSchema,
    {
      protocol: nodeProtocol,
      certificate: 'a.b.c',
      clusterId: hex,
      epoch: hex,
      epochNumber: 1,
      parentEpoch: null,
      version: '1',
      statusUrl: null,
      addresses: ['/ip4/1.2.3.4/tcp/5'],
      leader: null,
      members: [{ peerId: 'p', addresses: [] }],
    },
  ],
  admit: [admitSchema, { peerId: 'p', certificate: 'a.b.c', epoch: hex, forwarded: false }],
  admitted: [admittedSchema, { certificate }],
  report: [
    reportSchema,
    {
      epoch: hex,
      incarnation: 1,
      seq: 2,
      full: true,
      more: false,
      pins: [
        {
          cid,
          state: 'pinned',
          sinceMs: 1,
          attempts: 0,
          bytesDone: 5,
          bytesTotal: null,
          blocks: 1,
          lastError: null,
        },
      ],
      gone: [cid],
      usage: { bytesStored: 1, bytesFree: 2, blocks: 3 },
      holdsContent: true,
    },
  ],
  'report-answer': [
    reportAnswerSchema,
    { leads: true, resend: false, summary: null, released: [] },
  ],
  order: [
    orderSchema,
    { epoch: hex, term: 4, order: { type: 'challenge', cid, blockIndex: 0, nonce: hex } },
  ],
  'order-answer': [orderAnswerSchema, { executed: true, fence: 4, proof: hex, blocks: null }],
  reach: [reachSchema, { peer: '12D3KooW' }],
  'reach-answer': [reachAnswerSchema, { answer: 'unknown' }],
} as const;
/** Fields that came later and have a default. */
const defaulted = ['epochNumber', 'parentEpoch', 'more', 'summary', 'released'];
const names = Object.keys(samples) as (keyof typeof samples)[];
type Encodable = Parameters<typeof encodeNodeMessage>[0];

const sampleOf = (name: keyof typeof samples): { schema: z.ZodType; value: Encodable } => {
  const [schema, value] = samples[name];
  return { schema, value: value as unknown as Encodable };
};

test.each(names)('%s comes back as it went, with fields of later versions kept', (name) => {
  const { schema, value } = sampleOf(name);
  const later = { ...value, later: 'field' } as Encodable;
  expect(decodeNodeMessage(name, schema, encodeNodeMessage(later))).toEqual(later);
});

test.each(names)('%s: every missing field is refused by name', (name) => {
  const { schema, value } = sampleOf(name);
  for (const field of Object.keys(value)) {
    if (defaulted.includes(field)) continue;
    const { [field]: _, ...rest } = value as Record<string, unknown>;
    const bytes = encodeNodeMessage(rest as Encodable);
    expect(() => decodeNodeMessage(name, schema, bytes)).toThrow(
      new RegExp(`${name}.*${field}`, 's'),
    );
  }
});
