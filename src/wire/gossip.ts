/**
 * What may be gossiped: a table of topics and types, each with its schema and size, deny by
 * default. A record carries who said it, in which incarnation and with which sequence number, and
 * is signed by the speaker's key, so that it can be relayed by anybody and replayed by nobody.
 */
import { z } from 'zod';
import type { Ms, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { encode as encodeCbor } from './cbor.ts';
import { statementCharactersMax } from './certificate.ts';
import { checked, fromCbor } from './checked.ts';
import { type HealthGossip, healthGossipSchema } from './health-record.ts';
import { roles } from './member.ts';

const address = z.string().min(1).max(256);
const peerId = z.string().min(1).max(128);

/** Who I am and where I can be reached; hints, never authority. */
export const memberGossipSchema = z.looseObject({
  type: z.literal('member'),
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/),
  role: z.enum(roles),
  addresses: z.array(address).max(16),
  statusUrl: z.string().max(512).nullable(),
  /** Where the node's content host listens; null while it has none. */
  content: z.looseObject({ peerId, addresses: z.array(address).max(16) }).nullable(),
  /** The speaker's certificate: what makes its records count where it is not linked. */
  certificate: z.string().min(1).max(statementCharactersMax).optional(),
});
export type MemberGossip = z.infer<typeof memberGossipSchema>;

export type Gossip = MemberGossip | HealthGossip;
/** As a speaker gives it: what has a default may be left out. */
type Sayable = z.input<typeof memberGossipSchema> | z.input<typeof healthGossipSchema>;

/** Deny by default: what is not in here is dropped and counted. */
export const gossipTopics = {
  members: { schema: memberGossipSchema, bytesMax: 8 * 1024 },
  health: { schema: healthGossipSchema, bytesMax: 8 * 1024 },
} as const;
export type GossipTopic = keyof typeof gossipTopics;
export const gossipTopicNames: readonly GossipTopic[] = ['members', 'health'];

/** Largest record with its envelope and signature, bytes. */
export const gossipRecordBytesMax = 10 * 1024;

export function isGossipTopic(topic: string): topic is GossipTopic {
  return Object.hasOwn(gossipTopics, topic);
}

/** Bytes of a gossip message; throws `bad-request` or `too-large` before anything is sent. */
export function encodeGossip(topic: GossipTopic, message: Sayable): Uint8Array {
  const bytes = encodeCbor(message);
  decodeGossip(topic, bytes);
  return bytes;
}

/** The message, checked against the table; throws `bad-request` or `too-large`. */
export function decodeGossip(topic: string, bytes: Uint8Array): Gossip {
  if (!isGossipTopic(topic)) throw new AgentError('forbidden', 'gossip: unknown topic');
  const { schema, bytesMax } = gossipTopics[topic];
  if (bytes.length > bytesMax)
    throw new AgentError('too-large', `gossip ${topic}: ${bytes.length} bytes of ${bytesMax}`);
  return checked<Gossip>(`gossip ${topic}`, schema, fromCbor('gossip', bytes));
}

/** The signed part of a record. `seq` counts within one incarnation of the speaker. */
const statementSchema = z.object({
  v: z.literal(1),
  topic: z.string().max(32),
  from: peerId,
  cluster: z.string().max(32).nullable(),
  incarnation: z.int().min(0),
  seq: z.int().min(0),
  /** The speaker's wall clock, ms since the Unix epoch; bounds how old a replay may be. */
  atMs: z.number(),
  body: z.instanceof(Uint8Array),
});

export interface GossipRecord {
  readonly topic: GossipTopic;
  readonly from: PeerId;
  /** Cluster of the speaker, null while it belongs to none. */
  readonly cluster: string | null;
  readonly incarnation: number;
  readonly seq: number;
  readonly atMs: Ms;
  /** An encoded message of the table, already checked. */
  readonly body: Uint8Array;
}

