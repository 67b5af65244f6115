/**
 * How one authority follows another. The old key signs its successor, which proves that it has its
 * own secret; the newest retires former ones. The log holds these statements in one order, and
 * every node goes through them from the cluster's first authority on, so all come to the same end:
 * the first successor of a key counts, a second one, a loop or another signer counts for nothing.
 * A revocation counts when its signer counted at that place of the log.
 */
import type { ClusterId, LogIndex, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { LoggedStatement } from '../../catalog/query-identity.ts';
import {
  chainMax,
  type Possession,
  possessionSchema,
  type Retirement,
  type RevocationClaims,
  retirementSchema,
  revocationSchema,
  type Succession,
  successionSchema,
} from '../../wire/authority-statement.ts';
import { decodeStatement } from '../../wire/certificate.ts';
import type { AuthorityPair } from '../../wire/enrolment.ts';
import { createVerifier, kindOf, signStatement } from './signatures.ts';

const stamp = (clusterId: ClusterId, wallMs: Ms) =>
  ({ v: 1, iss: clusterId, iat: Math.floor(wallMs / 1000) }) as const;

export async function signSuccession(
  clusterId: ClusterId,
  pairs: { readonly from: AuthorityPair; readonly to: AuthorityPair },
  wallMs: Ms,
): Promise<string> {
  const link = { ...stamp(clusterId, wallMs), from: pairs.from.x, to: pairs.to.x };
  const proof = await signStatement(pairs.to, 'possession', link satisfies Possession);
  return signStatement(pairs.from, 'succession', { ...link, proof } satisfies Succession);
}

export const signRetirement = (
  clusterId: ClusterId,
  by: AuthorityPair,
  keys: readonly string[],
  wallMs: Ms,
): Promise<string> => {
  const retirement = { ...stamp(clusterId, wallMs), keys: [...keys] } satisfies Retirement;
  return signStatement(by, 'retirement', retirement);
};

export const signRevocation = (
  clusterId: ClusterId,
  by: AuthorityPair,
  what: Pick<RevocationClaims, 'sub' | 'floor' | 'reason'>,
  wallMs: Ms,
): Promise<string> => {
  const { sub, floor, reason } = what;
  const revocation = { ...stamp(clusterId, wallMs), sub, floor, reason } satisfies RevocationClaims;
  return signStatement(by, 'revocation', revocation);
};

const wrong = (why: string): AgentError => new AgentError('certificate-invalid', why);

/** A link signed by one of `keys`, with its successor's proof; throws what is wrong with it. */
export async function readSuccession(
  clusterId: ClusterId,
  keys: readonly string[],
  text: string,
): Promise<Succession> {
  const { payload, by } = await (await createVerifier(keys)).verify('succession', text);
  const link = decodeStatement('succession', successionSchema, payload);
  if (link.iss !== clusterId) throw wrong('the succession is of another cluster');
  if (link.from !== by) throw wrong('the succession is not signed by the key that it follows');
  const possession = await (await createVerifier([link.to])).verify('possession', link.proof);
  const proof = decodeStatement('possession', possessionSchema, possession.payload);
  if (proof.iss !== clusterId || proof.from !== link.from || proof.to !== link.to)
    throw wrong('the proof of the succession is for another one');
  return link;
}

export interface AuthorityKey {
  readonly x: string;
  /** Where the log brought it; null: it was there from the beginning. */
  readonly sinceIndex: LogIndex | null;
  /** Where the log retired it; null: it counts. */
  readonly endIndex: LogIndex | null;
}

/** What the log says of the authority. */
export interface Followed {
  /** From the first to the newest, which signs. */
  readonly keys: readonly AuthorityKey[];
  /** Successions and retirements that count, in order. */
  readonly chain: readonly string[];
  readonly floors: ReadonlyMap<PeerId, number>;
  /** The first place with a statement that counts: from here on nothing unsigned does. */
  readonly signedSince: LogIndex | null;
  /** Statements of this cluster that count for nothing. */
  readonly ignored: number;
}

/** Of a text that nobody verified: a log that was restored holds those of the old cluster. */
function claimsCluster(text: string, clusterId: ClusterId): boolean {
  try {
    const body: unknown = JSON.parse(
      Buffer.from(text.split('.')[1] ?? '', 'base64url').toString('utf8'),
    );
    return typeof body === 'object' && body !== null && 'iss' in body && body.iss === clusterId;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return true;
    throw thrown;
  }
}

export interface Follower {
  /**
   * All statements of the log so far; those that were gone through before are not verified again.
   * One call at a time.
   */
  follow(statements: readonly LoggedStatement[]): Promise<Followed>;
}

export function createFollower(clusterId: ClusterId, root: string): Follower {
  let keys: AuthorityKey[] = [];
  let chain: string[] = [];
  let floors = new Map<PeerId, number>();
  let signedSince: LogIndex | null = null;
  let ignored = 0;
  let seen: string[] = [];

  function begin(): void {
    keys = [{ x: root, sinceIndex: null, endIndex: null }];
    [chain, floors, seen] = [[], new Map(), []];
    [signedSince, ignored] = [null, 0];
  }
  begin();

  const living = (): string[] => keys.flatMap(({ x, endIndex }) => (endIndex === null ? x : []));
  const head = (): string => keys.at(-1)?.x ?? root;

  async function take({ kind, statement, atIndex }: LoggedStatement): Promise<void> {
    if (kind === 'succession') {
      const { to } = await readSuccession(clusterId, [head()], statement);
      if (keys.some(({ x }) => x === to)) throw wrong('the succession leads back');
      keys.push({ x: to, sinceIndex: atIndex, endIndex: null });
      chain.push(statement);
      return;
    }
    const signers = kind === 'retirement' ? [head()] : living();
    const { payload } = await (await createVerifier(signers)).verify(kind, statement);
    if (kind === 'retirement') {
      const { iss, keys: ended } = decodeStatement(kind, retirementSchema, payload);
      if (iss !== clusterId || ended.includes(head()))
        throw wrong('the retirement is not for former keys of this cluster');
      keys = keys.map((key) =>
        key.endIndex === null && ended.includes(key.x) ? { ...key, endIndex: atIndex } : key,
      );
      chain.push(statement);
      return;
    }
    const { iss, sub, floor } = decodeStatement(kind, revocationSchema, payload);
    if (iss !== clusterId) throw wrong('the revocation is of another cluster');
    floors.set(sub, Math.max(floor, floors.get(sub) ?? 0));
  }

  async function follow(statements: readonly LoggedStatement[]): Promise<Followed> {
    // Another log, after a restore or another epoch.
    if (!seen.every((text, i) => statements[i]?.statement === text)) begin();
    for (const one of statements.slice(seen.length)) {
      try {
        await take(one);
        signedSince ??= one.atIndex;
      } catch (thrown) {
        // Whoever leads may write to the log; what the authority didn't sign is worth nothing.
        if (!(thrown instanceof AgentError)) throw thrown;
        if (claimsCluster(one.statement, clusterId)) ignored += 1;
      }
      seen.push(one.statement);
    }
    return { keys, chain: chain.slice(-chainMax), floors: new Map(floors), signedSince, ignored };
  }

  return { follow };
}

export interface Offered {
  /** Keys that follow from what was known, each with the one that it follows. */
  readonly links: readonly { readonly from: string; readonly to: string }[];
  readonly retired: ReadonlySet<string>;
}

/** What a chain that was shown proves to whoever believes `known`; the rest is passed over. */
export async function followOffer(
  clusterId: ClusterId,
  known: readonly string[],
  texts: readonly string[],
): Promise<Offered> {
  const keys = [...known];
  const links: { from: string; to: string }[] = [];
  const retired = new Set<string>();
  for (const text of texts)
    try {
      if (kindOf(text) === 'retirement') {
        const { payload } = await (await createVerifier(keys)).verify('retirement', text);
        const { iss, keys: ended } = decodeStatement('retirement', retirementSchema, payload);
        if (iss === clusterId) for (const x of ended) retired.add(x);
        continue;
      }
      const { from, to } = await readSuccession(clusterId, keys, text);
      if (keys.includes(to)) continue;
      keys.push(to);
      links.push({ from, to });
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
    }
  return { links, retired };
}
