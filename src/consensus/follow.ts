/**
 * The follower's side of replication: heartbeats make promises and carry the commit index, appends
 * bring entries. An acknowledgement leaves only when what it says is durable; a lease longer than
 * any before is made durable before it is acknowledged.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { decodeConfiguration } from '../wire/configuration.ts';
import type { Append, Heartbeat } from '../wire/consensus-message.ts';
import { chained, type Entry } from '../wire/entry.ts';
import {
  type Core,
  cannotLead,
  declareCorrupt,
  header,
  reluctance,
  resetElectionTimer,
  saveHardState,
  stalledMs,
} from './core.ts';
import { becomeFollower, endCampaign, setState } from './election.ts';
import { onLeaderKnown } from './forward.ts';
import { onConfigurationChanged } from './members.ts';
import { isVoter } from './quorum.ts';
import { noteLeader } from './takeover.ts';
import { promiseLengthMs } from './timing.ts';

/** True when `from` leads the current term as far as this node may know. */
function follow(core: Core, from: PeerId, term: number): boolean {
  if (term < core.hard.term) return false;
  if (core.lead && term === core.hard.term) {
    declareCorrupt(core, `${from} also leads term ${term}`);
    return false;
  }
  if (term > core.hard.term || core.leader !== from) {
    becomeFollower(core, term, from, 'leader-heard');
    noteLeader(core, from);
    onLeaderKnown(core);
  }
  core.election.heard = from;
  core.election.firstVetoMs = null;
  resetElectionTimer(core);
  return true;
}

export function onHeartbeat(core: Core, from: PeerId, message: Heartbeat): void {
  if (!follow(core, from, message.term)) {
    replyToHeartbeat(core, from, message.round);
    return;
  }
  const { leaseMs, rttMs } = message;
  const lengthMs = promiseLengthMs(leaseMs);
  core.leaseMsHeard = leaseMs;
  if (rttMs !== null) core.rttMs = rttMs;
  const { monoMs } = core.now;
  if (leaseMs > core.hard.leaseMsLongest) saveHardState(core, { leaseMsLongest: leaseMs });
  core.promises.acknowledge(from, message.term, monoMs, lengthMs);
  const { leaseMsLongest } = core.hard;
  if (leaseMs < leaseMsLongest && core.promises.noneLongerThan(lengthMs, monoMs))
    saveHardState(core, { leaseMsLongest: leaseMs });
  if (message.serving) core.election.mayVeto = true;
  core.learning.direct = message.direct;
  core.learning.commitHeard = Math.max(core.learning.commitHeard, message.commit);
  if (message.direct) core.learning.directMs = monoMs;
  advanceCommit(core, Math.min(message.commit, core.matched));
  replyToHeartbeat(core, from, message.round);
}

function replyToHeartbeat(core: Core, to: PeerId, round: number): void {
  // A promise of one of two machines with one key binds the other one to nothing.
  if (core.broken === 'identity-clash') return;
  // Held only while this term or a longer lease is not durable yet; otherwise it leaves at once.
  core.out.sendAfter(core.out.hardStateJob, to, {
    type: 'heartbeat-reply',
    ...header(core),
    round,
    match: core.broken ? 0 : Math.min(core.matched, core.log.durable),
    received: core.broken ? 0 : core.matched,
    applied: core.applied,
    cannotLead: cannotLead(core) ?? reluctance(core),
    stalled: stalledMs(core) > core.options.timing.electionMsMin,
  });
}

export function advanceCommit(core: Core, index: LogIndex): void {
  if (index <= core.commit) return;
  core.commit = index;
  // What is committed is in the log of every later leader.
  core.matched = Math.max(core.matched, index);
}

export function onAppend(core: Core, from: PeerId, message: Append): void {
  if (!follow(core, from, message.term)) {
    replyToAppend(core, from, { ok: false, refused: message.prevIndex });
    return;
  }
  if (core.broken) return;
  const { prevIndex, entries, commit } = message;
  const fit = acceptEntries(core, message);
  if (fit === 'corrupt') return;
  if (fit === 'gap') {
    replyToAppend(core, from, { ok: false, refused: prevIndex });
    return;
  }
  core.matched = Math.max(core.matched, prevIndex + entries.length);
  core.learning.direct = true;
  core.learning.directMs = core.now.monoMs;
  advanceCommit(core, Math.min(commit, core.matched));
  replyToAppend(core, from, { ok: true, refused: 0 });
}

function replyToAppend(
  core: Core,
  to: PeerId,
  { ok, refused }: { ok: boolean; refused: LogIndex },
): void {
  const match = ok ? core.matched : Math.min(core.matched, core.log.durable);
  const durable = core.log.durable >= match;
  const job = ok && !durable ? core.out.newestJob : core.out.hardStateJob;
  core.out.sendAfter(job, to, {
    type: 'append-reply',
    ...header(core),
    ok,
    match,
    refused,
    hint: ok ? 0 : hintFor(core, refused),
  });
}

