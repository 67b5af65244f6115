/**
 * Which keys of the authority count on this node, and in which order they came. The log decides as
 * soon as it has come as far as the folder; before that it is what the folder holds. Keys that a
 * peer proved to follow from one that counts are taken until the log brings them, so that a node
 * that was away understands the others; they are never written down, and fall with what they
 * follow from.
 */
import { AgentError } from '../../base/error.ts';
import type { LoggedStatement } from '../../catalog/query-identity.ts';
import type { Refusal } from '../../wire/certificate.ts';
import type { PublicAuthority } from './authority.ts';
import { createVerifier, kidOf, type Verifier } from './signatures.ts';
import { createFollower, type Followed, followOffer } from './succession.ts';

/** Keys by word of a peer; beyond this none is taken. */
const offeredMax = 64;

export interface Authorities {
  /** As the folder is to hold it. */
  papers(): PublicAuthority;
  /** The newest by the log: a master signs with it. */
  signer(): string;
  /** The newest that counts, by word of a peer too. */
  newest(): string;
  /** Those that count, oldest first. */
  accepted(): string[];
  /** The order of a key among all that were ever known; -1: none of them. */
  place(x: string): number;
  /** Why what this key signed gives no rights now; null: it does. */
  refusal(x: string): Refusal | null;
  /** What the log says; null: it was not looked at. */
  followed(): Followed | null;
  /** For every key that was ever known, retired ones too: proof of who it is, and no right. */
  verifier(): Verifier;
  /** How the newest came to be, for those who know an older one. */
  chain(): readonly string[];
  follow(statements: readonly LoggedStatement[]): Promise<void>;
  /** What a peer shows; what doesn't follow from a key that counts is passed over. */
  offer(chain: readonly string[]): Promise<void>;
  /** Told when other keys count than before, or another one signs; one listener. */
  onChanged(listener: () => void): void;
}

export async function openAuthorities(folder: PublicAuthority): Promise<Authorities> {
  const { clusterId } = folder;
  const root = folder.root ?? folder.trusted[0] ?? '';
  const follower = createFollower(clusterId, root);
  const offered = new Map<string, string>();
  /** Looked at since the log last changed; most peers show the same. */
  const shown = new Set<string>();
  let papers = folder;
  let followed: Followed | null = null;
  let work: Promise<void> = Promise.resolve();
  let listener: () => void = () => undefined;

  const logKeys = () => followed?.keys ?? [];
  /** A log that is still read from its beginning knows less than the folder. */
  const logDecides = (): boolean => logKeys().some(({ x }) => x === papers.trusted.at(-1));
  const all = (): string[] => [
    ...new Set([root, ...logKeys().map(({ x }) => x), ...papers.trusted, ...offered.keys()]),
  ];
  const counts = (x: string): boolean => {
    const logged = logDecides() ? logKeys().find((key) => key.x === x) : undefined;
    if (logged !== undefined) return logged.endIndex === null;
    if (papers.trusted.includes(x)) return true;
    const from = offered.get(x);
    return from !== undefined && counts(from);
  };
  const accepted = (): string[] => all().filter(counts);

  let verifier = await createVerifier(all());
  const state = (): string => [...accepted(), papers.trusted.at(-1)].join();
  let [verified, told] = [all().join(), state()];
  async function refresh(): Promise<void> {
    if (all().join() !== verified) {
      verifier = await createVerifier(all());
      verified = all().join();
    }
    if (state() === told) return;
    told = state();
    listener();
  }

  async function follow(statements: readonly LoggedStatement[]): Promise<void> {
    const before = followed?.chain.length;
    followed = await follower.follow(statements);
    if (followed.chain.length !== before) shown.clear();
    if (logDecides()) {
      const trusted = followed.keys.flatMap(({ x, endIndex }) => (endIndex === null ? x : []));
      papers = { ...papers, root, trusted };
      for (const { x } of followed.keys) offered.delete(x);
    }
    await refresh();
  }

  async function offer(chain: readonly string[]): Promise<void> {
    const text = chain.join(' ');
    if (shown.has(text)) return;
    if (shown.size >= offeredMax) shown.clear();
    shown.add(text);
    const { links } = await followOffer(clusterId, accepted(), chain);
    for (const { from, to } of links)
      if (offered.size < offeredMax && !all().includes(to)) offered.set(to, from);
    await refresh();
  }

  /** One after the other: both change what the next one builds on. */
  const inTurn = (act: () => Promise<void>): Promise<void> => {
    const next = work.then(act);
    // Whoever asked hears of a failure; the next one begins anew.
    work = next.catch(() => undefined);
    return next;
  };

  return {
    papers: () => papers,
    signer: () => papers.trusted.at(-1) ?? root,
    newest: () => accepted().at(-1) ?? root,
    accepted,
    place: (x) => all().indexOf(x),
    refusal: (x) =>
      counts(x)
        ? null
        : {
            code: 'authority-retired',
            detail: `it is signed by the authority ${kidOf(x)}, which counts no more`,
          },
    followed: () => followed,
    verifier: () => verifier,
    chain: () => followed?.chain ?? [],
    follow: (statements) => inTurn(() => follow(statements)),
    offer: (chain) => inTurn(() => offer(chain)),
    onChanged: (next) => {
      listener = next;
    },
  };
}

/** Throws what refuses it. */
export function mustCount(authorities: Authorities, by: string, what: string): void {
  const refusal = authorities.refusal(by);
  if (refusal !== null) throw new AgentError(refusal.code, `${what}: ${refusal.detail}`);
}
