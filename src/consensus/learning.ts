/**
 * Pulling committed entries. Whoever gets no appends from the leader asks a voter or standby, which
 * answers at once or, when it has nothing new, as soon as it has; so a learner is one hop behind
 * and costs the leader nothing. A node that knows no configuration yet asks whomever it is
 * linked to.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Fetch, FetchReply } from '../wire/consensus-message.ts';
import { type Core, header, resetElectionTimer, send } from './core.ts';
import { becomeFollower } from './election.ts';
import { acceptEntries, advanceCommit } from './follow.ts';
import { onLeaderKnown, onLeaderLost } from './forward.ts';
import { appendBytesMax, appendEntriesMax } from './progress.ts';
import { answerSuffix, nothing, onSuffix, replyTo } from './suffix.ts';
import { noteLeader } from './takeover.ts';

interface Parked {
  readonly message: Fetch;
  readonly untilMs: Ms;
}

export interface Learning {
  /** The leader pushes entries to this node, or says that it does not; null: nothing heard. */
  direct: boolean | null;
  /** When it last did or said so. */
  directMs: Ms;
  commitHeard: LogIndex;
  source: PeerId | null;
  /** The request under way. */
  request: { id: number; sentMs: Ms } | null;
  nextMs: Ms;
  /** Pullers that wait here for something new. */
  readonly parked: Map<PeerId, Parked>;
  parkedCommit: LogIndex;
}

/** Pullers that may wait at one replica. */
const parkedMax = 256;
/** A replica without news answers after this many heartbeats. */
const parkHeartbeats = 8;

export function createLearning(): Learning {
  return {
    direct: null,
    directMs: Number.NEGATIVE_INFINITY,
    commitHeard: 0,
    source: null,
    request: null,
    nextMs: 0,
    parked: new Map(),
    parkedCommit: 0,
  };
}

/**
 * Voters wait for the leader; everybody else pulls unless the leader pushes. Who believes to be a
 * voter may have missed the end of its vote: when it hears that nothing will be pushed, or nothing
 * at all for an election timeout, it pulls, too, and so learns of configuration and leader.
 */
function mayPull(core: Core): boolean {
  if (core.lead || core.broken) return false;
  if (core.state === 'learner') return true;
  return core.leader === null ? core.now.monoMs >= orphanedAtMs(core) : !core.learning.direct;
}

const orphanedAtMs = (core: Core): Ms => core.election.lostAtMs + core.options.timing.electionMsMax;

function pulls(core: Core): boolean {
  if (!mayPull(core)) return false;
  const { direct, directMs } = core.learning;
  const { electionMsMin } = core.options.timing;
  return !direct || core.now.monoMs - directMs > electionMsMin;
}

export function learningWakeMs(core: Core): Ms {
  const { learning } = core;
  let wake = Number.POSITIVE_INFINITY;
  for (const { untilMs } of learning.parked.values()) wake = Math.min(wake, untilMs);
  if (!mayPull(core)) {
    const waits = !core.lead && !core.broken && core.leader === null;
    return waits ? Math.min(wake, orphanedAtMs(core)) : wake;
  }
  const { electionMsMin } = core.options.timing;
  const pullMs = learning.direct ? learning.directMs + electionMsMin + 1 : learning.nextMs;
  return Math.min(wake, pullMs > core.now.monoMs ? pullMs : learning.nextMs);
}

function chooseSource(core: Core): PeerId | null {
  const { configuration } = core.log;
  const { links, learning, options } = core;
  const voting = configuration.members
    .filter(({ peerId, votes }) => votes && peerId !== core.id)
    .map(({ peerId }) => peerId);
  const known = voting.length > 0 ? voting : [...links.keys()].filter((peer) => peer !== core.id);
  const isApart = (peer: PeerId): boolean => links.get(peer)?.apart === true;
  // Members that are in another epoch refuse to answer; they are asked where nobody else is left.
  const ours = known.filter((peer) => !isApart(peer));
  const among = ours.length > 0 ? ours : known;
  const open = among.filter((peer) => links.get(peer)?.open === true);
  const from = open.length > 0 ? open : voting.length > 0 ? among : [];
  // The leader and the last source are spared where somebody else can answer. Who knows no voters
  // yet may be linked to others that know none either.
  const spares = voting.length > 0 ? core.leader : null;
  const spared = from.filter((peer) => peer !== spares && peer !== learning.source);
  const pool = spared.length > 0 ? spared : from;
  return pool.length > 0 ? options.prng.pick(pool) : null;
}

export function tickLearning(core: Core): void {
  const { learning } = core;
  releaseParked(core);
  if (!pulls(core) || core.now.monoMs < learning.nextMs) return;
  learning.source = chooseSource(core);
  pull(core);
}

