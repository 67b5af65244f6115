/**
 * What a certificate says: which key is which member of which cluster, in which role and until
 * when. It travels as a compact JWS (Ed25519) of the cluster's authority; the signature is checked
 * where there is a verifier, everything else here. Clocks may be wrong by more than an hour, so
 * both ends of the validity are taken with a tolerance, and nothing but the validity depends on a
 * clock.
 */
import { z } from 'zod';
import type { ClusterId, Ms, PeerId } from '../base/brand.ts';
import { AgentError, type ErrorCode } from '../base/error.ts';
import { checked } from './checked.ts';
import { type Certificate, certificateSchema, rankOf, roles } from './member.ts';

/** Largest signed statement as text. */
export const statementCharactersMax = 2048;
/** How far two clocks may be apart without a certificate being refused for it. */
export const clockToleranceMs: Ms = 3 * 3_600_000;
export const certificateLifeMs: Ms = 90 * 86_400_000;
/** With less than this left, a node asks for the next one. */
export const renewBeforeMs: Ms = 30 * 86_400_000;
/** A floor above every generation: nothing of that key counts any more. */
export const generationMax = 2 ** 31;

const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
const seconds = z
  .int()
  .min(0)
  .max(2 ** 40);

/** The kinds of statements that an authority signs; the kind is in the signed header. */
export const statementKinds = [
  ...(['certificate', 'grant', 'authority'] as const),
  ...(['succession', 'possession', 'retirement', 'revocation'] as const),
] as const;
export type StatementKind = (typeof statementKinds)[number];

const claimsSchema = z.looseObject({
  v: z.literal(1),
  /** The cluster. */
  iss: hex32,
  /** The peer id of the key. */
  sub: z.string().min(1).max(128),
  /** The serial number. */
  jti: hex32,
  iat: seconds,
  nbf: seconds,
  exp: seconds,
  /** Raised when the member's rights change; lower ones then count for nothing. */
  gen: z
    .int()
    .min(1)
    .max(generationMax - 1),
  name: certificateSchema.shape.name,
  role: z.enum(roles),
  rank: certificateSchema.shape.rank,
  zone: certificateSchema.shape.zone,
  leads: z.boolean(),
});
export type Claims = Readonly<z.infer<typeof claimsSchema>>;

/** The rights of a certificate, as election and planner take them. */
export function memberOf(claims: Claims): Certificate {
  const { sub: peerId, name, role, rank, zone, leads } = claims;
  return { peerId, name, role, rank, zone, votes: role !== 'leecher', leads };
}

/** The JSON of a signed statement; throws `certificate-invalid`. */
export function decodeStatement<T>(what: string, schema: z.ZodType<T>, payload: Uint8Array): T {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    return checked(what, schema, value);
  } catch (cause) {
    const why = cause instanceof AgentError ? cause.message : `${what} is not JSON`;
    throw new AgentError('certificate-invalid', why, { cause });
  }
}

/** The claims of a payload whose signature was checked. */
export function decodeClaims(payload: Uint8Array): Claims {
  const claims = decodeStatement('certificate', claimsSchema, payload);
  const { role, rank, leads } = claims;
  const mayLead = role === 'master' || role === 'worker';
  if ((leads && !mayLead) || rank < rankOf(role) || rank > rankOf(role, 999))
    throw new AgentError('certificate-invalid', `a ${role} has no rank ${rank} or right to lead`);
  return claims;
}

/** What a token lets its bearer become; signed when the token is made. */
export const grantSchema = z.looseObject({
  v: z.literal(1),
  iss: hex32,
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** SHA-256 of the token's secret. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  role: z.enum(roles),
  /** null: the machine chooses. */
  name: certificateSchema.shape.name.nullable(),
  zone: certificateSchema.shape.zone.nullable(),
});
export type Grant = Readonly<z.infer<typeof grantSchema>>;

export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

export interface ClaimsQuestion {
  readonly peer: PeerId;
  readonly clusterId: ClusterId;
  readonly wallMs: Ms;
  /** Certificates of this key below this generation were revoked. */
  readonly floor: number;
}

const hours = (ms: Ms): string => `${(ms / 3_600_000).toFixed(1)} hours`;

/** Why the claims don't count for this peer, here and now; null: they do. */
export function refusalOf(claims: Claims, question: ClaimsQuestion): Refusal | null {
  const { peer, clusterId, wallMs, floor } = question;
  const { name } = claims;
  if (claims.sub !== peer)
    return {
      code: 'certificate-invalid',
      detail: `${peer} shows the certificate of ${claims.sub}`,
    };
  if (claims.iss !== clusterId)
    return {
      code: 'cluster-mismatch',
      detail: `${name} belongs to cluster ${claims.iss}, this node to ${clusterId}`,
    };
  if (claims.gen < floor)
    return { code: 'certificate-revoked', detail: `the certificate of ${name} was revoked` };
  const earlyMs = claims.nbf * 1000 - wallMs;
  const lateMs = wallMs - claims.exp * 1000;
  if (earlyMs <= clockToleranceMs && lateMs <= clockToleranceMs) return null;
  const what = lateMs > 0 ? `ended ${hours(lateMs)} ago` : `begins in ${hours(earlyMs)}`;
  const detail = `the certificate of ${name} ${what} by the clock of this machine`;
  return { code: 'certificate-expired', detail };
}
