/**
 * Sending the log: appends to voters and a few standbys, batched and pipelined within each peer's
 * window. Everybody else pulls (learning.ts), so the leader's work grows with the voters.
 */

import { present } from '../base/assert.ts';
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Append } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import { type Core, header, send } from './core.ts';
import type { Lead } from './lead.ts';
import {
  appendBytesMax,
  appendEntriesMax,
  createProgress,
  hasRoom,
  noteSent,
  type Progress,
  toProbe,
} from './progress.ts';
import { votersOf } from './quorum.ts';

/** Standbys that the leader itself keeps up to date, so that one is ready for a swap. */
const directStandbysMax = 3;
/** While an append is on its way to a peer, the next entries gather for so long. */
const gatherMs: Ms = 2;
/** So many entries do not wait for more. */
const gatherEntriesMax = 128;
/** A commit index waits so long for an append that carries it before it is told by itself. */
const commitNoticeMs: Ms = 5;
/** A snapshot that was asked for and never came is asked for again after this. */
const snapshotMsMax = 60_000;

export function progressOf(core: Core, lead: Lead, peer: PeerId): Progress {
  const known = lead.progress.get(peer);
  if (known) return known;
  const progress = createProgress(peer, core.log.lastIndex, core.now.monoMs);
  lead.progress.set(peer, progress);
  return progress;
}

/** Voters of both halves, and the best standbys: those that answer first, then by rank. */
export function chooseDirect(core: Core, lead: Lead): void {
  const { configuration } = core.log;
  const voters = votersOf(configuration).filter((peer) => peer !== core.id);
  const nowMs = core.now.monoMs;
  const { electionMsMax } = core.options.timing;
  const heard = (peer: PeerId): number => {
    const progress = lead.progress.get(peer);
    if (!progress || progress.cannotLead === 'unheard') return 0;
    return nowMs - progress.lastAckMs < 4 * electionMsMax ? 1 : 0;
  };
  const standbys = configuration.members
    .filter(({ peerId, votes }) => votes && peerId !== core.id && !voters.includes(peerId))
    .sort(
      (a, b) =>
        heard(b.peerId) - heard(a.peerId) || b.rank - a.rank || (a.peerId < b.peerId ? -1 : 1),
    )
    .slice(0, directStandbysMax)
    .map(({ peerId }) => peerId);
  lead.direct = [...voters, ...standbys];
  lead.configuration = configuration;
  for (const peer of lead.direct) progressOf(core, lead, peer);
  lead.dirty = true;
}

/** Sends what can be sent; called once per `ready`, so that a burst becomes one append. */
export function flushAppends(core: Core, lead: Lead): void {
  if (!lead.dirty) return;
  lead.dirty = false;
  lead.flushAtMs = Number.POSITIVE_INFINITY;
  const made: Append[] = [];
  for (const peer of lead.direct) {
    const progress = lead.progress.get(peer);
    if (progress) flushTo(core, lead, progress, made);
  }
}

/** Whether the next entries wait for company; their time at the latest is noted. */
function gathers(core: Core, lead: Lead, progress: Progress): boolean {
  const last = progress.inflight.at(-1);
  if (!last || core.log.lastIndex - progress.next >= gatherEntriesMax) return false;
  const dueMs = last.sentMs + gatherMs;
  if (core.now.monoMs >= dueMs) return false;
  lead.flushAtMs = Math.min(lead.flushAtMs, dueMs);
  return true;
}

/** Whether a commit index that nothing has carried is due by itself; or else its time is noted. */
function commitIsDue(core: Core, lead: Lead, progress: Progress): boolean {
  if (progress.sentCommit >= Math.min(core.commit, progress.match)) return false;
  progress.commitDueMs ??= core.now.monoMs + commitNoticeMs;
  if (core.now.monoMs >= progress.commitDueMs) return true;
  lead.flushAtMs = Math.min(lead.flushAtMs, progress.commitDueMs);
  return false;
}

/** `made`: the appends of this flush; peers that lack the same get the same one. */
function flushTo(core: Core, lead: Lead, progress: Progress, made: Append[]): void {
  const nowMs = core.now.monoMs;
  const { heartbeatMs } = core.options.timing;
  if (progress.mode === 'snapshot') {
    if (nowMs - (progress.waitingSinceMs ?? 0) < snapshotMsMax) return;
    toProbe(progress, progress.match + 1);
  }
  if (progress.next <= core.log.base.index) {
    askSnapshot(core, progress);
    return;
  }
  if (progress.mode === 'probe') {
    const { waitingSinceMs } = progress;
    const patience = Math.max(heartbeatMs, 3 * (progress.rttMs ?? 0));
    if (waitingSinceMs !== null && nowMs - waitingSinceMs < patience) return;
    progress.waitingSinceMs = nowMs;
    sendAppend(core, progress, take(core, progress), made);
    return;
  }
  while (progress.next <= core.log.lastIndex && hasRoom(progress)) {
    if (gathers(core, lead, progress)) break;
    const entries = take(core, progress);
    sendAppend(core, progress, entries, made);
    const end = present(entries.at(-1), 'an entry to send').index;
    let bytes = 0;
    for (const entry of entries) bytes += entry.data.length;
    noteSent(progress, end, bytes, nowMs);
  }
  if (commitIsDue(core, lead, progress)) sendAppend(core, progress, [], made);
}

const take = (core: Core, progress: Progress): Entry[] =>
  core.log.slice(progress.next, core.log.lastIndex, appendEntriesMax, appendBytesMax);

function sendAppend(
  core: Core,
  progress: Progress,
  entries: readonly Entry[],
  made: Append[],
): void {
  progress.sentCommit = core.commit;
  progress.commitDueMs = null;
  const prevIndex = progress.next - 1;
  const { length } = entries;
  let append = made.find((one) => one.prevIndex === prevIndex && one.entries.length === length);
  if (!append) {
    append = {
      type: 'append',
      ...header(core),
      prevIndex,
      prevTerm: present(core.log.termAt(prevIndex), `the term of ${prevIndex}`),
      prevHash: present(core.log.hashAt(prevIndex), `the hash of ${prevIndex}`),
      commit: core.commit,
      entries,
    };
    made.push(append);
  }
  send(core, progress.peer, append);
}

function askSnapshot(core: Core, progress: Progress): void {
  progress.mode = 'snapshot';
  progress.waitingSinceMs = core.now.monoMs;
  core.election.fetchId += 1;
  core.out.sendSnapshots.push({
    to: progress.peer,
    requestId: core.election.fetchId,
    atLeast: core.log.base.index,
  });
}

export function onSnapshotSent(core: Core, to: PeerId, ok: boolean): void {
  const progress = core.lead?.progress.get(to);
  if (progress?.mode !== 'snapshot') return;
  // Sent is not installed: the peer's own word ends the wait, or else a pause of a few heartbeats.
  const pause = ok ? 20 * core.options.timing.heartbeatMs : 5 * core.options.timing.heartbeatMs;
  progress.waitingSinceMs = core.now.monoMs - snapshotMsMax + pause;
}

/** A heartbeat answer that shows less than was sent: an append or the peer's memory was lost. */
export function onLost(core: Core, lead: Lead, progress: Progress, received: LogIndex): void {
  const oldest = progress.inflight[0];
  lead.dirty = true;
  if (progress.mode !== 'replicate' || !oldest) return;
  const patience = Math.max(core.options.timing.heartbeatMs, 3 * (progress.rttMs ?? 0));
  if (core.now.monoMs - oldest.sentMs < patience || received >= oldest.end) return;
  toProbe(progress, progress.match + 1);
}
