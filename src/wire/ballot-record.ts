/**
 * A ballot as it stands in the catalog and in the event store. What an older program did not record
 * is filled in as unknown, so that every ballot ever stored can be read.
 */
import { z } from 'zod';

const peerId = z.string().min(1).max(128);
const peers = z.array(peerId).max(64);
const whole = z.int().min(0);

export const ballotSchema = z.looseObject({
  term: whole,
  epoch: z.string().max(64),
  candidate: peerId,
  kind: z.enum(['pre-vote', 'vote']),
  won: z.boolean(),
  startedMs: z.number(),
  endedMs: z.number(),
  candidateRank: whole,
  health: z.number().nullable(),
  linksClosed: peers,
  lastTerm: whole,
  lastIndex: whole,
  voters: peers,
  outgoing: peers.nullable(),
  /** The leader of before asked for it. */
  transfer: z.boolean().default(false),
  /** A majority was there, and a promise or reason of its own kept the candidate back. */
  heldBack: z.boolean().default(false),
  standings: z
    .array(z.looseObject({ peer: peerId, rank: whole, leads: z.boolean() }))
    .max(64)
    .default([]),
  vetoes: z
    .array(z.looseObject({ from: peerId, atMs: z.number(), followed: z.boolean() }))
    .max(64)
    .default([]),
  patience: z
    .looseObject({
      firstVetoMs: z.number().nullable(),
      patienceMs: z.number(),
      voidAfterMs: z.number(),
    })
    .default({ firstVetoMs: null, patienceMs: 0, voidAfterMs: 0 }),
  answers: z
    .array(
      z.looseObject({
        from: peerId,
        granted: z.boolean(),
        code: z.string().max(64),
        rank: whole,
        lastTerm: whole,
        lastIndex: whole,
        cannotLead: z.string().max(512).nullable().default(null),
      }),
    )
    .max(64),
});
export type StoredBallot = z.infer<typeof ballotSchema>;
