/**
 * What nodes say to each other beside consensus, as requests with answers: who are you (`hello`),
 * let me in (`admit`), this is what I hold (`report`), and a leader's orders. Foreign bytes become
 * values here, with limits; an order carries (epoch, term) and is executed only past the fence.
 */
import { z } from 'zod';
import { chainSchema } from './authority-statement.ts';
import { encode as encodeCbor } from './cbor.ts';
import { statementCharactersMax } from './certificate.ts';
import { checked, fromCbor } from './checked.ts';
import type {
  ClusterDaemon,
  ClusterDaemonAnswer,
  PinsetAnswer,
  PinsetRequest,
} from './federation-message.ts';
import { certificateSchema } from './member.ts';
import type {
  BallotsAnswer,
  BallotsQuestion,
  Electable,
  SafetyAnswer,
  SafetyQuestion,
} from './operation-message.ts';

/** Versions of the node protocol that this build speaks. */
export const nodeProtocol = { min: 2, max: 2 } as const;

interface Versions {
  readonly min: number;
  readonly max: number;
}

/** The newest version that both sides speak, or null when there is none. */
export function agreedVersion(own: Versions, theirs: Versions): number | null {
  const version = Math.min(own.max, theirs.max);
  return version >= Math.max(own.min, theirs.min) ? version : null;
}

/** Pins in one report; a full report of more goes in several parts. */
export const reportPinsMax = 2000;

const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
const peerId = z.string().min(1).max(128);
const cid = z.string().min(10).max(128);
const address = z.string().min(1).max(256);

/** The same shape in both directions: the asker says who it is, too. */
export const helloSchema = z.looseObject({
  protocol: z.looseObject({ min: z.int().min(1), max: z.int().min(1) }),
  /** The speaker's certificate as its authority signed it; null: it has none yet. */
  certificate: z.string().min(1).max(statementCharactersMax).nullable(),
  /** null: in no cluster yet. */
  clusterId: hex32.nullable(),
  epoch: hex32.nullable(),
  /** 0: the speaker came into its epoch by `rejoin` and has not heard the number yet. */
  epochNumber: z.int().min(0).default(0),
  parentEpoch: hex32.nullable().default(null),
  version: z.string().max(64),
  statusUrl: z.string().max(512).nullable(),
  addresses: z.array(address).max(16),
  leader: peerId.nullable(),
  /** Whom the speaker knows, so that a newcomer reaches everybody before the first gossip. */
  members: z.array(z.looseObject({ peerId, addresses: z.array(address).max(16) })).max(256),
  /** How the authority of the speaker's certificate came to be; absent: it is the first one. */
  chain: chainSchema.optional(),
});
export type Hello = z.infer<typeof helloSchema>;

export const admitSchema = z.looseObject({
  peerId,
  certificate: z.string().min(1).max(statementCharactersMax),
  epoch: hex32,
  /** True once a node passed it on to the leader; it goes one hop and no further. */
  forwarded: z.boolean(),
});
export type Admit = z.infer<typeof admitSchema>;

export const admittedSchema = z.looseObject({ certificate: certificateSchema });
export type Admitted = z.infer<typeof admittedSchema>;

export const pinStatusSchema = z.looseObject({
  cid,
  state: z.enum(['queued', 'fetching', 'pinned', 'failed', 'unavailable']),
  sinceMs: z.number(),
  attempts: z.int().min(0),
  bytesDone: z.number().min(0),
  bytesTotal: z.number().min(0).nullable(),
  blocks: z.int().min(0),
  lastError: z.string().max(1024).nullable(),
});

/** Observed state for the leader: everything (`full`) or what changed since the last report. */
export const reportSchema = z.looseObject({
  epoch: hex32,
  /** Of this process; a restart begins with a full report. */
  incarnation: z.int().min(0),
  seq: z.int().min(0),
  /** First part of a full report: what the leader has of this node is forgotten before it. */
  full: z.boolean(),
  /** More parts of the same full report follow. */
  more: z.boolean().default(false),
  pins: z.array(pinStatusSchema).max(reportPinsMax),
  gone: z.array(cid).max(reportPinsMax),
  usage: z.looseObject({
    bytesStored: z.number().min(0),
    bytesFree: z.number().min(0),
    blocks: z.number().min(0),
  }),
  /** Whether this node has an engine that can hold copies now. */
  holdsContent: z.boolean(),
});
export type Report = z.infer<typeof reportSchema>;

