/**
 * Whom this node believes, and what: its own certificate, the certificates that others showed, and
 * what was revoked. A certificate is verified once and judged anew at every use, because time and
 * revocations go on. Whoever is refused is counted and remembered for the status page.
 */
import type { ClusterId, Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, type ErrorCode } from '../../base/error.ts';
import type {
  CertificateRecord,
  LoggedStatement,
  Revocation,
} from '../../catalog/query-identity.ts';
import {
  type Claims,
  decodeClaims,
  memberOf,
  type Refusal,
  refusalOf,
} from '../../wire/certificate.ts';
import type { Certificate } from '../../wire/member.ts';
import { type Authorities, openAuthorities } from './authorities.ts';
import type { Papers } from './authority.ts';

/** Certificates of others kept; the oldest makes room. */
const shownMax = 4096;

export interface Shown {
  readonly text: string;
  readonly claims: Claims;
  readonly member: Certificate;
  /** The key of the authority that signed it. */
  readonly by: string;
}

export interface Examined {
  readonly claims: Claims;
  /** false: its authority was retired; it proves who shows it and gives no rights. */
  readonly counts: boolean;
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
  readonly authorities: Authorities;
  own(): Shown;
  /** The newest that is known of a member; null: none was shown or issued. */
  known(peer: PeerId): Shown | null;
  /** Whether `a` was made after `b`. */
  isNewer(a: Shown, b: Shown): boolean;
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
  examine(peer: PeerId, text: string): Promise<Examined>;
  /** Takes what the log says of the authority and of revoked keys. */
  follow(statements: readonly LoggedStatement[], rows: readonly Revocation[]): Promise<void>;
  /** Statements and revocations of the log that count for nothing: nobody who may signed them. */
  ignored(): number;
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

const missing: Refusal = {
  code: 'certificate-missing',
  detail: 'this peer has shown no certificate',
};

/** Without a signature it counts in the part of a log that was written before there were any. */
function floorsOf(authorities: Authorities, rows: readonly Revocation[]) {
  const { floors: signed = new Map<PeerId, number>(), signedSince = null } =
    authorities.followed() ?? {};
  const until = authorities.papers().unsignedUntil ?? signedSince ?? Number.POSITIVE_INFINITY;
  const floors = new Map(signed);
  let ignored = 0;
  for (const { peer, floor, atIndex } of rows) {
    const known = floors.get(peer) ?? 0;
    if (known >= floor) continue;
    if (atIndex <= until) floors.set(peer, floor);
    else ignored += 1;
  }
  return { floors, ignored };
}

export async function openTrust(deps: TrustDeps): Promise<Trust> {
  const { self, clock, papers } = deps;
  const { clusterId } = papers.authority;
  const authorities = await openAuthorities(papers.authority);
  const shown = new Map<PeerId, Shown>();
  let issued = new Map<PeerId, Shown>();
  let revoked = floorsOf(authorities, []);
  let total = 0;
  let last: LastRefusal | null = null;

  const read = async (text: string): Promise<Shown> => {
    const { payload, by } = await authorities.verifier().verify('certificate', text);
    const claims = decodeClaims(payload);
    return { text, claims, member: memberOf(claims), by };
  };
  /** Whoever it is: not whether its authority counts. */
  const wrongWho = (peer: PeerId, claims: Claims, wallMs: Ms): Refusal | null =>
    refusalOf(claims, { peer, clusterId, wallMs, floor: revoked.floors.get(peer) ?? 1 });
  const wrongWith = (peer: PeerId, found: Shown, wallMs: Ms): Refusal | null => {
    const wrong = wrongWho(peer, found.claims, wallMs) ?? authorities.refusal(found.by);
    if (wrong?.code !== 'authority-retired') return wrong;
    return { ...wrong, detail: `the certificate of ${found.claims.name}: ${wrong.detail}` };
  };
  const throwIf = (refusal: Refusal | null): void => {
    if (refusal !== null) throw new AgentError(refusal.code, refusal.detail);
  };
  const counts = ({ by }: Shown): boolean => authorities.refusal(by) === null;
  const isNewer = (a: Shown, b: Shown): boolean => {
    if (counts(a) !== counts(b)) return counts(a);
    const order = a.claims.gen - b.claims.gen || authorities.place(a.by) - authorities.place(b.by);
    return (order || a.claims.iat - b.claims.iat) > 0;
  };

  /** What the log brought by its generation, also where its authority is retired by now. */
  const supersedes = (made: Shown, found: Shown): boolean =>
    (counts(found) && made.claims.gen > found.claims.gen) || isNewer(made, found);

  let own = await read(papers.certificate);
  // Its own time may be over: then it asks for a new one, as the first thing it does.
  throwIf(wrongWho(self, own.claims, own.claims.nbf * 1000));

  function keep(peer: PeerId, found: Shown): void {
    const known = shown.get(peer);
    // A copy of an older one that is still under way changes nothing.
    if (known !== undefined && isNewer(known, found)) return;
    shown.delete(peer);
    shown.set(peer, found);
    if (shown.size <= shownMax) return;
    const [oldest] = shown.keys();
    if (oldest !== undefined) shown.delete(oldest);
  }

  const newestOf = (peer: PeerId): Shown | undefined => {
    const made = issued.get(peer);
    const found = peer === self ? own : shown.get(peer);
    return made && (!found || supersedes(made, found)) ? made : found;
  };

  /** Made by an authority that was retired before the log brought it. */
  function cameTooLate(by: string, atIndex: number): boolean {
    const key = authorities.followed()?.keys.find(({ x }) => x === by);
    return key !== undefined && key.endIndex !== null && key.endIndex < atIndex;
  }

  async function setIssued(records: readonly CertificateRecord[]): Promise<void> {
    const next = new Map<PeerId, Shown>();
    for (const { peer, certificate, atIndex } of records)
      try {
        const known = issued.get(peer);
        const found = known?.text === certificate ? known : await read(certificate);
        const { sub, iss } = found.claims;
        if (sub === peer && iss === clusterId && !cameTooLate(found.by, atIndex))
          next.set(peer, found);
      } catch (thrown) {
        // Anybody may write to the log; by another authority it is worth nothing.
        if (!(thrown instanceof AgentError)) throw thrown;
      }
    issued = next;
  }

  return {
    clusterId,
    authorities,
    own: () => own,
    known: (peer) => newestOf(peer) ?? null,
    isNewer,
    issued: (peer) => issued.get(peer) ?? null,
    setIssued,
    setOwn: async (text) => {
      const next = await read(text);
      throwIf(wrongWho(self, next.claims, clock.wallMs()));
      own = next;
      return next;
    },
    learn: async (peer, text) => {
      if (text === null) throw new AgentError(missing.code, missing.detail);
      const known = shown.get(peer);
      const found = known?.text === text ? known : await read(text);
      throwIf(wrongWho(peer, found.claims, clock.wallMs()));
      keep(peer, found);
      const newest = newestOf(peer) ?? found;
      throwIf(wrongWith(peer, newest, clock.wallMs()));
      return newest.member;
    },
    judge: (peer) => {
      const found = newestOf(peer);
      if (found === undefined) return { certificate: null, refusal: missing };
      const refusal = wrongWith(peer, found, clock.wallMs());
      return refusal === null
        ? { certificate: found.member, refusal: null }
        : { certificate: null, refusal };
    },
    examine: async (peer, text) => {
      const found = await read(text);
      throwIf(wrongWho(peer, found.claims, found.claims.nbf * 1000));
      const made = issued.get(peer);
      const newest = made && supersedes(made, found) ? made : found;
      return { claims: newest.claims, counts: counts(newest) };
    },
    follow: async (statements, rows) => {
      await authorities.follow(statements);
      revoked = floorsOf(authorities, rows);
    },
    ignored: () => revoked.ignored + (authorities.followed()?.ignored ?? 0),
    refused: (peer, what, { code, detail }) => {
      total += 1;
      const name = shown.get(peer)?.member.name ?? null;
      last = { atMs: clock.wallMs(), peer, name, what, code, detail };
      deps.onRefused(last);
    },
    refusals: () => ({ total, last }),
  };
}
