/**
 * The epochs of a simulated cluster: the first one, frames of one that nobody is in, and a new one
 * by force, as the agent makes it on a stopped node's folder: everything in the old log is applied,
 * whether or not a majority ever had it, and a log of the new epoch goes on from there.
 */
import { assert, present } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import { decodeConfiguration, encodeConfiguration } from '../wire/configuration.ts';
import { encodeMessage, protocolVersion } from '../wire/consensus-message.ts';
import { makeEntry } from '../wire/entry.ts';
import { foreignTerm } from './leadership-checks.ts';
import type { NodeObserver } from './observer.ts';
import type { SimNode } from './sim-node.ts';

export const clusterId = 'c'.repeat(32);
export const firstEpoch = 'e'.repeat(32);

export function foreignFrame(prng: Prng): Uint8Array {
  const header = { v: protocolVersion, cluster: clusterId, epoch: 'f'.repeat(32) };
  const term = foreignTerm + prng.int(100);
  const end = { lastIndex: term, lastTerm: term, rank: 3999 };
  if (prng.chance(0.5))
    return encodeMessage({ type: 'vote', ...header, term, ...end, transfer: null });
  return encodeMessage({
    ...{ type: 'heartbeat', ...header, term, round: 1, leaseMs: 60_000, commit: term },
    ...{ direct: true, serving: true, rttMs: 1, rank: 3999 },
  });
}

/** Fills the disk and the catalog of `node` from those of `old`, which has ended. */
export function goOnFrom(old: SimNode, node: SimNode, observer: NodeObserver): void {
  assert(old.state() === 'absent', `${old.id} has ended`);
  const { snapshot, entries, hardState } = old.disk.durable();
  const last = present(entries.at(-1) ?? snapshot, `the log of ${old.id}`);
  const changed = entries.findLast(({ kind }) => kind === 'config');
  const known =
    changed === undefined
      ? present(snapshot, `the snapshot of ${old.id}`).configuration
      : decodeConfiguration(changed.data);
  node.catalog.install(old.catalog.dump());
  const missing = entries.filter(({ index }) => index > node.catalog.appliedIndex());
  if (missing.length > 0) observer.onApplied(node, missing, node.catalog.apply(missing));
  node.catalog.checkpoint();
  const { index, hash } = last;
  const { id, epoch } = node;
  const configuration = { ...known, voters: [id], outgoing: null, leaving: [] };
  const term = Math.max(last.term, hardState.term) + 1;
  const data = encodeConfiguration(configuration);
  const input = { previousHash: hash, epoch, index: index + 1, term, kind: 'config' as const };
  const meta = { clusterId, epoch, index, hash, term: last.term };
  node.disk.preset({
    hardState: { term, vote: id, leaseMsLongest: hardState.leaseMsLongest, fence: 0 },
    snapshot: { ...meta, configuration, configurationIndex: index },
    entries: [makeEntry({ ...input, data })],
  });
}