/** `resend`: a report was missed, or the leader is new: send everything. */
export const reportAnswerSchema = z.looseObject({
  leads: z.boolean(),
  resend: z.boolean(),
  /**
   * Pins of the report that its node is not allocated and that have their verified copies
   * elsewhere: where the node's own catalog says the same, it may forget them.
   */
  released: z.array(cid).max(reportPinsMax).default([]),
  summary: z
    .looseObject({
      pins: z.int().min(0),
      underReplicated: z.int().min(0),
      overReplicated: z.int().min(0),
      fetching: z.int().min(0),
      failed: z.int().min(0),
    })
    .nullable()
    .default(null),
});
export type ReportAnswer = z.infer<typeof reportAnswerSchema>;

/** Who holds these pins? Asked of the leader, which hears every node's reports. */
export const copiesSchema = z.looseObject({ cids: z.array(cid).max(1000) });
export type Copies = z.infer<typeof copiesSchema>;

export const copiesAnswerSchema = z.looseObject({
  leads: z.boolean(),
  pins: z
    .array(
      z.looseObject({
        cid,
        copies: z
          .array(
            z.looseObject({
              peerId,
              status: pinStatusSchema,
              verified: z.boolean(),
              ageMs: z.number().min(0),
            }),
          )
          .max(1000),
      }),
    )
    .max(1000),
});
export type CopiesAnswer = z.infer<typeof copiesAnswerSchema>;

export const orderSchema = z.looseObject({
  epoch: hex32,
  term: z.int().min(0),
  order: z.discriminatedUnion('type', [
    /** Look at the catalog now: these pins wait for you. */
    z.looseObject({ type: z.literal('hurry'), cids: z.array(cid).max(1000) }),
    /** Prove that you hold this block of the DAG. */
    z.looseObject({
      type: z.literal('challenge'),
      cid,
      blockIndex: z.int().min(0),
      nonce: z.string().min(16).max(128),
    }),
    /** Read and hash every block of the DAG again. */
    z.looseObject({ type: z.literal('verify'), cid }),
  ]),
});
export type Order = z.infer<typeof orderSchema>;

export const orderAnswerSchema = z.looseObject({
  executed: z.boolean(),
  fence: z.int().min(0),
  proof: z.string().max(128).nullable(),
  blocks: z.int().min(0).nullable(),
});
export type OrderAnswer = z.infer<typeof orderAnswerSchema>;

/** Is your loop turning? The answer is empty, too. */
export const probeRequest = 'health.probe';
/** Do you reach this peer? */
export const reachRequest = 'health.reach';

export const reachSchema = z.looseObject({ peer: peerId });
export type Reach = z.infer<typeof reachSchema>;

export const reachAnswerSchema = z.looseObject({
  /** `unknown`: it keeps no link to that peer and can't tell. */
  answer: z.enum(['reached', 'not-reached', 'unknown']),
});
export type ReachAnswer = z.infer<typeof reachAnswerSchema>;

/** Dial me, on a connection of its own, at the addresses that you know of me. */
export const dialBackRequest = 'health.dial-back';
export const dialBackAnswerSchema = z.looseObject({ reached: z.boolean() });
export type DialBackAnswer = z.infer<typeof dialBackAnswerSchema>;

export function encodeNodeMessage(
  value:
    | Hello
    | Admit
    | Admitted
    | Report
    | ReportAnswer
    | Order
    | OrderAnswer
    | Copies
    | CopiesAnswer
    | Reach
    | ReachAnswer
    | DialBackAnswer
    | Electable
    | SafetyQuestion
    | SafetyAnswer
    | BallotsQuestion
    | BallotsAnswer
    | ClusterDaemon
    | ClusterDaemonAnswer
    | PinsetRequest
    | PinsetAnswer,
): Uint8Array {
  return encodeCbor(value);
}

/** The value, checked; throws `bad-request` that names message and field. */
export function decodeNodeMessage<T>(what: string, schema: z.ZodType<T>, bytes: Uint8Array): T {
  return checked(what, schema, fromCbor(what, bytes));
}
