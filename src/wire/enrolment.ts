/**
 * What a machine that wants in, or whose certificate runs out, says to a master, and the answers.
 * The bearer of a token may ask without a certificate; everybody else shows one.
 */
import { z } from 'zod';
import { chainSchema, publicKeySchema } from './authority-statement.ts';
import { encode as encodeCbor } from './cbor.ts';
import { statementCharactersMax } from './certificate.ts';
import { certificateSchema } from './member.ts';

/** Authorities that count at the same time. */
export const trustedMax = 8;

const name = certificateSchema.shape.name;
const zone = certificateSchema.shape.zone;
const key = publicKeySchema;
const statement = z.string().min(1).max(statementCharactersMax);

/** The key that asks is the one that the link belongs to. */
export const enrolSchema = z.looseObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  /** Taken where the token leaves it open. */
  name: name.nullable(),
  zone: zone.nullable(),
  /** Order within the role, 0..999. */
  rank: z.int().min(0).max(999),
});
export type Enrol = z.infer<typeof enrolSchema>;

export const authorityPairSchema = z.looseObject({ x: key, d: key });
export type AuthorityPair = z.infer<typeof authorityPairSchema>;

export const enrolledSchema = z.looseObject({
  certificate: statement,
  /** Public keys whose signatures count; the newest, which signs, comes last. */
  trusted: z.array(key).min(1).max(trustedMax),
  /** See PublicAuthority; a program that knows of no succession tells neither. */
  root: key.optional(),
  unsignedUntil: z.int().min(0).optional(),
  /** The signing key; a master gets it, nobody else. */
  authority: authorityPairSchema.nullable(),
  peers: z.array(z.string().min(1).max(256)).max(64),
});
export type Enrolled = z.infer<typeof enrolledSchema>;

/** The certificate that runs out; the answer is the next one, and how its authority came to be. */
export const renewSchema = z.looseObject({
  certificate: statement,
  chain: chainSchema.optional(),
});
export type Renew = z.infer<typeof renewSchema>;

export function encodeEnrolment(value: Enrol | Enrolled | Renew | AuthorityPair): Uint8Array {
  return encodeCbor(value);
}
