/**
 * Whom this node believes, and what: its own certificate, the certificates that others showed, and
 * what was revoked. A certificate is verified once and judged anew at every use, because time and
 * revocations go on. Whoever is refused is counted and remembered for the status page.
 */
import type { ClusterId, Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, type ErrorCode } from '../../base/error.ts';
import type { CertificateRecord, Revocation } from '../../catalog/query-identity.ts';
import {
  type Claims,
  decodeClaims,
  memberOf,
  type Refusal,
  refusalOf,
} from '../../wire/certificate.ts';
import type { Certificate } from '../../wire/member.ts';
import type { Papers, PublicAuthority } from './authority.ts';
import { createVerifier, type Verifier } from './signatures.ts';

/** Certificates of others kept; the oldest makes room. */
const shownMax = 4096;

export interface Shown {
  readonly text: string;
  readonly claims: Claims;
  readonly member: Certificate;
}

export type Verdict =
  | { readonly certificate: Certificate; readonly refusal: null }
  | { readonly certificate: null; readonly refusal: Refusal };

export interface LastRefusal {
  readonly atMs: Ms;
  readonly peer: PeerId;
  readonly name: string | null;
  readonly what: string;
  readonly code: ErrorCode;
  readonly detail: string;
}

export interface Trust {
  readonly clusterId: ClusterId;
  authority(): PublicAuthority;
  own(): Shown;
  /** What the authority made of a member since it joined, by the log; null: nothing. */
  issued(peer: PeerId): Shown | null;
  /** Takes what the log brought; what is not signed by the authority counts for nothing. */
  setIssued(records: readonly CertificateRecord[]): Promise<void>;
  /** Takes a newer certificate of this node; throws when it is not one. */
  setOwn(text: string): Promise<Shown>;
  /**
   * Verifies what a peer showed and keeps it; throws with the code of what is wrong. The answer is
   * what the peer counts as: an old certificate proves who it is, never more than the newest.
   */
  learn(peer: PeerId, text: string | null): Promise<Certificate>;
  /** What the peer is allowed to be, now. */
  judge(peer: PeerId): Verdict;
  /**
   * Checks a certificate of any time: signature, cluster and revocation, not its validity. Answers
   * the newest claims of that key.
   */
  examine(peer: PeerId, text: string): Promise<Claims>;
  verifier(): Verifier;
  setRevocations(revocations: readonly Revocation[]): void;
  /** Counts and remembers a refusal. */
  refused(peer: PeerId, what: string, refusal: Refusal): void;
  refusals(): { readonly total: number; readonly last: LastRefusal | null };
}

export interface TrustDeps {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly papers: Papers;
  /** Told of every refusal; at most one a second and peer becomes an event. */
  readonly onRefused: (refusal: LastRefusal) => void;
}

/** Whether `a` was made after `b`. */
export const isNewer = (a: Claims, b: Claims): boolean => (a.gen - b.gen || a.iat - b.iat) > 0;

const missing: Refusal = {
  code: 'certificate-missing',
  detail: 'this peer has shown no certificate',
};

export async function openTrust(deps: TrustDeps): Promise<Trust> {
  const { self, clock, papers } = deps;
  const { clusterId } = papers.authority;
  const authority = papers.authority;
  const verifier = await createVerifier(authority.trusted);
  const shown = new Map<PeerId, Shown>();
  let issued = new Map<PeerId, Shown>();
  let floors = new Map<PeerId, number>();
  let total = 0;
  let last: LastRefusal | null = null;

  const read = async (text: string): Promise<Shown> => {
    const claims = decodeClaims(await verifier.verify('certificate', text));
    return { text, claims, member: memberOf(claims) };
  };
  const wrongWith = (peer: PeerId, claims: Claims, wallMs: Ms): Refusal | null =>
    refusalOf(claims, { peer, clusterId, wallMs, floor: floors.get(peer) ?? 1 });
  const throwIf = (refusal: Refusal | null): void => {
    if (refusal !== null) throw new AgentError(refusal.code, refusal.detail);
  };

  let own = await read(papers.certificate);
  // Its own time may be over: then it asks for a new one, as the first thing it does.
  throwIf(wrongWith(self, own.claims, own.claims.nbf * 1000));

  function keep(peer: PeerId, found: Shown): void {
    const known = shown.get(peer);
    // A copy of an older one that is still under way changes nothing.
    if (known !== undefined && isNewer(known.claims, found.claims)) return;
    shown.delete(peer);
    shown.set(peer, found);
    if (shown.size <= shownMax) return;
    const [oldest] = shown.keys();
    if (oldest !== undefined) shown.delete(oldest);
  }

  const newestOf = (peer: PeerId, found: Shown | undefined): Shown | undefined => {
    const made = issued.get(peer);
    return made && (!found || isNewer(made.claims, found.claims)) ? made : found;
  };

  async function setIssued(records: readonly CertificateRecord[]): Promise<void> {
    const next = new Map<PeerId, Shown>();
    for (const { peer, certificate } of records)
      try {
        const known = issued.get(peer);
        const found = known?.text === certificate ? known : await read(certificate);
        if (found.claims.sub === peer && found.claims.iss === clusterId) next.set(peer, found);
      } catch (thrown) {
        // Anybody may write to the log; by another authority it is worth nothing.
        if (!(thrown instanceof AgentError)) throw thrown;
      }
    issued = next;
  }

  return {
    clusterId,
    authority: () => authority,
    own: () => own,
    issued: (peer) => issued.get(peer) ?? null,
    setIssued,
    setOwn: async (text) => {
      const next = await read(text);
      throwIf(wrongWith(self, next.claims, clock.wallMs()));
      own = next;
      return next;
    },
    learn: async (peer, text) => {
      if (text === null) throw new AgentError(missing.code, missing.detail);
      const known = shown.get(peer);
      const found = known?.text === text ? known : await read(text);
      throwIf(wrongWith(peer, found.claims, clock.wallMs()));
      keep(peer, found);
      const counts = newestOf(peer, shown.get(peer)) ?? found;
      throwIf(wrongWith(peer, counts.claims, clock.wallMs()));
      return counts.member;
    },
    judge: (peer) => {
      const found = newestOf(peer, peer === self ? own : shown.get(peer));
      if (found === undefined) return { certificate: null, refusal: missing };
      const refusal = wrongWith(peer, found.claims, clock.wallMs());
      return refusal === null
        ? { certificate: found.member, refusal: null }
        : { certificate: null, refusal };
    },
    examine: async (peer, text) => {
      const { claims } = await read(text);
      throwIf(wrongWith(peer, claims, claims.nbf * 1000));
      const made = issued.get(peer);
      return made && isNewer(made.claims, claims) ? made.claims : claims;
    },
    verifier: () => verifier,
    setRevocations: (revocations) => {
      floors = new Map(revocations.map(({ peer, floor }) => [peer, floor]));
    },
    refused: (peer, what, { code, detail }) => {
      total += 1;
      const name = shown.get(peer)?.member.name ?? null;
      last = { atMs: clock.wallMs(), peer, name, what, code, detail };
      deps.onRefused(last);
    },
    refusals: () => ({ total, last }),
  };
}