/** Where a leader should try next: before the whole term that did not fit. */
function hintFor(core: Core, refused: LogIndex): LogIndex {
  if (refused > core.log.lastIndex) return core.log.lastIndex;
  const term = core.log.termAt(refused);
  let index = refused;
  while (index > core.commit && core.log.termAt(index) === term) index -= 1;
  return Math.max(index, core.commit);
}

export interface Arriving {
  readonly prevIndex: LogIndex;
  readonly prevTerm: number;
  readonly prevHash: string;
  readonly entries: readonly Entry[];
}

/**
 * Adds what is new, cuts back what contradicts it. Everything is checked before anything changes;
 * what is committed here is never cut.
 */
export function acceptEntries(core: Core, arriving: Arriving): 'ok' | 'gap' | 'corrupt' {
  const { log } = core;
  let { prevIndex, prevHash } = arriving;
  let entries = arriving.entries;
  if (prevIndex < log.base.index) {
    // What lies before the base is committed and applied here; only the rest is compared.
    const known = log.base.index - prevIndex;
    if (entries.length <= known) return 'ok';
    const atBase = entries[known - 1];
    if (atBase && atBase.hash !== log.base.hash)
      return corrupt(core, `entry ${log.base.index} differs from the snapshot`);
    entries = entries.slice(known);
    prevIndex = log.base.index;
    prevHash = log.base.hash;
  } else {
    const term = log.termAt(prevIndex);
    if (term === null || term !== arriving.prevTerm) return 'gap';
    if (log.hashAt(prevIndex) !== prevHash)
      return corrupt(core, `entry ${prevIndex} of term ${term} has two hashes`);
  }
  return addEntries(core, prevIndex, prevHash, entries);
}

function corrupt(core: Core, detail: string): 'corrupt' {
  declareCorrupt(core, detail);
  return 'corrupt';
}

function isConfiguration(entry: Entry): boolean {
  try {
    decodeConfiguration(entry.data);
    return true;
  } catch (thrown) {
    // Only what a decoder refuses is bad data; anything else is our own bug.
    if (thrown instanceof AgentError) return false;
    throw thrown;
  }
}

function addEntries(
  core: Core,
  prevIndex: LogIndex,
  prevHash: string,
  entries: readonly Entry[],
): 'ok' | 'corrupt' {
  const { log, out } = core;
  let index = prevIndex;
  let hash = prevHash;
  let from = 0;
  for (const entry of entries) {
    index += 1;
    const term = log.termAt(index);
    if (term === null || term !== entry.term) break;
    if (log.hashAt(index) !== entry.hash)
      return corrupt(core, `entry ${index} of term ${term} has two hashes`);
    hash = entry.hash;
    from += 1;
  }
  let lastTerm = log.termAt(prevIndex + from) ?? 0;
  for (let i = from; i < entries.length; i += 1) {
    const entry = entries[i];
    if (!entry || !chained(entry, hash, log.epoch))
      return corrupt(core, `entry ${prevIndex + i + 1} is not chained to the one before it`);
    if (entry.term < lastTerm || (entry.kind === 'config' && !isConfiguration(entry)))
      return corrupt(core, `entry ${entry.index} of term ${entry.term} can't be one of a log`);
    hash = entry.hash;
    lastTerm = entry.term;
  }
  if (from === entries.length) return 'ok';
  const keep = prevIndex + from;
  const before = log.configured;
  if (keep < log.lastIndex) {
    if (keep < core.commit)
      return corrupt(core, `entry ${keep + 1} is committed here and differs from the leader's`);
    log.cutBackTo(keep);
    core.matched = Math.min(core.matched, keep);
    out.cutBackTo(keep, core.now.monoMs);
  }
  for (let i = from; i < entries.length; i += 1) {
    const entry = entries[i];
    if (!entry) break;
    log.push(entry);
    out.append(entry);
  }
  if (log.configured !== before) onConfigurationChanged(core);
  return 'ok';
}

/** Voter or learner: which one this node is follows from the configuration in force. */
export function refreshState(core: Core): void {
  if (core.state !== 'follower' && core.state !== 'learner' && core.state !== 'candidate') return;
  const voter = isVoter(core.log.configuration, core.id);
  if (!voter && core.state === 'candidate') endCampaign(core, false);
  if (core.state === 'candidate' && voter) return;
  if (!voter && core.state !== 'learner') resetElectionTimer(core);
  setState(core, voter ? 'follower' : 'learner', core.leader, 'configuration');
}
