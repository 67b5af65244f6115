/**
 * Leading: taking the lead, heartbeat rounds, what their answers prove, and the commit index. A
 * leader counts replicas only for entries of its own term, counts itself only for what is durable
 * here, and steps down when no majority answers for an election timeout.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import { encode as encodeCbor } from '../wire/cbor.ts';
import type { AppendReply, HeartbeatReply } from '../wire/consensus-message.ts';
import type { Campaign } from './ballot.ts';
import { type Core, cannotLead, header, rankOfPeer, send, stalledMs } from './core.ts';
import { driveDuty } from './duty.ts';
import { becomeFollower, setState } from './election.ts';
import { advanceCommit } from './follow.ts';
import { onLeaderKnown } from './forward.ts';
import { type Lead, Rounds } from './lead.ts';
import { driveChanges, onOwnCommit } from './members.ts';
import { firstProgress, noteMatch, type Progress, toProbe } from './progress.ts';
import { isVoter, reached } from './quorum.ts';
import { resolveReads } from './read-index.ts';
import { chooseDirect, onLost, progressOf } from './replicate.ts';
import { cooldownAtStart } from './takeover.ts';
import { electionMsMin, pauseMsMin } from './timing.ts';
import { driveHandover, resignStalled } from './transfer.ts';

/** Whoever only pulls is greeted at most this seldom. */
const greetingHeartbeats = 10;
/** A standby, which counts for no majority, hears the first and then every so many rounds. */
const standbyHeartbeats = 3;

/** The winner of a real vote takes the lead; it acts when the promises among its voters end. */
export function becomeLeader(core: Core, campaign: Campaign): void {
  const nowMs = core.now.monoMs;
  const byTransfer = campaign.release !== null;
  const byTakeover = byTransfer && core.challenge.won;
  const cooldownMs = cooldownAtStart(core);
  const opening = encodeCbor({
    leader: core.id,
    byTakeover,
    takeoverEver: byTakeover || core.challenge.lastTakeoverMs !== null,
    cooldownMs,
  });
  const lead: Lead = {
    sinceMs: nowMs,
    termStart: core.log.lastIndex + 1,
    progress: new Map(),
    rounds: new Rounds(),
    round: 0,
    heartbeatDueMs: nowMs,
    direct: [],
    committedOwn: false,
    leaseDropped: false,
    actAfterMs: campaign.promiseUntilMs,
    dirty: true,
    flushAtMs: Number.POSITIVE_INFINITY,
    waiting: new Map(),
    remote: new Map(),
    uncommittedBytes: 0,
    reads: [],
    handover: null,
    changes: [],
    changeOrigin: null,
    commits: [],
    byTakeover,
    reluctantSinceMs: null,
    cooldownMs,
    configuration: core.log.configuration,
  };
  core.lead = lead;
  for (const { peerId } of core.log.configuration.members)
    if (peerId !== core.id)
      lead.progress.set(
        peerId,
        firstProgress(peerId, core.log, campaign.answers.get(peerId), nowMs),
      );
  core.election.retryAtMs = Number.POSITIVE_INFINITY;
  core.election.firstVetoMs = null;
  core.election.heard = null;
  setState(core, 'leader', core.id, byTransfer ? 'transfer' : 'elected');
  appendAsLeader(core, lead, 'empty', opening);
  chooseDirect(core, lead);
  beat(core, lead);
  onLeaderKnown(core);
}

export function appendAsLeader(
  core: Core,
  lead: Lead,
  kind: 'empty' | 'config' | 'command',
  data: Uint8Array,
): LogIndex {
  const entry = core.log.append(core.hard.term, kind, data);
  core.out.append(entry);
  lead.uncommittedBytes += data.length + 64;
  lead.dirty = true;
  return entry.index;
}

/**
 * One heartbeat round to voters and direct standbys, and a greeting to one of the others in turn:
 * they pull, and hear of the leader with what they pull, so now and then is enough.
 */
