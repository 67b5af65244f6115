/**
 * The cluster's authority: the key that signs certificates and grants. Its public part is in every
 * data folder, its secret part on masters only (docs/decisions/0010). All files are whole or
 * absent; what doesn't parse is damage, never replaced.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ClusterId, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import { writeDurably } from '../../mesh/identity.ts';
import { publicKeySchema } from '../../wire/authority-statement.ts';
import { type Claims, certificateLifeMs } from '../../wire/certificate.ts';
import { type AuthorityPair, authorityPairSchema, trustedMax } from '../../wire/enrolment.ts';
import { type Role, rankOf, rightsOf } from '../../wire/member.ts';
import { signStatement } from './signatures.ts';

/** On masters. */
export const secretFile = 'authority.key';
/** On masters, while the authority gets a successor. */
export const nextSecretFile = 'authority.next.key';
const publicFile = 'authority.json';
/** The node's own certificate. */
export const certificateFile = 'certificate.jwt';

const publicSchema = z.object({
  version: z.literal(1),
  clusterId: z.string().regex(/^[0-9a-f]{32}$/),
  /** Public keys whose signatures count; the newest, which signs, comes last. */
  trusted: z.array(publicKeySchema).min(1).max(trustedMax),
  /** The cluster's first one, where the log's statements begin; absent: the first of `trusted`. */
  root: publicKeySchema.optional(),
  /**
   * Up to this entry a revocation counts without a signature; absent: up to the first statement
   * that is signed, as in a cluster of a program that signed none.
   */
  unsignedUntil: z.int().min(0).optional(),
});
export type PublicAuthority = z.infer<typeof publicSchema>;

/** What a newcomer is told, so that it reads the log's statements from the first one on. */
export function keysOf(known: Pick<PublicAuthority, 'trusted' | 'root' | 'unsignedUntil'>) {
  const { trusted, root, unsignedUntil } = known;
  return {
    trusted: [...trusted],
    ...(root === undefined ? {} : { root }),
    ...(unsignedUntil === undefined ? {} : { unsignedUntil }),
  };
}

const secretSchema = z.object({ version: z.literal(1), pair: authorityPairSchema });

/** Rotations that were begun and came to no end; the oldest makes room. */
export const nextSecretsMax = 8;
const nextSchema = z.object({
  version: z.literal(1),
  pairs: z.array(authorityPairSchema).max(nextSecretsMax),
});

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function parsed<T>(path: string, schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new AgentError('damaged', `${path} has not the expected fields`, { cause });
  }
}

/** What a data folder holds of the cluster's identity besides the node's own key. */
export interface Papers {
  readonly authority: PublicAuthority;
  readonly certificate: string;
  /** On masters. */
  readonly secret: AuthorityPair | null;
  /** On masters: of successors that the log did not bring yet. */
  readonly next: readonly AuthorityPair[];
}

/** null: the folder was never certified. */
export async function readPapers(dir: string): Promise<Papers | null> {
  const names = [publicFile, certificateFile, secretFile, nextSecretFile];
  const [authority, certificate, secret, next] = await Promise.all(
    names.map((name) => readIfThere(join(dir, name))),
  );

  if (authority == null || certificate == null) return null;
  return {
    authority: parsed(join(dir, publicFile), publicSchema, authority),
    certificate: certificate.trim(),
    secret: secret == null ? null : parsed(join(dir, secretFile), secretSchema, secret).pair,
    next: next == null ? [] : parsed(join(dir, nextSecretFile), nextSchema, next).pairs,
  };
}

/** The certificate last: a folder that has one has everything. */
export async function writePapers(dir: string, papers: Omit<Papers, 'next'>): Promise<void> {
  if (papers.secret !== null) await writeSecret(dir, papers.secret);
  await writeAuthority(dir, papers.authority);
  await writeCertificate(dir, papers.certificate);
}

export const writeSecret = (dir: string, pair: AuthorityPair): Promise<void> =>
  writeDurably(join(dir, secretFile), `${JSON.stringify({ version: 1, pair })}\n`);

export const writeNextSecrets = (dir: string, pairs: readonly AuthorityPair[]): Promise<void> =>
  writeDurably(join(dir, nextSecretFile), `${JSON.stringify({ version: 1, pairs })}\n`);

/** Replaces what is known of the authority alone. */
export const writeAuthority = (dir: string, authority: PublicAuthority): Promise<void> =>
  writeDurably(join(dir, publicFile), `${JSON.stringify(authority)}\n`);

/** Replaces the certificate alone. */
export const writeCertificate = (dir: string, text: string): Promise<void> =>
  writeDurably(join(dir, certificateFile), `${text}\n`);

const lifeS = certificateLifeMs / 1000;
/** A machine whose clock is a day behind believes a certificate of today. */
const backdatedS = 86_400;

export interface Subject {
  readonly peerId: PeerId;
  readonly name: string;
  readonly role: Role;
  readonly zone: string;
  /** Order within the role, 0..999. */
  readonly rank: number;
  readonly workersMayLead: boolean;
}

/** Claims of a first certificate. */
export function claimsFor(clusterId: ClusterId, subject: Subject, wallMs: Ms): Claims {
  const { peerId, name, role, zone, rank, workersMayLead } = subject;
  const rights = rightsOf(role, workersMayLead);
  return renewed(
    {
      ...{ v: 1, iss: clusterId, sub: peerId, jti: '', iat: 0, nbf: 0, exp: 0, gen: 1 },
      ...{ name, role, rank: rankOf(role, rank), zone, leads: rights.leads },
    },
    wallMs,
  );
}

/** The same claims from now on. */
export function renewed(claims: Claims, wallMs: Ms): Claims {
  const nowS = Math.floor(wallMs / 1000);
  const jti = randomBytes(16).toString('hex');
  const { iat, nbf, exp } = { iat: nowS, nbf: nowS - backdatedS, exp: nowS + lifeS };
  return { ...claims, jti, iat, nbf, exp };
}

export const signCertificate = (pair: AuthorityPair, claims: Claims): Promise<string> =>
  signStatement(pair, 'certificate', claims);
