/**
 * The step machine: one event in, then `ready()` says what is to be done. It routes events to the
 * files that own the rules, drives everything that is due by time, and refuses whatever belongs to
 * another cluster, epoch or protocol version before anybody looks at it.
 *
 * Nothing in here waits, reads a clock or draws a random number of its own.
 */

import { assert, unreachable } from '../base/assert.ts';
import type { Ms, PeerId } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import { encodeChange, encodeConfiguration } from '../wire/configuration.ts';
import { type Message, protocolVersions } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import type { Certificate } from '../wire/member.ts';
import type { ActingRight, Consensus, ConsensusOptions, Event, Ready, Status } from './api.ts';
import {
  type Core,
  cannotLead,
  certificateOf,
  createCore,
  header,
  reluctance,
  resetElectionTimer,
  saveHardState,
  send,
} from './core.ts';
import { degradation, noteDegraded } from './duty.ts';
import { becomeFollower, onOwnVoteDurable, onVoteReply, startVote } from './election.ts';
import { electionWakeMs, tickElection } from './election-timer.ts';
import { onOrder } from './fence.ts';
import { onAppend, onHeartbeat, refreshState } from './follow.ts';
import { createDesk, flushProposals, onProposeReply, propose, tickDesk } from './forward.ts';
import {
  advanceAsLeader,
  greetSoon,
  noteUnlinked,
  onAppendReply,
  onHeartbeatReply,
  stepDown,
  tickLead,
} from './leading.ts';
import {
  createLearning,
  learningWakeMs,
  onFetch,
  onFetchReply,
  onRejected,
  releaseParked,
  tickLearning,
} from './learning.ts';
import { leaseUntilMs, whyNotActing } from './lease.ts';
import { noteApart, onLinkChange } from './links.ts';
import type { Progress } from './progress.ts';
import { onApplied, onPropose } from './proposals.ts';
import {
  createReadDesk,
  flushReads,
  onRead,
  onReadReply,
  startRead,
  tickReads,
} from './read-index.ts';
import { flushAppends, onSnapshotSent } from './replicate.ts';
import {
  onCompact,
  onSnapshotDurable,
  onSnapshotReceived,
  onSnapshotRequest,
  snapshotMeta,
} from './snapshot.ts';
import {
  challengeWakeMs,
  createChallenge,
  driveChallenge,
  noteOpening,
  onTakeover,
  onTakeoverReply,
} from './takeover.ts';
import { validateTiming } from './timing.ts';
import { encodeTransfer, handoverWakeMs, onTimeoutNow } from './transfer.ts';
import { answerEarly, onPreVote, onVote } from './voting.ts';

/** Entries handed to the catalog and not yet answered. */
const applyingMax = 8192;
const applyBatchMax = 1024;
const applyBatchBytesMax = 4 * 1024 * 1024;
const nothingToApply: readonly Entry[] = [];

export function createConsensus(options: ConsensusOptions): Consensus {
  const wrong = validateTiming(options.timing);
  if (wrong.length > 0) throw new AgentError('bad-request', `timing: ${wrong.join('; ')}`);
  const core = createCore(options, {
    learning: createLearning(),
    desk: createDesk(options.prng),
    readDesk: createReadDesk(options.prng),
    challenge: createChallenge(options),
  });
  resetElectionTimer(core);
  if (options.bootstrap && core.log.lastIndex === 0) bootstrap(core);
  refreshState(core);
  return {
    step(now, event) {
      core.now = now;
      dispatch(core, event);
      noteActing(core);
      noteDegraded(core);
    },
    ready: () => takeReady(core),
    nextWakeMs: () => nextWakeMs(core),
    mayAct: (now) => mayAct(core, now),
    status: (now) => statusOf(core, now),
    snapshotMeta: (index) => snapshotMeta(core, index),
  };
}

/** The first node of a cluster writes the first configuration, with itself as the only voter. */
function bootstrap(core: Core): void {
  const { certificate, id } = core.options;
  const data = encodeConfiguration({ members: [certificate], voters: [id], outgoing: null });
  saveHardState(core, { term: 1, vote: id });
  core.out.append(core.log.append(1, 'config', data));
  const { index, configuration } = core.log.configured;
  core.out.facts.push({ type: 'configuration-changed', configuration, index });
  startVote(core, null);
}

