/**
 * The one history that all nodes must share. Whatever a node applies is committed: the first to
 * apply an index defines it, everybody else must have the same bytes there, the same answers and
 * the same digest after it. What was acknowledged must be in the log of every leader of a later
 * term.
 */
import type { LogIndex, PeerId, Term } from '../base/brand.ts';
import type { AppliedResult } from '../catalog/api.ts';
import type { PersistJob } from '../consensus/api.ts';
import type { Entry } from '../wire/entry.ts';
import { createOracle, type Oracle } from './oracle.ts';
import type { SimNode } from './sim-node.ts';

export type Fail = (check: string, detail: string) => void;

export interface LogChecks {
  readonly oracle: Oracle;
  onApplied(node: SimNode, entries: readonly Entry[], results: readonly AppliedResult[]): void;
  onInstalled(node: SimNode, index: LogIndex): void;
  onStart(node: SimNode): void;
  onPersist(node: SimNode, job: PersistJob): void;
  /** An entry was acknowledged to a client while the answering node was in `term`. */
  onAcknowledged(index: LogIndex, term: Term): void;
  onLeader(node: SimNode, term: Term): void;
  /** Highest acknowledged index. */
  acknowledged(): LogIndex;
  entryAt(index: LogIndex): Entry | null;
  resultAt(index: LogIndex): Uint8Array | null;
  lastIndex(): LogIndex;
  /** Everything that was committed, with its answers. */
  history(): readonly Committed[];
}

export interface Committed {
  readonly entry: Entry;
  readonly result: Uint8Array;
  readonly by: PeerId;
}

/** The log of a node as it has it in memory, synced or not. */
interface Mirror {
  base: LogIndex;
  /** Hash by index. */
  hashes: string[];
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a === b || (a.length === b.length && Buffer.compare(a, b) === 0);

/** `before`: the history that this one goes on from. */
export function createLogChecks(fail: Fail, before: LogChecks | null = null): LogChecks {
  const oracle = createOracle();
  const committed: Committed[] = [];
  const digests = new Map<LogIndex, { digest: string; by: PeerId }>();
  const mirrors = new Map<PeerId, Mirror>();
  const acknowledgedIn = new Map<Term, LogIndex>();
  let acknowledged: LogIndex = before?.acknowledged() ?? 0;
  for (const known of before?.history() ?? []) {
    committed.push(known);
    oracle.take(known.entry, { index: known.entry.index, result: known.result });
  }

  function compare(node: SimNode, entry: Entry, result: AppliedResult): void {
    const known = committed[entry.index - 1];
    if (known === undefined) {
      if (entry.index !== committed.length + 1)
        fail('history', `${node.id} applied ${entry.index} after ${committed.length}`);
      committed.push({ entry, result: result.result, by: node.id });
      const complaint = oracle.take(entry, result);
      if (complaint !== null) fail('answer', `${complaint} (${node.id})`);
      return;
    }
    const { entry: other, by } = known;
    const same =
      other.hash === entry.hash && other.term === entry.term && sameBytes(other.data, entry.data);
    if (!same)
      fail(
        'committed-prefix',
        `entry ${entry.index}: ${node.id} applied term ${entry.term} ${entry.hash.slice(0, 8)}, ` +
          `${by} had applied term ${other.term} ${other.hash.slice(0, 8)}`,
      );
    if (!sameBytes(known.result, result.result))
      fail('answer', `entry ${entry.index} was answered differently by ${node.id} and ${by}`);
  }

  function compareDigest(node: SimNode): void {
    const index = node.catalog.appliedIndex();
    const digest = node.catalog.digest();
    const known = digests.get(index);
    if (known === undefined) digests.set(index, { digest, by: node.id });
    else if (known.digest !== digest)
      fail('digest', `after ${index}, the catalogs of ${node.id} and ${known.by} differ`);
  }

  return {
    oracle,
    onApplied: (node, entries, results) => {
      entries.forEach((entry, i) => {
        const result = results[i];
        if (result?.index !== entry.index)
          fail('answer', `${node.id} has no result of entry ${entry.index}`);
        else compare(node, entry, result);
      });
      compareDigest(node);
    },
    onInstalled: (node) => compareDigest(node),
    onStart: (node) => {
      const { snapshot, entries } = node.disk.durable();
      const mirror: Mirror = { base: snapshot?.index ?? 0, hashes: [] };
      mirror.hashes[mirror.base] = snapshot?.hash ?? '';
      for (const entry of entries) mirror.hashes[entry.index] = entry.hash;
      mirrors.set(node.id, mirror);
    },
    onPersist: (node, job) => {
      const mirror = mirrors.get(node.id);
      if (mirror === undefined) return;
      if (job.installSnapshot !== null) {
        const { index, hash } = job.installSnapshot.meta;
        mirror.base = index;
        mirror.hashes = [];
        mirror.hashes[index] = hash;
      }
      if (job.cutBackTo !== null) mirror.hashes.length = job.cutBackTo + 1;
      for (const entry of job.append) mirror.hashes[entry.index] = entry.hash;
    },
    onAcknowledged: (index, term) => {
      acknowledged = Math.max(acknowledged, index);
      acknowledgedIn.set(term, Math.max(acknowledgedIn.get(term) ?? 0, index));
    },
    onLeader: (node, term) => {
      let due: LogIndex = 0;
      for (const [inTerm, index] of acknowledgedIn) if (inTerm < term) due = Math.max(due, index);
      const mirror = mirrors.get(node.id);
      if (mirror === undefined || due === 0 || mirror.base >= due) return;
      const wanted = committed[due - 1]?.entry.hash;
      if (mirror.hashes[due] !== wanted)
        fail(
          'acknowledged-lost',
          `${node.id} leads term ${term} without entry ${due} that was acknowledged ` +
            `(its log ends at ${mirror.hashes.length - 1})`,
        );
    },
    acknowledged: () => acknowledged,
    entryAt: (index) => committed[index - 1]?.entry ?? null,
    resultAt: (index) => committed[index - 1]?.result ?? null,
    lastIndex: () => committed.length,
    history: () => committed,
  };
}
