/**
 * What keeps a running node's standing: it hears of revocations from its catalog, keeps its own
 * certificate alive, and, on a master, lets others in.
 */
import type { Clock } from '../../base/clock.ts';
import type { Revocation, TokenRecord } from '../../catalog/query-identity.ts';
import type { Mesh } from '../../mesh/api.ts';
import type { IdentityFace } from '../api.ts';
import type { Config } from '../config.ts';
import type { Directory } from '../directory.ts';
import type { Leadership } from '../leadership.ts';
import type { Membership } from '../membership.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { PeerService } from '../peer-service.ts';
import type { Runtime } from '../runtime.ts';
import type { Stores } from '../stores.ts';
import { type Papers, writeCertificate } from './authority.ts';
import { createEnrolment } from './enrolment.ts';
import { createRenewal, type Renewal } from './renewal.ts';
import type { Trust } from './trust.ts';

/** Applied entries are looked through for revocations at most this often. */
const revocationsDelayMs = 200;

export interface StandingDeps {
  readonly config: Config;
  readonly dir: string;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly peers: PeerService;
  readonly trust: Trust;
  readonly papers: Papers;
  readonly networkKey: string;
  readonly mesh: Mesh;
  readonly directory: Directory;
  readonly leadership: Leadership;
  readonly membership: Membership;
  readonly stores: Stores;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Standing {
  /** What the catalog says of revoked certificates, into the judge. */
  readRevocations(): Promise<void>;
  /** Entries were applied: there may be revocations among them. */
  onApplied(): void;
  /** Serves newcomers and renews; the log can be written to by now. */
  start(runtime: Runtime): IdentityFace;
  stop(): Promise<void>;
}

export function createStanding(deps: StandingDeps): Standing {
  const { trust, papers, mesh, directory, stores, clock, onFailure } = deps;
  let timer: NodeJS.Timeout | null = null;
  let renewal: Renewal | null = null;

  async function readRevocations(): Promise<void> {
    // Nothing was applied yet, so nobody is revoked; asking would start a reader for it.
    if (stores.catalog.appliedIndex() === 0) return;
    const { value } = await stores.catalog.query('revocations.list', {});
    trust.setRevocations((value as { revocations: Revocation[] }).revocations);
  }

  /** Whoever is linked hears of a new certificate at once. */
  function tell(): void {
    const { name, role } = trust.own().member;
    deps.event('own-certificate-renewed', { name, role });
    for (const { peerId, connected } of mesh.links())
      if (connected)
        deps.membership
          .greet(peerId)
          .catch((error: unknown) => onFailure('a peer did not take the hello', error));
  }

  function startRenewal(): void {
    renewal = createRenewal({
      ...{ trust, mesh, clock, secret: papers.secret, onFailure },
      masters: () =>
        directory
          .configuration()
          .members.filter(({ role, peerId }) => role === 'master' && peerId !== mesh.peerId)
          .map(({ peerId }) => peerId),
      write: (text) => writeCertificate(deps.dir, text),
      onRenewed: tell,
    });
    renewal.start();
  }

  return {
    readRevocations,
    onApplied: () => {
      timer ??= setTimeout(() => {
        timer = null;
        readRevocations().catch((error: unknown) =>
          onFailure('the revocations could not be read', error),
        );
      }, revocationsDelayMs);
    },
    start: (runtime) => {
      startRenewal();
      const { networkKey, metrics, peers, event } = deps;
      return createEnrolment({
        ...{ trust, networkKey, directory, clock, peers, metrics, event },
        secret: papers.secret,
        workersMayLead: deps.config.workersMayLead,
        addresses: () => mesh.addresses(),
        leader: () => deps.leadership.view().leader,
        propose: (command, timeoutMs) =>
          runtime.proposer.propose(command, { idempotency: null, timeoutMs }),
        reconfigure: (change, timeoutMs) => runtime.reconfigure(change, timeoutMs),
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
