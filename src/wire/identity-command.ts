/**
 * Commands about who is let in and what everybody counts as. What they bring is signed by the
 * cluster's authority; the log decides order and single use, never rights.
 */
import { z } from 'zod';
import { generationMax, statementCharactersMax } from './certificate.ts';

const peerId = z.string().min(1).max(128);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const statement = z.string().min(1).max(statementCharactersMax);
const tokenId = z.string().regex(/^[0-9a-f]{16}$/);

/** A join token was made. What it allows is in the grant, which the authority signed. */
const tokenPut = z.looseObject({
  type: z.literal('token.put'),
  id: tokenId,
  hash: sha256,
  grant: statement,
  expiresAtMs: z.number(),
});

/** Its one use; for the same key again it is the same use. */
const tokenUse = z.looseObject({
  type: z.literal('token.use'),
  id: tokenId,
  hash: sha256,
  peer: peerId,
});

/** Certificates of this key below the generation count for nothing from here on. */
const certificateRevoke = z.looseObject({
  type: z.literal('certificate.revoke'),
  peer: peerId,
  name: z.string().max(63),
  floor: z.int().min(1).max(generationMax),
  reason: z.string().max(200),
  /** Signed by the authority; programs of before signed none, and theirs go on counting. */
  statement: statement.optional(),
});

/** The authority has a successor, or former ones count no more; judged by the signature alone. */
const authorityPut = z.looseObject({
  type: z.literal('authority.put'),
  kind: z.enum(['succession', 'retirement']),
  statement,
});

/**
 * The authority certified a member anew, by generation: whatever this key shows of a lower one
 * counts no more. It is judged by its signature; the log only brings it to everybody.
 */
const certificatePut = z.looseObject({
  type: z.literal('certificate.put'),
  peer: peerId,
  generation: z
    .int()
    .min(2)
    .max(generationMax - 1),
  certificate: statement,
});

export const identityCommands = [
  ...([tokenPut, tokenUse, certificateRevoke, certificatePut, authorityPut] as const),
] as const;