function dispatch(core: Core, event: Event): void {
  switch (event.type) {
    case 'tick':
      tick(core);
      return;
    case 'message':
      onMessage(core, event.from, event.message, event.certificate);
      return;
    case 'link':
      onLinkChange(core.links, event.peer, event.change, core.now.monoMs);
      if (event.change === 'opened' && core.lead) greetSoon(core, core.lead, event.peer);
      if (event.change === 'closed' && core.lead) noteUnlinked(core.lead, event.peer);
      answerEarly(core, event.change);
      tickElection(core);
      tickLearning(core);
      return;
    case 'persisted':
      onPersisted(core, event.id);
      return;
    case 'store-failed':
      core.broken = 'store-failed';
      if (core.lead) stepDown(core, 'store-failed');
      return;
    case 'identity-clash':
      core.broken = 'identity-clash';
      if (core.lead) stepDown(core, 'identity-clash');
      return;
    case 'applied':
      onApplied(core, event);
      core.readDesk.dirty = core.readDesk.pending.size > 0;
      return;
    case 'propose':
      propose(core, { kind: 'command', ...event });
      return;
    case 'reconfigure':
      propose(core, { ...event, kind: 'reconfigure', data: encodeChange(event.change) });
      return;
    case 'transfer':
      propose(core, { ...event, kind: 'transfer', data: encodeTransfer(event.to) });
      return;
    case 'read':
      startRead(core, event.ref, event.deadlineMs);
      return;
    case 'order':
      onOrder(core, event);
      return;
    case 'snapshot-received':
      onSnapshotReceived(core, event);
      return;
    case 'snapshot-sent':
      onSnapshotSent(core, event.to, event.ok);
      return;
    case 'compact':
      onCompact(core, event.index);
      return;
    case 'local':
      core.local = event.facts;
      return;
    case 'certified':
      assert(event.certificate.peerId === core.id, 'a node is certified for its own key');
      core.certificate = event.certificate;
      return;
    default:
      unreachable(event);
  }
}

function tick(core: Core): void {
  tickLead(core);
  tickElection(core);
  tickLearning(core);
  driveChallenge(core);
  tickDesk(core);
  tickReads(core);
}

function onPersisted(core: Core, id: number): void {
  const end = core.out.persisted(id, core.hard.term, core.now.monoMs);
  core.persistedMs = core.now.monoMs;
  if (end > core.log.durable) core.log.durable = Math.min(end, core.log.lastIndex);
  onSnapshotDurable(core);
  onOwnVoteDurable(core);
  if (core.lead) advanceAsLeader(core, core.lead);
}

/** What of a message's frame does not belong here, or null. */
function mismatch(
  core: Core,
  message: Message,
): 'epoch-mismatch' | 'cluster-mismatch' | 'version-mismatch' | null {
  if (message.v < protocolVersions.min || message.v > protocolVersions.max)
    return 'version-mismatch';
  if (message.cluster !== core.options.clusterId) return 'cluster-mismatch';
  return message.epoch === core.options.epoch ? null : 'epoch-mismatch';
}

function refuse(core: Core, from: PeerId, code: string, detail: string): void {
  core.out.facts.push({ type: 'refused-message', from, code, detail });
}

function onMessage(core: Core, from: PeerId, message: Message, shown: Certificate | null): void {
  if (from === core.id) return;
  if (message.type === 'reject') {
    refuse(core, from, message.code, 'refused by the peer');
    noteApart(core.links, from, true);
    onRejected(core, from);
    return;
  }
  const code = mismatch(core, message);
  noteApart(core.links, from, code !== null);
  if (code) {
    refuse(core, from, code, message.type);
    send(core, from, { type: 'reject', ...header(core), code });
    return;
  }
  const leads = certificateOf(core, from, shown)?.leads ?? true;
  const leaderOnly = message.type === 'heartbeat' || message.type === 'append';
  if (!leads && (leaderOnly || message.type === 'timeout-now')) {
    refuse(core, from, 'forbidden', `${message.type} of a member that may not lead`);
    return;
  }
  route(core, from, message, shown);
}

type Routed = Exclude<Message, { type: 'reject' }>;

function route(core: Core, from: PeerId, message: Routed, shown: Certificate | null): void {
  switch (message.type) {
    case 'pre-vote':
      onPreVote(core, from, message, shown);
      return;
    case 'vote':
      onVote(core, from, message, shown);
      return;
    case 'pre-vote-reply':
    case 'vote-reply':
      onVoteReply(core, from, message);
      return;
    case 'heartbeat':
      onHeartbeat(core, from, message);
      driveChallenge(core);
      return;
    case 'append':
      onAppend(core, from, message);
      return;
    case 'heartbeat-reply':
      noteHigherTerm(core, message);
      onHeartbeatReply(core, from, message);
      return;
    case 'append-reply':
      noteHigherTerm(core, message);
      onAppendReply(core, from, message);
      return;
    case 'propose':
      onPropose(core, from, message);
      return;
    case 'propose-reply':
      onProposeReply(core, from, message);
      return;
    case 'read':
      onRead(core, from, message);
      return;
    case 'read-reply':
      onReadReply(core, from, message);
      return;
    case 'timeout-now':
      onTimeoutNow(core, from, message);
      return;
    case 'fetch':
      onFetch(core, from, message);
      return;
    case 'fetch-reply':
      onFetchReply(core, from, message);
      return;
    case 'snapshot-request':
      onSnapshotRequest(core, from, message);
      return;
    case 'takeover':
      onTakeover(core, from, message);
      return;
    case 'takeover-reply':
      onTakeoverReply(core, from, message);
      return;
    default:
      unreachable(message);
  }
}

