/**
 * What nodes ask each other before somebody maintains one of them: could you lead now
 * (`electable`), and would the cluster stand it if this member stopped (`safety`, asked of the
 * leader, which hears everybody). And what each remembers of an election (`ballots`), as only the
 * winner's ballot is in the log.
 */
import { z } from 'zod';
import { ballotSchema } from './ballot-record.ts';
import { stopTurnMsMax } from './operation-command.ts';

const text = z.string().max(512);
const peerId = z.string().min(1).max(128);

/** Of the node that is asked, at this moment. */
export const electableSchema = z.looseObject({
  /** Why it can't lead now, or null. */
  reason: text.nullable(),
  term: z.int().min(0),
  leader: peerId.nullable(),
  /** Entries that it knows to be committed and has not applied. */
  behind: z.int().min(0),
});
export type Electable = z.infer<typeof electableSchema>;

export const safetySchema = z.looseObject({
  peer: peerId,
  /** Gives the member the turn to stop for so long, if it may; left out: only asks. */
  reserveMs: z.number().min(1).max(stopTurnMsMax).optional(),
});
export type SafetyQuestion = z.infer<typeof safetySchema>;

export const reasonSchema = z.looseObject({ code: z.string().max(64), detail: text });

export const safetyAnswerSchema = z.looseObject({
  /** The node that was asked acts as the leader; otherwise nothing else here counts. */
  acting: z.boolean(),
  term: z.int().min(0),
  /** Why the member should not stop now; none: it may. */
  reasons: z.array(reasonSchema).max(64),
  /** Pins that fall below their minimum without this member. */
  pinsAtRisk: z.int().min(0),
  /** Pins whose allocation names it. */
  allocated: z.int().min(0),
  /** The member itself leads. */
  leads: z.boolean(),
  /** It was given the turn that was asked for. */
  reserved: z.boolean().optional(),
});
export type SafetyAnswer = z.infer<typeof safetyAnswerSchema>;

/** The ballots of one term that the asked node cast as a candidate and still remembers. */
export const ballotsRequest = 'ballots';
export const ballotsSchema = z.looseObject({ term: z.int().min(0) });
export type BallotsQuestion = z.infer<typeof ballotsSchema>;

/** In one answer; a term that was fought over for longer shows its last attempts. */
export const ballotsMax = 16;
export const ballotsAnswerSchema = z.looseObject({
  ballots: z.array(ballotSchema).max(ballotsMax),
});
export type BallotsAnswer = z.infer<typeof ballotsAnswerSchema>;
