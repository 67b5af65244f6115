/**
 * Snapshots and compaction. A received snapshot replaces catalog and log in one durable step, and
 * nothing is applied before that step is done; the log is cut only up to what is known to be
 * fsynced, and keeps a tail for slow followers.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import { stateVersionOf } from '../wire/configuration.ts';
import type { SnapshotRequest } from '../wire/consensus-message.ts';
import type { Event, Limits, SnapshotMeta } from './api.ts';
import { type Core, declareCorrupt } from './core.ts';
import { becomeFollower, startPreVote } from './election.ts';
import { advanceCommit } from './follow.ts';
import { onConfigurationChanged } from './members.ts';

const defaultLimits: Limits = {
  trailingEntriesMax: 10_000,
  trailingBytesMax: 16 * 1024 * 1024,
};

export function snapshotMeta(core: Core, index: LogIndex): SnapshotMeta | null {
  if (index < core.log.base.index || index > core.commit) return null;
  const { clusterId, epoch } = core.options;
  return { clusterId, epoch, ...core.log.baseAt(index) };
}

export function onSnapshotRequest(core: Core, from: PeerId, message: SnapshotRequest): void {
  const known = core.log.configuration.members.some(({ peerId }) => peerId === from);
  if (!known || core.broken) return;
  core.out.sendSnapshots.push({
    to: from,
    requestId: message.id,
    atLeast: core.log.base.index,
  });
}

export function onSnapshotReceived(
  core: Core,
  event: Extract<Event, { type: 'snapshot-received' }>,
): void {
  const { meta, ref, from } = event;
  const { clusterId, epoch } = core.options;
  if (meta.clusterId !== clusterId || meta.epoch !== epoch) {
    const code = meta.clusterId === clusterId ? 'epoch-mismatch' : 'cluster-mismatch';
    core.out.facts.push({ type: 'refused-message', from, code, detail: 'snapshot' });
    return;
  }
  if (stateVersionOf(meta.configuration) > core.log.stateVersion) {
    const detail = 'snapshot of a later state than this program understands';
    core.out.facts.push({ type: 'refused-message', from, code: 'version-mismatch', detail });
    return;
  }
  if (core.lead || core.broken || meta.index <= core.commit) return;
  const ours = core.log.hashAt(meta.index);
  if (ours !== null && core.log.termAt(meta.index) === meta.term && ours !== meta.hash) {
    declareCorrupt(core, `entry ${meta.index} of term ${meta.term} has two hashes`);
    return;
  }
  if (ours === meta.hash) {
    // Our log holds it already, and perhaps acknowledged entries after it: only commit moves.
    advanceCommit(core, meta.index);
    return;
  }
  core.log.reset(meta);
  const job = core.out.installSnapshot(meta, ref, core.now.monoMs);
  core.installing = { job, index: meta.index };
  if (meta.term > core.hard.term) becomeFollower(core, meta.term, null, 'snapshot');
  core.commit = meta.index;
  core.matched = Math.max(core.matched, meta.index);
  core.learning.nextMs = core.now.monoMs;
  onConfigurationChanged(core);
  // A candidate that lacked even the start of the log goes on where it stopped.
  if (core.state === 'candidate') startPreVote(core, 'snapshot-received');
}

/** After every completed persist job: the catalog may be at a received snapshot now. */
export function onSnapshotDurable(core: Core): void {
  const { installing } = core;
  if (!installing || core.out.durableJob < installing.job) return;
  core.installing = null;
  core.applied = Math.max(core.applied, installing.index);
  core.applying = Math.max(core.applying, installing.index);
  core.applySinceMs = null;
  core.readDesk.dirty = true;
}

/** Catalog state up to `index` is fsynced: cut the log, but keep its tail. */
export function onCompact(core: Core, index: LogIndex): void {
  const limits = core.options.limits ?? defaultLimits;
  const upTo = Math.min(index, core.applied, core.log.durable);
  if (upTo <= core.log.base.index) return;
  const cut = core.log.cutFor(upTo, limits.trailingEntriesMax, limits.trailingBytesMax);
  const worth = Math.max(1, Math.floor(limits.trailingEntriesMax / 10));
  const full = core.log.bytes > limits.trailingBytesMax;
  if (cut - core.log.base.index < worth && !full) return;
  if (cut <= core.log.base.index) return;
  core.log.compactTo(cut);
  core.out.compactTo = cut;
}
