/**
 * What keeps a running node's standing: it hears of revocations and of certificates in another role
 * from its catalog, keeps its own certificate alive, and, on a master, lets others in.
 */
import type { PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import type {
  LoggedStatement,
  NetworkKeyRecord,
  Revocation,
  TokenRecord,
} from '../../catalog/query-identity.ts';
import type { Mesh } from '../../mesh/api.ts';
import type { Certificate } from '../../wire/member.ts';
import type { IdentityFace } from '../api.ts';
import type { Config } from '../config.ts';
import type { Directory } from '../directory.ts';
import type { Leadership } from '../leadership.ts';
import type { Membership } from '../membership.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { PeerService } from '../peer-service.ts';
import type { Runtime } from '../runtime.ts';
import type { Stores } from '../stores.ts';
import { type Papers, writeAuthority, writeCertificate } from './authority.ts';
import { createEnrolment } from './enrolment.ts';
import type { KeyRing } from './key-ring.ts';
import { createRenewal, type Renewal } from './renewal.ts';
import type { IssuedCertificates } from './roles.ts';
import { kidOf } from './signatures.ts';
import type { Trust } from './trust.ts';
import { createVault } from './vault.ts';

/** Applied entries are looked through for what bears on standing at most this often. */
const lookDelayMs = 200;
const readTimeoutMs = 10_000;
const handOverTimeoutMs = 2000;
/** Between two members that ask for a certificate of a new authority. */
const renewalSpreadMs = 20;

export interface StandingDeps {
  readonly config: Config;
  readonly dir: string;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly peers: PeerService;
  readonly trust: Trust;
  readonly papers: Papers;
  readonly networkKeys: KeyRing;
  /** Of the log that is applied here. */
  readonly epoch: () => string;
  readonly mesh: Mesh;
  readonly directory: Directory;
  readonly leadership: Leadership;
  readonly membership: Membership;
  readonly stores: Stores;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  /** This node counts as something else from here on. */
  readonly onCertified: (certificate: Certificate) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Standing {
  /** What the catalog says of certificates, into the judge; this node's own is adopted. */
  look(): Promise<void>;
  /** Entries were applied: there may be something among them. */
  onApplied(): void;
  /** Serves newcomers and renews; the log can be written to by now. */
  start(runtime: Runtime): IdentityFace;
  stop(): Promise<void>;
}

export function createStanding(deps: StandingDeps): Standing {
  const { trust, papers, mesh, directory, stores, clock, event, onFailure } = deps;
  let timer: NodeJS.Timeout | null = null;
  let renewal: Renewal | null = null;
  let written = papers.authority;
  let looking: Promise<void> = Promise.resolve();

  const linked = () => mesh.links().flatMap((link) => (link.connected ? link.peerId : []));
  /** Those that are linked first; the others are dialled when they are asked. */
  function masters(): PeerId[] {
    const near = new Set(linked());
    const all = directory
      .configuration()
      .members.filter(({ role, peerId }) => role === 'master' && peerId !== mesh.peerId)
      .map(({ peerId }) => peerId);
    return [...all.filter((peer) => near.has(peer)), ...all.filter((peer) => !near.has(peer))];
  }
  deps.networkKeys.onTold(() => {
    const { accepts, sends } = deps.networkKeys.told();
    event('network-keys-changed', { accepts, sends });
  });
  const { secret, next } = papers;
  const vault = createVault({ ...{ trust, mesh, secret, next, masters }, dir: deps.dir, event });

  async function issued(): Promise<IssuedCertificates> {
    const { value } = await stores.catalog.query('certificates.list', {});
    return value as IssuedCertificates;
  }

  /** One after the other, in the order of what was applied. */
  function look(): Promise<void> {
    const done = looking.then(lookOnce);
    // Whoever asked hears of a failure; the next one begins anew.
    looking = done.catch(() => undefined);
    return done;
  }

  async function lookOnce(): Promise<void> {
    // Nothing was applied yet, so there is nothing; asking would start a reader for it.
    if (stores.catalog.appliedIndex() === 0) return;
    const { value } = await stores.catalog.query('revocations.list', {});
    const { value: signed } = await stores.catalog.query('statements.list', {});
    const { statements } = signed as { statements: LoggedStatement[] };
    await trust.follow(statements, (value as { revocations: Revocation[] }).revocations);
    await keepAuthority();
    await trust.setIssued((await issued()).certificates);
    await adopt();
    await followKeys();
  }

  /** Keys of another cluster came with a backup; none at all: the key was never rotated. */
  async function followKeys(): Promise<void> {
    const { value } = await stores.catalog.query('network-keys.list', {});
    const { keys } = value as { keys: NetworkKeyRecord[] };
    const own = keys.filter(({ cluster }) => cluster === trust.clusterId);
    await deps.networkKeys.adopt(own, deps.epoch());
  }

  /** A restart begins with what counts now, also without its catalog. */
  async function keepAuthority(): Promise<void> {
    const next = trust.authorities.papers();
    if (next.trusted.join() === written.trusted.join()) return;
    await writeAuthority(deps.dir, next);
    event('authority-changed', { authority: kidOf(trust.authorities.signer()) });
    written = next;
  }

  /** Not everybody at once: each asks at its place in the list of members. */
  function renewSoon(): void {
    const { members } = directory.configuration();
    const place = members.findIndex(({ peerId }) => peerId === mesh.peerId);
    renewal?.poke(Math.max(0, place) * renewalSpreadMs);
  }

  /** The authority made something else of this node. */
  async function adopt(): Promise<void> {
    const next = trust.issued(mesh.peerId);
    const own = trust.own();
    if (next === null || !trust.isNewer(next, own)) return;
    // A restart in the middle finds the new one in the folder or again in the catalog.
    await writeCertificate(deps.dir, next.text);
    await trust.setOwn(next.text);
    event('role-changed', { from: own.member.role, to: next.member.role });
    deps.onCertified(next.member);
    renewal?.poke();
    tell();
  }

  /** Whoever is linked hears of a new certificate at once. */
  function tell(): void {
    const { name, role } = trust.own().member;
    event('own-certificate-renewed', { name, role });
    for (const { peerId, connected } of mesh.links())
      if (connected)
        deps.membership
          .greet(peerId)
          .catch((error: unknown) => onFailure('a peer did not take the hello', error));
  }

  function startRenewal(): void {
    renewal = createRenewal({
      ...{ trust, mesh, clock, vault, masters, onFailure },
      write: (text) => writeCertificate(deps.dir, text),
      onRenewed: tell,
    });
    renewal.start();
    trust.authorities.onChanged(renewSoon);
  }

  return {
    look,
    onApplied: () => {
      timer ??= setTimeout(() => {
        timer = null;
        look().catch((error: unknown) => onFailure('certificates could not be read', error));
      }, lookDelayMs);
    },
    start: (runtime) => {
      startRenewal();
      const { networkKeys, metrics, peers } = deps;
      return createEnrolment({
        ...{ trust, networkKeys, directory, clock, peers, metrics, event },
        vault,
        workersMayLead: deps.config.workersMayLead,
        addresses: () => mesh.addresses(),
        leader: () => deps.leadership.view().leader,
        propose: (command, timeoutMs) =>
          runtime.proposer.propose(command, { idempotency: null, timeoutMs }),
        reconfigure: (change, timeoutMs) => runtime.reconfigure(change, timeoutMs),
        handOver: () => runtime.transfer(null, handOverTimeoutMs),
        issued: async () => {
          await runtime.read(readTimeoutMs);
          return issued();
        },
        catchUp: async () => {
          await runtime.read(readTimeoutMs);
          await look();
        },
        ask: (peer, name, body, timeoutMs) => mesh.request(peer, name, body, { timeoutMs }),
        linked,
        tokens: async () => {
          const { value } = await stores.catalog.query('tokens.list', {});
          return (value as { tokens: TokenRecord[] }).tokens;
        },
      });
    },
    stop: async () => {
      if (timer !== null) clearTimeout(timer);
      await renewal?.stop();
    },
  };
}
