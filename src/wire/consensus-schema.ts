/**
 * The shapes of the consensus messages as schemas, with their limits. Unknown fields are kept and
 * ignored, so that a newer peer can be heard by an older one; unknown types are refused.
 */
import { z } from 'zod';
import type { Entry } from './entry.ts';

/** Most proposals, answers or read ids in one message. */
export const itemsMax = 4096;

const index = z.int().min(0);
const term = z.int().min(0).max(281_474_976_710_655);
const ms = z.number().min(0).max(86_400_000);
const peerId = z.string().min(1).max(128);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().max(512);
const id = z.int().min(0);
const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);
const entries = z.custom<readonly Entry[]>((value) => Array.isArray(value));

const head = { v: z.int().min(1), cluster: text, epoch: text, term };
const end = { lastIndex: index, lastTerm: term };
const release = z.looseObject({ leader: peerId, term }).nullable();
const rank = z.int().min(0).max(3999);

const answer = {
  ...head,
  ...end,
  asked: term,
  granted: z.boolean(),
  code: z.enum([
    'granted',
    'veto',
    'promise',
    'leader',
    'log',
    'voted',
    'stale-term',
    'not-a-voter',
    'not-a-candidate',
    'corrupt',
  ]),
  rank,
  promiseMs: ms,
  cannotLead: text.nullable().optional(),
};

const votes = [
  z.looseObject({
    type: z.literal('pre-vote'),
    ...head,
    ...end,
    round: id,
    rank,
    consent: release,
  }),
  z.looseObject({ type: z.literal('pre-vote-reply'), ...answer, round: id }),
  z.looseObject({ type: z.literal('vote'), ...head, ...end, rank, transfer: release }),
  z.looseObject({ type: z.literal('vote-reply'), ...answer }),
] as const;

const replication = [
  z.looseObject({
    type: z.literal('heartbeat'),
    ...head,
    round: id,
    leaseMs: ms,
    commit: index,
    direct: z.boolean(),
    serving: z.boolean(),
    rttMs: ms.nullable(),
    rank,
  }),
  z.looseObject({
    type: z.literal('heartbeat-reply'),
    ...head,
    round: id,
    match: index,
    received: index,
    applied: index,
    cannotLead: text.nullable(),
    stalled: z.boolean(),
  }),
  z.looseObject({
    type: z.literal('append'),
    ...head,
    prevIndex: index,
    prevTerm: term,
    prevHash: hash,
    commit: index,
    entries,
  }),
  z.looseObject({
    type: z.literal('append-reply'),
    ...head,
    ok: z.boolean(),
    match: index,
    refused: index,
    hint: index,
  }),
] as const;

const requests = [
  z.looseObject({
    type: z.literal('propose'),
    ...head,
    items: z
      .array(
        z.looseObject({ id, kind: z.enum(['command', 'reconfigure', 'transfer']), data: bytes }),
      )
      .max(itemsMax),
  }),
  z.looseObject({
    type: z.literal('propose-reply'),
    ...head,
    answers: z
      .array(
        z.looseObject({
          id,
          status: z.enum(['applied', 'refused']),
          index,
          term,
          result: bytes,
          code: text,
          detail: text,
        }),
      )
      .max(itemsMax),
  }),
  z.looseObject({ type: z.literal('read'), ...head, ids: z.array(id).max(itemsMax) }),
  z.looseObject({
    type: z.literal('read-reply'),
    ...head,
    ids: z.array(id).max(itemsMax),
    index: index.nullable(),
  }),
] as const;

const fetching = [
  z.looseObject({
    type: z.literal('fetch'),
    ...head,
    ...end,
    id,
    purpose: z.enum(['learn', 'suffix']),
    commit: index,
  }),
  z.looseObject({
    type: z.literal('fetch-reply'),
    ...head,
    id,
    purpose: z.enum(['learn', 'suffix']),
    code: z.enum(['ok', 'compacted', 'not-member', 'behind']),
    prevIndex: index,
    prevTerm: term,
    prevHash: hash,
    entries,
    commit: index,
    leader: peerId.nullable(),
  }),
  z.looseObject({ type: z.literal('snapshot-request'), ...head, id }),
] as const;

const handover = [
  z.looseObject({ type: z.literal('timeout-now'), ...head }),
  z.looseObject({ type: z.literal('takeover'), ...head, phase: z.enum(['ask', 'ready']) }),
  z.looseObject({
    type: z.literal('takeover-reply'),
    ...head,
    consent: z.boolean(),
    code: text,
  }),
  z.looseObject({
    type: z.literal('reject'),
    ...head,
    code: z.enum(['epoch-mismatch', 'cluster-mismatch', 'version-mismatch']),
  }),
] as const;

export const messageSchema = z.discriminatedUnion('type', [
  ...votes,
  ...replication,
  ...requests,
  ...fetching,
  ...handover,
]);
