/**
 * Sending the log: appends to voters and a few standbys, batched and pipelined within each peer's
 * window. Everybody else pulls (learning.ts), so the leader's work grows with the voters.
 */

import { present } from '../base/assert.ts';
import type { LogIndex, PeerId } from '../base/brand.ts';
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
  for (const peer of lead.direct) {
    const progress = lead.progress.get(peer);
    if (progress) flushTo(core, progress);
  }
}

function flushTo(core: Core, progress: Progress): void {
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
    sendAppend(core, progress, take(core, progress));
    return;
  }
  let sent = false;
  while (progress.next <= core.log.lastIndex && hasRoom(progress)) {
    const entries = take(core, progress);
    sendAppend(core, progress, entries);
    const end = present(entries.at(-1), 'an entry to send').index;
    let bytes = 0;
    for (const entry of entries) bytes += entry.data.length;
    noteSent(progress, end, bytes, nowMs);
    sent = true;
  }
  if (!sent && progress.sentCommit < Math.min(core.commit, progress.match))
    sendAppend(core, progress, []);
}

const take = (core: Core, progress: Progress): Entry[] =>
  core.log.slice(progress.next, core.log.lastIndex, appendEntriesMax, appendBytesMax);

function sendAppend(core: Core, progress: Progress, entries: readonly Entry[]): void {
  const prevIndex = progress.next - 1;
  progress.sentCommit = core.commit;
  send(core, progress.peer, {
    type: 'append',
    ...header(core),
    prevIndex,
    prevTerm: present(core.log.termAt(prevIndex), `the term of ${prevIndex}`),
    prevHash: present(core.log.hashAt(prevIndex), `the hash of ${prevIndex}`),
    commit: core.commit,
    entries,
  });
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