/** A record as it travels: the statement's bytes and the signature over exactly these. */
export interface SignedRecord {
  readonly record: GossipRecord;
  readonly statement: Uint8Array;
  readonly signature: Uint8Array;
}

/** The bytes to sign. */
export function encodeStatement(record: GossipRecord): Uint8Array {
  return encodeCbor({ v: 1, ...record });
}

export function encodeSignedRecord(signed: Pick<SignedRecord, 'statement' | 'signature'>) {
  return encodeCbor([signed.statement, signed.signature]);
}

/** Everything but the signature is checked here; throws like `decodeGossip`. */
export function decodeSignedRecord(bytes: Uint8Array): SignedRecord {
  if (bytes.length > gossipRecordBytesMax)
    throw new AgentError('too-large', `gossip record of ${bytes.length} bytes`);
  const pair = fromCbor('gossip record', bytes);
  const [statement, signature] = Array.isArray(pair) ? (pair as unknown[]) : [];
  if (!(statement instanceof Uint8Array) || !(signature instanceof Uint8Array))
    throw new AgentError('bad-request', 'gossip record is not a signed statement');
  const what = 'gossip record';
  const { v: _, topic, ...rest } = checked(what, statementSchema, fromCbor(what, statement));
  if (!isGossipTopic(topic)) throw new AgentError('forbidden', 'gossip: unknown topic');
  decodeGossip(topic, rest.body);
  return { record: { topic, ...rest }, statement, signature };
}

/** Positive when `a` is newer than `b`. */
export function compareAge(
  a: Pick<GossipRecord, 'incarnation' | 'seq'>,
  b: Pick<GossipRecord, 'incarnation' | 'seq'>,
): number {
  return a.incarnation - b.incarnation || a.seq - b.seq;
}

/** One line of a digest: what the sender of it has of whom. */
export const digestSchema = z
  .array(z.tuple([z.string().max(32), peerId, z.int().min(0), z.int().min(0)]))
  .max(4096);
export type Digest = z.infer<typeof digestSchema>;

export function decodeDigest(bytes: Uint8Array): Digest {
  return checked('gossip digest', digestSchema, fromCbor('gossip digest', bytes));
}

/** A summary has one hash for each of so many buckets of records. */
export const summaryBuckets = 64;
export const bucketHashBytes = 8;
export const summaryBytes = summaryBuckets * bucketHashBytes;

const summarySchema = z.looseObject({
  v: z.literal(1),
  hashes: z.instanceof(Uint8Array).refine((bytes) => bytes.length === summaryBytes, {
    error: `hashes must be ${summaryBytes} bytes`,
  }),
});

export const encodeSummary = (hashes: Uint8Array): Uint8Array => encodeCbor({ v: 1, hashes });

/** The hashes of all buckets. */
export function decodeSummary(bytes: Uint8Array): Uint8Array {
  return checked('gossip summary', summarySchema, fromCbor('gossip summary', bytes)).hashes;
}

const differenceSchema = z.looseObject({
  /** Buckets whose hashes differ from the asker's. */
  differs: z
    .array(
      z
        .int()
        .min(0)
        .max(summaryBuckets - 1),
    )
    .max(summaryBuckets),
  /** What the answerer has in them. */
  digest: digestSchema,
});
export type Difference = z.infer<typeof differenceSchema>;

export function decodeDifference(bytes: Uint8Array): Difference {
  return checked('gossip difference', differenceSchema, fromCbor('gossip difference', bytes));
}

const exchangeSchema = z.object({
  records: z.array(z.instanceof(Uint8Array)).max(256),
  /** Keys of which the answerer wants the asker's newer record. */
  wants: z.array(z.tuple([z.string().max(32), peerId])).max(256),
});
export type Exchange = z.infer<typeof exchangeSchema>;

export function decodeExchange(bytes: Uint8Array): Exchange {
  return checked('gossip exchange', exchangeSchema, fromCbor('gossip exchange', bytes));
}
