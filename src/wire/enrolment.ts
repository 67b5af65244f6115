/**
 * What a machine that wants in, or whose certificate runs out, says to a master, and the answers.
 * The bearer of a token may ask without a certificate; everybody else shows one.
 */
import { z } from 'zod';
import { encode as encodeCbor } from './cbor.ts';
import { statementCharactersMax } from './certificate.ts';
import { certificateSchema } from './member.ts';

const name = certificateSchema.shape.name;
const zone = certificateSchema.shape.zone;
/** An Ed25519 key, base64url. */
const key = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
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
  /** Public keys whose signatures count. */
  trusted: z.array(key).min(1).max(8),
  /** The signing key; a master gets it, nobody else. */
  authority: authorityPairSchema.nullable(),
  peers: z.array(z.string().min(1).max(256)).max(64),
});
export type Enrolled = z.infer<typeof enrolledSchema>;

/** The certificate that runs out; the answer is the next one. */
export const renewSchema = z.looseObject({ certificate: statement });
export type Renew = z.infer<typeof renewSchema>;

export function encodeEnrolment(value: Enrol | Enrolled | Renew | AuthorityPair): Uint8Array {
  return encodeCbor(value);
}