/** An answer from a later term ends this lead. */
function noteHigherTerm(core: Core, message: Message): void {
  if (message.term > core.hard.term) becomeFollower(core, message.term, null, 'higher-term');
}

function takeReady(core: Core): Ready {
  const { lead } = core;
  flushReads(core);
  flushProposals(core);
  if (lead && core.lead === lead) flushAppends(core, lead);
  releaseParked(core);
  return core.out.take(takeApply(core), applySoon(core), core.now.monoMs);
}

/** Who leads, or is about to, answers with what was applied; so does a read that waits here. */
function applySoon(core: Core): boolean {
  return core.state !== 'follower' && core.state !== 'learner'
    ? true
    : core.readDesk.pending.size > 0;
}

/** Committed entries for the catalog, in order, a bounded number ahead of its answers. */
function takeApply(core: Core): readonly Entry[] {
  // The catalog never runs ahead of what this node's own log holds durably.
  const to = Math.min(core.commit, core.log.durable, core.log.understood);
  if (core.installing || core.applying >= to) return nothingToApply;
  if (core.applying - core.applied >= applyingMax) return nothingToApply;
  const from = core.applying + 1;
  const entries = core.log.slice(from, to, applyBatchMax, applyBatchBytesMax);
  for (const entry of entries) if (entry.kind === 'empty') noteOpening(core, entry);
  core.applying += entries.length;
  core.applySinceMs ??= core.now.monoMs;
  return entries;
}

function nextWakeMs(core: Core): Ms {
  const { lead, desk, readDesk } = core;
  let wake = Math.min(electionWakeMs(core), learningWakeMs(core), challengeWakeMs(core));
  wake = Math.min(wake, desk.nextDeadlineMs, desk.resendAtMs, readDesk.nextDeadlineMs);
  if (readDesk.pending.size > 0)
    wake = Math.min(wake, core.now.monoMs + core.options.timing.heartbeatMs);
  if (!lead) return wake;
  wake = Math.min(wake, lead.heartbeatDueMs, lead.flushAtMs, handoverWakeMs(core, lead));
  // So that acting begins and ends as facts at the right instant.
  if (core.acting) return Math.min(wake, leaseUntilMs(core, core.now));
  return lead.actAfterMs > core.now.monoMs ? Math.min(wake, lead.actAfterMs) : wake;
}

function mayAct(core: Core, now: Now): ActingRight | null {
  if (whyNotActing(core, now)) return null;
  return { epoch: core.options.epoch, term: core.hard.term };
}

function noteActing(core: Core): void {
  const why = whyNotActing(core, core.now);
  const acting = why === null;
  const { monoMs } = core.now;
  // A process that was stopped notices late: its right ended with the lease that it last saw.
  const atMs = acting ? monoMs : Math.min(monoMs, core.actingUntilMs);
  if (acting) core.actingUntilMs = leaseUntilMs(core, core.now);
  if (acting === core.acting) return;
  core.acting = acting;
  const { term } = core.hard;
  core.out.facts.push({ type: 'acting-changed', acting, atMs, term, reason: why ?? 'lease' });
}

const progressOf = (progress: Progress): Status['progress'][number] => {
  const { peer, match, lastAckMs, rttMs, cannotLead: reason, steadySinceMs } = progress;
  return { peer, match, lastAckMs, rttMs, cannotLead: reason, steadySinceMs };
};

function statusOf(core: Core, now: Now): Status {
  const { lead, log, hard } = core;
  const leaseMsRemaining = Math.max(0, leaseUntilMs(core, now) - now.monoMs);
  return {
    id: core.id,
    state: core.state,
    term: hard.term,
    leader: core.leader,
    inProgress: core.election.campaign !== null || (lead?.handover ?? null) !== null,
    acting: mayAct(core, now) !== null,
    leaseMsRemaining: Number.isFinite(leaseMsRemaining) ? leaseMsRemaining : 0,
    cannotLeadReason: cannotLead(core) ?? reluctance(core),
    degraded: degradation(core),
    configuration: log.configuration,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    commitIndex: core.commit,
    appliedIndex: core.applied,
    progress: lead ? [...lead.progress.values()].map(progressOf) : [],
  };
}