export function beat(core: Core, lead: Lead): void {
  lead.round += 1;
  lead.rounds.note(lead.round, core.now);
  lead.heartbeatDueMs = core.now.monoMs + core.options.timing.heartbeatMs;
  const standbysToo = lead.round % standbyHeartbeats === 1;
  for (const peer of lead.direct)
    if (standbysToo || isVoter(core.log.configuration, peer)) heartbeatTo(core, lead, peer, true);
  const others = core.log.configuration.members.filter(
    ({ peerId }) => peerId !== core.id && !lead.direct.includes(peerId),
  );
  const greeted = others[lead.round % Math.max(others.length, greetingHeartbeats)];
  if (greeted) heartbeatTo(core, lead, greeted.peerId, false);
}

/** A closed link breaks steadiness: the peer may have restarted before its silence shows. */
export function noteUnlinked(lead: Lead, peer: PeerId): void {
  const progress = lead.progress.get(peer);
  if (progress) progress.steadySinceMs = null;
}

/** Who has just been linked hears the leader soon, and what was lost with the old link again. */
export function greetSoon(core: Core, lead: Lead, peer: PeerId): void {
  const progress = lead.progress.get(peer);
  if (!progress || !lead.direct.includes(peer)) return;
  if (progress.mode === 'replicate') toProbe(progress, progress.match + 1);
  lead.dirty = true;
  const lastMs = lead.heartbeatDueMs - core.options.timing.heartbeatMs;
  const soonMs = Math.max(core.now.monoMs, lastMs + pauseMsMin);
  lead.heartbeatDueMs = Math.min(lead.heartbeatDueMs, soonMs);
}

export function heartbeatTo(core: Core, lead: Lead, to: PeerId, direct: boolean): void {
  send(core, to, {
    type: 'heartbeat',
    ...header(core),
    round: lead.round,
    leaseMs: core.options.timing.leaseMs,
    commit: core.commit,
    direct,
    serving: lead.committedOwn,
    rttMs: lead.progress.get(to)?.rttMs ?? null,
    rank: rankOfPeer(core, core.id),
  });
}

export function onHeartbeatReply(core: Core, from: PeerId, message: HeartbeatReply): void {
  const { lead } = core;
  if (!lead || message.term !== core.hard.term) return;
  const progress = progressOf(core, lead, from);
  const nowMs = core.now.monoMs;
  const sent = lead.rounds.sentAt(message.round);
  if (!sent || message.round > lead.round) return;
  const rttMs = nowMs - sent.monoMs;
  progress.rttMs = progress.rttMs === null ? rttMs : progress.rttMs * 0.8 + rttMs * 0.2;
  // A peer that restarted no longer knows that it matches: an empty append tells it again.
  if (message.round >= progress.ackedRound && message.match < progress.match) {
    progress.sentCommit = 0;
    progress.steadySinceMs = null;
  }
  progress.ackedRound = Math.max(progress.ackedRound, message.round);
  // Silence breaks steadiness, even if the peer was fit before and after it.
  if (nowMs - progress.lastAckMs > core.options.timing.electionMsMin) progress.steadySinceMs = null;
  progress.lastAckMs = nowMs;
  progress.cannotLead = message.cannotLead;
  progress.stalled = message.stalled;
  progress.applied = message.applied;
  acknowledge(core, lead, progress, message.match);
  noteSteady(core, progress);
  onLost(core, lead, progress, message.received);
  core.rttMs = slowestVoterMs(core, lead);
  resolveReads(core, lead);
  driveHandover(core, lead);
}

/** The round trip that an election would take: to the slowest voter of the fastest majority. */
function slowestVoterMs(core: Core, lead: Lead): Ms {
  return -reached(core.log.configuration, (peer) =>
    peer === core.id ? 0 : -(lead.progress.get(peer)?.rttMs ?? 0),
  );
}

/** Heard, caught up and able to lead, without a break since `steadySinceMs`. */
function noteSteady(core: Core, progress: Progress): void {
  const caughtUp = progress.match >= core.commit - 1024 && progress.cannotLead !== 'unheard';
  const able = progress.cannotLead === null || progress.cannotLead === 'not-a-voter';
  if (caughtUp && able) progress.steadySinceMs ??= core.now.monoMs;
  else progress.steadySinceMs = null;
}