function pull(core: Core): void {
  const { learning, log, now } = core;
  const { heartbeatMs } = core.options.timing;
  learning.nextMs = now.monoMs + heartbeatMs * (parkHeartbeats + 3);
  if (!learning.source) return;
  core.election.fetchId += 1;
  learning.request = { id: core.election.fetchId, sentMs: now.monoMs };
  send(core, learning.source, {
    type: 'fetch',
    ...header(core),
    id: learning.request.id,
    purpose: 'learn',
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    commit: core.commit,
  });
}

export function onFetch(core: Core, from: PeerId, message: Fetch): void {
  if (core.broken) return;
  if (message.purpose === 'suffix') {
    answerSuffix(core, from, message);
    return;
  }
  const known = core.log.configuration.members.some(({ peerId }) => peerId === from);
  if (!known) {
    replyTo(core, from, message, { ...nothing(core), code: 'not-member' });
    return;
  }
  if (core.commit > message.commit || core.learning.parked.size >= parkedMax) {
    answerLearner(core, from, message);
    return;
  }
  const untilMs = core.now.monoMs + parkHeartbeats * core.options.timing.heartbeatMs;
  core.learning.parked.set(from, { message, untilMs });
}

function answerLearner(core: Core, from: PeerId, message: Fetch): void {
  const { log } = core;
  const prevIndex = message.commit;
  const prevTerm = log.termAt(prevIndex);
  const prevHash = log.hashAt(prevIndex);
  if (prevTerm === null || prevHash === null) {
    const code = prevIndex < log.base.index ? 'compacted' : 'behind';
    replyTo(core, from, message, { ...nothing(core), code });
    return;
  }
  const entries =
    core.commit > prevIndex
      ? log.slice(prevIndex + 1, core.commit, appendEntriesMax, appendBytesMax)
      : [];
  replyTo(core, from, message, { code: 'ok', prevIndex, prevTerm, prevHash, entries });
}

/** Answers waiting pullers when there is news, or when they have waited long enough. */
export function releaseParked(core: Core): void {
  const { learning } = core;
  if (learning.parked.size === 0) return;
  const news = core.commit > learning.parkedCommit;
  learning.parkedCommit = core.commit;
  for (const [from, { message, untilMs }] of learning.parked) {
    const due = core.now.monoMs >= untilMs || (news && core.commit > message.commit);
    if (!due) continue;
    learning.parked.delete(from);
    answerLearner(core, from, message);
  }
}

export function onFetchReply(core: Core, from: PeerId, message: FetchReply): void {
  if (message.purpose === 'suffix') {
    onSuffix(core, from, message);
    return;
  }
  const { learning } = core;
  if (learning.request?.id !== message.id || !pulls(core)) return;
  learning.request = null;
  if (message.code === 'not-member') core.out.facts.push({ type: 'not-a-member', from });
  if (message.code === 'not-member' || message.code === 'behind') {
    learning.nextMs = core.now.monoMs + parkHeartbeats * core.options.timing.heartbeatMs;
    return;
  }
  noteWord(core, message);
  if (message.code === 'compacted') {
    learning.nextMs = core.now.monoMs + 20 * core.options.timing.heartbeatMs;
    core.election.fetchId += 1;
    send(core, from, { type: 'snapshot-request', ...header(core), id: core.election.fetchId });
    return;
  }
  if (acceptEntries(core, message) !== 'ok') return;
  const end = message.prevIndex + message.entries.length;
  advanceCommit(core, Math.min(message.commit, end));
  // News keeps the source; silence tries another one, which may know more.
  if (message.entries.length === 0) learning.source = chooseSource(core) ?? learning.source;
  pull(core);
}

/** The source is of another epoch, say: the next one is asked soon, at the pace of heartbeats. */
export function onRejected(core: Core, from: PeerId): void {
  const { learning, now, options } = core;
  if (learning.request === null || learning.source !== from) return;
  learning.request = null;
  learning.nextMs = now.monoMs + options.timing.heartbeatMs;
}

/** Term and leader as the replica knows them. */
function noteWord(core: Core, message: FetchReply): void {
  const { term, leader } = message;
  if (term < core.hard.term || leader === core.id) return;
  if (term === core.hard.term && leader === core.leader) {
    if (leader) resetElectionTimer(core);
    return;
  }
  if (!leader && term === core.hard.term) return;
  if (core.leader && core.leader !== leader) onLeaderLost(core);
  becomeFollower(core, term, leader, 'learned');
  if (!leader) return;
  noteLeader(core, leader);
  onLeaderKnown(core);
}
