/**
 * What the authority says about itself and about keys that count no more: signed statements that
 * the log brings to everybody in one order. Each kind is in its signed header (certificate.ts).
 */
import { z } from 'zod';
import { generationMax, statementCharactersMax } from './certificate.ts';

/** An Ed25519 public key, base64url. */
export const publicKeySchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
const seconds = z
  .int()
  .min(0)
  .max(2 ** 40);
const common = { v: z.literal(1), iss: hex32, iat: seconds };

/** A chain in a message: the last links, both kinds together. */
export const chainMax = 32;
export const chainSchema = z.array(z.string().min(1).max(statementCharactersMax)).max(chainMax);
/** Public keys that one retirement ends. */
const retiredMax = 16;

/** Signed by `from`; `proof` is signed by `to`: no key follows whose secret nobody has. */
export const successionSchema = z.looseObject({
  ...common,
  from: publicKeySchema,
  to: publicKeySchema,
  proof: z.string().min(1).max(statementCharactersMax),
});
export type Succession = Readonly<z.infer<typeof successionSchema>>;

export const possessionSchema = z.looseObject({
  ...common,
  from: publicKeySchema,
  to: publicKeySchema,
});
export type Possession = Readonly<z.infer<typeof possessionSchema>>;

/** Signed by the newest authority: what these keys sign counts for nothing from here on. */
export const retirementSchema = z.looseObject({
  ...common,
  keys: z.array(publicKeySchema).min(1).max(retiredMax),
});
export type Retirement = Readonly<z.infer<typeof retirementSchema>>;

/** Certificates of this key below the generation count for nothing. */
export const revocationSchema = z.looseObject({
  ...common,
  sub: z.string().min(1).max(128),
  floor: z.int().min(1).max(generationMax),
  reason: z.string().max(200),
});
export type RevocationClaims = Readonly<z.infer<typeof revocationSchema>>;