export function onAppendReply(core: Core, from: PeerId, message: AppendReply): void {
  const { lead } = core;
  if (!lead || message.term !== core.hard.term) return;
  const progress = progressOf(core, lead, from);
  progress.lastAckMs = core.now.monoMs;
  lead.dirty = true;
  if (!message.ok) {
    acknowledge(core, lead, progress, message.match);
    // Only a refusal of what was last tried says anything; an older one was overtaken.
    if (message.refused <= progress.match || message.refused >= progress.next) return;
    toProbe(progress, Math.min(message.hint, message.refused - 1) + 1);
    return;
  }
  if (progress.mode === 'probe') {
    progress.mode = 'replicate';
    progress.waitingSinceMs = null;
    progress.next = Math.max(message.match + 1, progress.match + 1);
  }
  acknowledge(core, lead, progress, message.match);
  driveHandover(core, lead);
}

function acknowledge(core: Core, lead: Lead, progress: Progress, match: LogIndex): void {
  if (match > core.log.lastIndex) return;
  if (progress.mode === 'snapshot' && match >= core.log.base.index) toProbe(progress, match + 1);
  if (noteMatch(progress, match)) {
    lead.dirty = true;
    advanceAsLeader(core, lead);
  }
}

/** Commits what a majority (of each half) holds durably, if it is of this term. */
export function advanceAsLeader(core: Core, lead: Lead): void {
  const index = reached(core.log.configuration, (peer) =>
    peer === core.id ? core.log.durable : (lead.progress.get(peer)?.match ?? 0),
  );
  if (index <= core.commit || core.log.termAt(index) !== core.hard.term) return;
  for (let i = core.commit + 1; i <= index; i += 1) {
    const size = (core.log.get(i)?.data.length ?? 0) + 64;
    if (i >= lead.termStart) lead.uncommittedBytes -= size;
  }
  advanceCommit(core, index);
  lead.dirty = true;
  if (!lead.committedOwn) {
    lead.committedOwn = true;
    core.election.mayVeto = true;
    beat(core, lead);
  }
  onOwnCommit(core, lead);
}

/** One sample a heartbeat; older than an election timeout only the newest matters. */
function noteCommitAt(core: Core, lead: Lead): void {
  const nowMs = core.now.monoMs;
  lead.commits.push({ atMs: nowMs, index: core.commit });
  const oldMs = nowMs - core.options.timing.electionMsMax;
  while (lead.commits[1] && lead.commits[1].atMs <= oldMs) lead.commits.shift();
}

/** Everything that is due by time while leading. */
export function tickLead(core: Core): void {
  const { lead } = core;
  if (!lead) return;
  const nowMs = core.now.monoMs;
  const { timing } = core.options;
  if (nowMs >= lead.heartbeatDueMs) {
    chooseDirect(core, lead);
    beat(core, lead);
    lead.dirty = true;
    noteCommitAt(core, lead);
    driveChanges(core, lead);
  }
  if (nowMs >= lead.flushAtMs) lead.dirty = true;
  const heardMs = reached(core.log.configuration, (peer) =>
    peer === core.id ? nowMs : (lead.progress.get(peer)?.lastAckMs ?? lead.sinceMs),
  );
  const stretch = { leaseMs: timing.leaseMs, rttMs: core.rttMs, loopLagMs: core.local.loopLagMs };
  const timeout = electionMsMin(timing, stretch);
  if (nowMs - heardMs >= timeout) {
    stepDown(core, 'no-majority-answers');
    return;
  }
  const { broken } = core;
  if (broken || !isVoter(core.log.configuration, core.id) || !core.certificate.leads) {
    stepDown(core, broken ?? (core.certificate.leads ? 'not-a-voter' : 'role'));
    return;
  }
  if (stalledMs(core) >= timeout || cannotLead(core) === 'store-not-writable')
    resignStalled(core, lead);
  driveDuty(core, lead);
  driveHandover(core, lead);
}

/** Gives the lead up without a successor; the lease is gone before anything else happens. */
export function stepDown(core: Core, reason: string): void {
  if (core.lead) core.lead.leaseDropped = true;

  becomeFollower(core, core.hard.term, null, reason);
}
