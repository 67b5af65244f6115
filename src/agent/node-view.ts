/**
 * Questions about a started node that the facade answers: who leads, is it ready, the status page,
 * one member. Everything comes from memory or from the reader threads of the catalog; nobody else
 * is asked.
 */
import type { LogIndex, Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { DaemonView } from '../daemons/api.ts';
import type { LeaderAnswer, Readiness, StatusPage } from './api.ts';
import type { FederationPage } from './daemons/fleet.ts';
import type { HealthWatch } from './health/api.ts';
import { type Mode, modeOf } from './mode.ts';
import type { Node } from './node.ts';
import type { StandingView } from './operations/standing.ts';
import {
  leaderRow,
  memberRow,
  type ReplicationSummary,
  type StatusInput,
  statusPage,
} from './status-page.ts';

/** The counts of the index on the status page may be this old. */
const countsMsMax: Ms = 250;

/** A leader that said nothing for this long is lost, however slow its elections are. */
const leaderSilentMsMax: Ms = 5000;

export interface NodeViewDeps {
  readonly clock: Clock;
  readonly startedAtMs: Ms;
  readonly incarnation: number;
  readonly statusUrl: () => string | null;
  readonly health: HealthWatch;
  readonly replication: () => ReplicationSummary | null;
  readonly holdsContent: () => boolean;
  readonly daemons: () => readonly DaemonView[];
  readonly standing: () => StandingView | null;
  readonly federation: () => FederationPage | null;
}

export interface NodeView {
  leader(): LeaderAnswer;
  readiness(): Readiness;
  status(): Promise<StatusPage>;
  member(name: string): Promise<Record<string, unknown> | null>;
  readonly healMesh: HealthWatch['healMesh'];
}

export function createNodeView(node: Node, deps: NodeViewDeps): NodeView {
  const { runtime, directory, leadership, stores } = node;
  let counts: Readonly<Record<string, number>> = {};
  let countsAtMs = Number.NEGATIVE_INFINITY;
  let countsIndex: LogIndex | null = null;
  let replayed = false;

  async function indexCounts(): Promise<Readonly<Record<string, number>>> {
    const nowMs = deps.clock.now().monoMs;
    const moved = stores.catalog.appliedIndex() !== countsIndex;
    if (moved && nowMs - countsAtMs > countsMsMax) {
      countsAtMs = nowMs;
      const answer = await stores.catalog.query('index.counts', {});
      counts = answer.value as typeof counts;
      countsIndex = answer.appliedIndex;
    }
    return counts;
  }

  function mode(): Mode {
    const { configuration, leader, cannotLeadReason, state } = runtime.status();
    return modeOf({
      self: node.self,
      configuration,
      leader,
      cannotLeadReason,
      // A node that only pulls may be linked to others than the leader; they say who leads.
      staleMs: state === 'learner' ? 0 : leadership.staleMs(),
      silentMsMax: leaderSilentMsMax,
      livenessOf: (peer) => deps.health.of(peer).state,
    });
  }

  async function input(): Promise<StatusInput> {
    const index = await indexCounts();
    const records = await deps.standing()?.read();
    return {
      draining: new Set(records?.drains.map(({ peer }) => peer) ?? []),
      paused: deps.standing()?.pause() ?? null,
      member: node.member,
      certificate: node.certificate(),
      startedAtMs: deps.startedAtMs,
      incarnation: deps.incarnation,
      consensus: runtime.status(),
      mode: mode(),
      strays: node.strays(),
      trust: node.trust,
      clashes: node.clashes,
      doors: node.doors,
      view: leadership.view(),
      directory,
      healthOf: deps.health.of,
      addresses: node.mesh.addresses(),
      statusUrl: deps.statusUrl(),
      holdsContent: deps.holdsContent(),
      daemons: deps.daemons(),
      federation: deps.federation(),
      replication: deps.replication(),
      index,
    };
  }

  return {
    leader: () => {
      const { leader, term, since, reason } = leadership.view();
      const acting = runtime.mayAct() !== null;
      const row = leaderRow(directory, leader, deps.statusUrl());
      const leads = leader === node.self;
      const why = leads ? 'this node leads but may not act yet' : 'another node leads';
      return {
        acting,
        leader: row,
        term,
        since,
        reason: acting ? null : leader === null ? (reason ?? 'no leader is known') : why,
      };
    },
    readiness: () => {
      const unmet: string[] = [];
      const { members } = directory.configuration();
      if (!members.some((member) => member.peerId === node.self)) unmet.push('joined');
      if (leadership.denied()) unmet.push('member');
      const { appliedIndex, commitIndex, leader } = runtime.status();
      replayed ||= leader !== null && commitIndex > 0 && appliedIndex >= commitIndex;
      if (!replayed) unmet.push('catalog-replayed');
      if (leader === null) unmet.push('leader-known');
      const now = mode();
      if (now.degradedReason === 'no-quorum') unmet.push('quorum');
      return { ready: unmet.length === 0, unmet, ...now };
    },
    status: async () => statusPage(await input()),
    healMesh: deps.health.healMesh,
    member: async (name) => {
      const certificate = directory.byName(name);
      if (certificate === null) return null;
      const row = memberRow(await input(), certificate);
      const { record, recordAgeMs } = deps.health.of(certificate.peerId);
      const age = recordAgeMs === null ? null : Math.round(recordAgeMs);
      return {
        ...row,
        healthReasons: record?.reasons ?? [],
        components: record?.components ?? [],
        healthAgeMs: age,
        daemons: Object.fromEntries((record?.daemons ?? []).map((one) => [one.type, one])),
        daemonsAgeMs: age,
        unreachable: (record?.accused ?? []).map(({ peer }) => directory.nameOf(peer)),
        resources: record?.resources ?? null,
        resourcesAgeMs: record?.resources ? age : null,
      };
    },
  };
}
