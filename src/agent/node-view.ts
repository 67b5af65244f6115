/**
 * Questions about a started node that the facade answers: who leads, is it ready, the status page,
 * one member. Everything comes from memory or from the reader threads of the catalog; the only
 * question that asks another machine is one member's resources, with a deadline.
 */
import type { LogIndex, Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { asAgentError } from '../base/error.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type Resources,
  resourcesSchema,
} from '../wire/node-message.ts';
import type { LeaderAnswer, Readiness, StatusPage } from './api.ts';
import { livenessOf } from './liveness.ts';
import { type Mode, modeOf } from './mode.ts';
import type { Node } from './node.ts';
import {
  leaderRow,
  memberRow,
  type ReplicationSummary,
  type StatusInput,
  statusPage,
} from './status-page.ts';

const resourcesTimeoutMs: Ms = 1000;
/** The counts of the index on the status page may be this old. */
const countsMsMax: Ms = 250;

/** A leader that said nothing for this long is lost, however slow its elections are. */
const leaderSilentMsMax: Ms = 5000;

export interface NodeViewDeps {
  readonly clock: Clock;
  readonly startedAtMs: Ms;
  readonly startedMonoMs: Ms;
  readonly incarnation: number;
  readonly statusUrl: () => string | null;
  readonly resources: () => Promise<Resources>;
  readonly replication: () => ReplicationSummary | null;
  readonly holdsContent: () => boolean;
}

export interface NodeView {
  leader(): LeaderAnswer;
  readiness(): Readiness;
  status(): Promise<StatusPage>;
  member(name: string): Promise<Record<string, unknown> | null>;
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
    const links = new Map(node.mesh.links().map((link) => [link.peerId, link]));
    return modeOf({
      self: node.self,
      configuration,
      leader,
      cannotLeadReason,
      // A node that only pulls may be linked to others than the leader; they say who leads.
      staleMs: state === 'learner' ? 0 : leadership.staleMs(),
      silentMsMax: leaderSilentMsMax,
      livenessOf: (peer) =>
        livenessOf({
          peer,
          self: node.self,
          link: links.get(peer) ?? null,
          heardMs: directory.factsOf(peer).heardMs,
          startedMs: deps.startedMonoMs,
          nowMs: deps.clock.now().monoMs,
        }).state,
    });
  }

  async function input(): Promise<StatusInput> {
    const index = await indexCounts();
    return {
      member: node.member,
      certificate: node.certificate(),
      startedAtMs: deps.startedAtMs,
      startedMonoMs: deps.startedMonoMs,
      nowMs: deps.clock.now().monoMs,
      incarnation: deps.incarnation,
      consensus: runtime.status(),
      mode: mode(),
      strays: node.strays(),
      view: leadership.view(),
      directory,
      links: node.mesh.links(),
      addresses: node.mesh.addresses(),
      statusUrl: deps.statusUrl(),
      holdsContent: deps.holdsContent(),
      replication: deps.replication(),
      index,
    };
  }

  async function resourcesOf(peer: string): Promise<Resources | null> {
    if (peer === node.self) return deps.resources();
    const body = new Uint8Array(0);
    const answer = await node.mesh.request(peer, 'resources', body, {
      timeoutMs: resourcesTimeoutMs,
    });
    return decodeNodeMessage('resources', resourcesSchema, answer);
  }

  node.peers.serve('resources', async () => encodeNodeMessage(await deps.resources()));

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
      const { appliedIndex, commitIndex, leader } = runtime.status();
      replayed ||= leader !== null && commitIndex > 0 && appliedIndex >= commitIndex;
      if (!replayed) unmet.push('catalog-replayed');
      if (leader === null) unmet.push('leader-known');
      const now = mode();
      if (now.degradedReason === 'no-quorum') unmet.push('quorum');
      return { ready: unmet.length === 0, unmet, ...now };
    },
    status: async () => statusPage(await input()),
    member: async (name) => {
      const certificate = directory.byName(name);
      if (certificate === null) return null;
      const row = memberRow(await input(), certificate);
      const base = { ...row, daemons: {}, healthReasons: [] };
      try {
        const resources = await resourcesOf(certificate.peerId);
        return { ...base, resources, resourcesAgeMs: 0, resourcesError: null };
      } catch (thrown) {
        const resourcesError = asAgentError(thrown).message;
        return { ...base, resources: null, resourcesAgeMs: null, resourcesError };
      }
    },
  };
}
