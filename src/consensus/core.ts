/**
 * The state of one node that the files of this room share, and the few moves that all of them need.
 * Each file owns one rule and changes this state through plain functions; nothing here decides.
 *
 * Invariants: `commit` never falls; `applied <= applying <= commit`; `hard.term` never falls.
 */
import type { LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import {
  type Message,
  type PreVote,
  protocolVersion,
  type Release,
} from '../wire/consensus-message.ts';
import type { Certificate } from '../wire/member.ts';
import type { ConsensusOptions, HardState, LocalFacts, NodeState } from './api.ts';
import type { Campaign } from './ballot.ts';
import type { Desk } from './forward.ts';
import type { Lead } from './lead.ts';
import type { Learning } from './learning.ts';
import type { Links } from './links.ts';
import { type Base, emptyBase, Log } from './log.ts';
import { Output } from './output.ts';
import { PromiseBook } from './promises.ts';
import { isVoter, votersOf } from './quorum.ts';
import type { ReadDesk } from './read-index.ts';
import type { Challenge } from './takeover.ts';
import { electionMs, pauseMsMin, promiseLengthMs } from './timing.ts';

/** The follower's side of elections; instants are of this node's monotonic clock. */
export interface Election {
  deadlineMs: Ms;
  /** An attempt that is due earlier than the deadline: fast path, or a repeat. */
  retryAtMs: Ms;
  campaign: Campaign | null;
  round: number;
  /** First veto of this leaderless episode; it starts the budget of patience. */
  firstVetoMs: Ms | null;
  /** When this node last sent a pre-vote. */
  preVoteSentMs: Ms;
  /** The leader that this leaderless episode began without; null: none was known. */
  lostLeader: PeerId | null;
  /** Since when no leader is known. */
  lostAtMs: Ms;
  /** The leader that was heard by its own messages, not by the word of a replica. */
  heard: PeerId | null;
  /** Real votes and followed terms of this leaderless episode; the more, the longer the pauses. */
  attempts: number;
  /** After its own resignation a node does not lead until then. */
  pausedUntilMs: Ms;
  /** A restarted node vetoes nobody until a leader has committed. */
  mayVeto: boolean;
  /** The request for a missing suffix that is under way; `end` is the chain hash of our end. */
  suffix: { id: number; from: PeerId; term: Term; end: string; sentMs: Ms } | null;
  fetchId: number;
}

export interface Core {
  readonly options: ConsensusOptions;
  readonly id: PeerId;
  readonly log: Log;
  readonly out: Output;
  readonly links: Links;
  readonly promises: PromiseBook;
  now: Now;
  /** This node's own, in force. */
  certificate: Certificate;
  hard: HardState;
  state: NodeState;
  leader: PeerId | null;
  /** Highest index known to equal the log of this term's leader. */
  matched: LogIndex;
  commit: LogIndex;
  applied: LogIndex;
  applying: LogIndex;
  /** Since when entries wait for an answer of the catalog without any progress. */
  applySinceMs: Ms | null;
  /** When a persist job last completed. */
  persistedMs: Ms;
  /**
   * A received snapshot that its persist job is still bringing into the catalog: until that job is
   * durable nothing is applied, and `applied` is what the old catalog holds.
   */
  installing: { readonly job: number; readonly index: LogIndex } | null;
  local: LocalFacts;
  /** Why this node neither votes nor leads any more, or null. */
  broken: 'corrupt' | 'store-failed' | 'identity-clash' | null;
  leaseMsHeard: Ms;
  rttMs: Ms;
  acting: boolean;
  /** What was last told of leading although it should not. */
  degraded: string | null;
  /** When the right to act ends unless the lease is renewed; kept while acting. */
  actingUntilMs: Ms;
  readonly election: Election;
  /** Pre-votes refused by a promise while the link to its leader had closed, by candidate. */
  readonly early: Map<PeerId, { message: PreVote; shown: Certificate | null }>;
  lead: Lead | null;
  readonly learning: Learning;
  readonly desk: Desk;
  readonly readDesk: ReadDesk;
  readonly challenge: Challenge;
}

export const goodFacts: LocalFacts = {
  storeWritable: true,
  draining: false,
  undialable: false,
  paused: false,
  trouble: null,
  health: null,
  loopLagMs: 0,
};

function baseOf(options: ConsensusOptions): Base {
  return options.restored.snapshot ?? emptyBase();
}

export function createCore(
  options: ConsensusOptions,
  desks: Pick<Core, 'learning' | 'desk' | 'readDesk' | 'challenge'>,
): Core {
  const { restored, now } = options;
  const base = baseOf(options);
  const start = Math.max(base.index, restored.appliedIndex);
  const promises = new PromiseBook();
  const lengthMs = promiseLengthMs(restored.hardState.leaseMsLongest);
  if (lengthMs > 0) promises.assumeUnknown(now.monoMs + lengthMs, lengthMs);
  return {
    options,
    id: options.id,
    log: new Log(options.epoch, base, restored.entries, options.stateVersion),
    out: new Output(),
    links: new Map(),
    promises,
    now,
    certificate: options.certificate,
    hard: restored.hardState,
    state: 'learner',
    leader: null,
    matched: 0,
    commit: start,
    applied: start,
    applying: start,
    applySinceMs: null,
    persistedMs: now.monoMs,
    installing: null,
    local: goodFacts,
    broken: null,
    leaseMsHeard: 0,
    rttMs: 0,
    acting: false,
    degraded: null,
    actingUntilMs: Number.NEGATIVE_INFINITY,
    early: new Map(),
    election: {
      deadlineMs: 0,
      retryAtMs: Number.POSITIVE_INFINITY,
      campaign: null,
      round: 0,
      firstVetoMs: null,
      preVoteSentMs: Number.NEGATIVE_INFINITY,
      lostLeader: null,
      lostAtMs: now.monoMs,
      heard: null,
      attempts: 0,
      pausedUntilMs: 0,
      mayVeto: false,
      suffix: null,
      fetchId: 0,
    },
    lead: null,
    ...desks,
  };
}

export function header(core: Core): { v: number; cluster: string; epoch: string; term: Term } {
  const { clusterId: cluster, epoch } = core.options;
  return { v: protocolVersion, cluster, epoch, term: core.hard.term };
}

export function send(core: Core, to: PeerId, message: Message): void {
  core.out.send(to, message);
}

export function saveHardState(core: Core, change: Partial<HardState>): number {
  core.hard = { ...core.hard, ...change };
  return core.out.saveHardState(core.hard);
}

/** The certificate of a peer: what the mesh knows of it, or else its member record. */
export function certificateOf(
  core: Core,
  peer: PeerId,
  shown: Certificate | null = null,
): Certificate | null {
  if (peer === core.id) return core.certificate;
  return shown ?? core.log.configuration.members.find((item) => item.peerId === peer) ?? null;
}

/**
 * The rank as the member record says it, on every node alike; a certificate that was renewed or is
 * about to be counts only for who has no record here. Two measures side by side would let two nodes
 * wait for each other.
 */
export function rankOfPeer(core: Core, peer: PeerId, shown: Certificate | null = null): number {
  const record = core.log.configuration.members.find((item) => item.peerId === peer);
  return (record ?? certificateOf(core, peer, shown))?.rank ?? 0;
}

/** One pause between attempts: at least 10 ms, or a round trip. */
export function pauseMs(core: Core): Ms {
  return Math.max(pauseMsMin, core.rttMs);
}

/**
 * The same for real votes, whose round trip holds two fsyncs, the candidate's and the voter's;
 * without them slow disks would make candidates overtake each other for ever.
 */
export function votePauseMs(core: Core): Ms {
  return Math.max(pauseMsMin, core.rttMs + 2 * core.out.fsyncMs);
}

/** Election timeouts of silence after which a node that elects nobody calls the leader lost. */
const learnerPatience = 3;

export function resetElectionTimer(core: Core): void {
  const { timing, prng } = core.options;
  const stretch = {
    leaseMs: core.leaseMsHeard,
    rttMs: core.rttMs,
    loopLagMs: core.local.loopLagMs,
  };
  // Who elects nobody hears of the leader less often and has nothing to do about its silence.
  const patience = isVoter(core.log.configuration, core.id) ? 1 : learnerPatience;
  core.election.deadlineMs = core.now.monoMs + patience * electionMs(timing, stretch, prng);
  core.election.retryAtMs = Number.POSITIVE_INFINITY;
}

/** Why this node can't lead now whatever happens, or null. */
export function cannotLead(core: Core): string | null {
  const { certificate } = core;
  if (core.broken) return core.broken;
  if (core.log.understood < core.log.lastIndex) return 'version';
  const voter = isVoter(core.log.configuration, core.id);
  if (!voter && certificate.votes && core.local.undialable) return 'not-dialable';
  if (!certificate.leads) return 'role';
  if (!certificate.votes) return 'role';
  // The log may know of its new role before its certificate has arrived.
  if (core.log.configuration.members.find(({ peerId }) => peerId === core.id)?.leads === false)
    return 'role';
  if (!voter) return 'not-a-voter';
  if (!core.local.storeWritable) return 'store-not-writable';
  if (core.now.monoMs < core.election.pausedUntilMs) return 'paused-after-resignation';
  return null;
}

const healthyFrom = 60;

/** Why this node would lead only as the last resort; null: it may like others. */
export function reluctance(core: Core): string | null {
  const { draining, trouble, health } = core.local;
  if (draining) return 'draining';
  if (trouble !== null) return trouble;
  // Nothing measures it, or it is not below degraded.
  return health === null || health >= healthyFrom ? null : 'unhealthy';
}

/** This node's place among those that may lead, best first; the lost leader does not count. */
export function placeOf(core: Core, without: PeerId | null): number {
  const mine = rankOfPeer(core, core.id);
  let place = 0;
  for (const peer of votersOf(core.log.configuration)) {
    if (peer === core.id || peer === without) continue;
    const other = certificateOf(core, peer);
    if (!other?.leads) continue;
    const rank = rankOfPeer(core, peer);
    if (rank > mine || (rank === mine && peer < core.id)) place += 1;
  }
  return place;
}

/** How long this node's own fsync or apply has completed nothing while work waits. */
export function stalledMs(core: Core): Ms {
  const oldest = core.out.outstanding[0];
  const fsync = oldest ? Math.max(oldest.sinceMs, core.persistedMs) : core.now.monoMs;
  const apply = core.applySinceMs ?? core.now.monoMs;
  return core.now.monoMs - Math.min(fsync, apply);
}

export const releaseOf = (leader: PeerId, term: Term): Release => ({ leader, term });

/** The log is damaged or contradicts a leader's: named, and this node stops voting. */
export function declareCorrupt(core: Core, detail: string): void {
  core.out.facts.push({ type: 'corruption', detail });
  core.broken = 'corrupt';
}
