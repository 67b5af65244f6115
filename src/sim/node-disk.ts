/**
 * The log and hard state of one simulated machine, with the order of writes of the real store: what
 * waits becomes one batch, its hard state goes first, then its records as one, whole or torn. Only
 * what was synced survives a loss of power; a batch that was being written survives as nothing, as
 * its hard state alone, or whole, but then nobody was told.
 * A flipped stored byte must be found when the log is read: by the chain of hashes, by name.
 */

import { assert, present } from '../base/assert.ts';
import type { EpochId, LogIndex, Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { HardState, PersistJob, Restored, SnapshotMeta } from '../consensus/api.ts';
import { chained, chainStart, type Entry } from '../wire/entry.ts';
import type { EventQueue } from './event-queue.ts';

export const emptyHardState: HardState = { term: 0, vote: null, leaseMsLongest: 0, fence: 0 };

export interface DiskPace {
  readonly fsyncMsMin: Ms;
  readonly fsyncMsMax: Ms;
}

export interface Stored {
  hardState: HardState;
  snapshot: SnapshotMeta | null;
  entries: Entry[];
}

export interface NodeDisk {
  /** Queues jobs; `done` hears of each after its fsync, in order. */
  persist(jobs: readonly PersistJob[], done: (job: PersistJob) => void): void;
  compact(meta: SnapshotMeta): void;
  setPace(pace: DiskPace): void;
  /** While stuck nothing completes. */
  setStuck(stuck: boolean): void;
  isStuck(): boolean;
  /** The longest that an fsync took which ended after `sinceMs`, or has taken so far. */
  longestFsyncMs(sinceMs: Ms): Ms;
  /** Puts this on the disk, as if it had been written before. */
  preset(stored: Stored): void;
  /** What would be found now, as of the last completed fsync. */
  durable(): Stored;
  durableLastIndex(): LogIndex;
  /** Ends the process: what was being written survives or not, what waited is gone. */
  crash(): 'nothing' | 'hard-state-only' | 'whole batch';
  /** Flips a byte of a stored entry, or of both copies of the hard state; says what it hit. */
  flip(prng: Prng): string | null;
  /** Reads everything back; the text names the damage. */
  open(epoch: EpochId): { restored: Omit<Restored, 'appliedIndex'> } | { damage: string };
}

/** So many of the last fsyncs are remembered with the time they took. */
const rememberedMax = 64;

/** The jobs of the next fsync: up to, and never beyond, one that installs a snapshot. */
function nextBatch(waiting: PersistJob[]): PersistJob[] {
  const install = waiting.findIndex((job) => job.installSnapshot !== null);
  const count = install === 0 ? 1 : install > 0 ? install : waiting.length;
  return waiting.splice(0, count);
}

function writeRecords(stored: Stored, job: PersistJob): void {
  if (job.installSnapshot !== null) {
    stored.snapshot = job.installSnapshot.meta;
    stored.entries = [];
  }
  const base = stored.snapshot?.index ?? 0;
  if (job.cutBackTo !== null) {
    assert(job.cutBackTo >= base, `the log is cut back to ${job.cutBackTo}, below ${base}`);
    stored.entries.length = Math.min(stored.entries.length, job.cutBackTo - base);
  }
  for (const entry of job.append) {
    const next = base + stored.entries.length + 1;
    assert(entry.index === next, `entry ${entry.index} is stored where ${next} is due`);
    stored.entries.push(entry);
  }
}

/** The place and nature of the first damage, or null. */
function findDamage(stored: Stored, epoch: EpochId): string | null {
  let hash = stored.snapshot?.hash ?? chainStart;
  for (const entry of stored.entries) {
    if (!chained(entry, hash, epoch)) return `entry ${entry.index} does not match its hash`;
    hash = entry.hash;
  }
  return null;
}

function flipByte(entry: Entry, prng: Prng): Entry {
  if (entry.data.length === 0) return { ...entry, hash: `${entry.hash.slice(0, 63)}g` };
  const data = new Uint8Array(entry.data);
  const at = prng.int(data.length);
  data[at] = (data[at] as number) ^ (1 << prng.int(8));
  return { ...entry, data };
}

export function createNodeDisk(deps: { queue: EventQueue; prng: Prng }): NodeDisk {
  const { queue, prng } = deps;
  const stored: Stored = { hardState: emptyHardState, snapshot: null, entries: [] };
  let waiting: PersistJob[] = [];
  let writing: PersistJob[] | null = null;
  let told: (job: PersistJob) => void = () => undefined;
  let pace: DiskPace = { fsyncMsMin: 0.1, fsyncMsMax: 1 };
  let stuck = false;
  let startedMs: Ms = 0;
  let ended: { readonly atMs: Ms; readonly tookMs: Ms }[] = [];
  let hardStateDamaged = false;
  /** Completions of an earlier process are void. */
  let life = 0;

  function start(): void {
    if (writing !== null || stuck || waiting.length === 0) return;
    writing = nextBatch(waiting);
    startedMs = queue.nowMs();
    const batch = writing;
    queue.in(prng.range(pace.fsyncMsMin, pace.fsyncMsMax), () => {
      if (writing === batch && !stuck) complete();
    });
  }

  function complete(): void {
    const batch = present(writing, 'a batch that is being written');
    for (const job of batch) if (job.hardState !== null) stored.hardState = job.hardState;
    for (const job of batch) writeRecords(stored, job);
    writing = null;
    const atMs = queue.nowMs();
    ended = [...ended.slice(1 - rememberedMax), { atMs, tookMs: atMs - startedMs }];
    const ofLife = life;
    for (const job of batch) if (ofLife === life) told(job);
    start();
  }

  return {
    persist: (jobs, done) => {
      told = done;
      waiting.push(...jobs);
      start();
    },
    compact: (meta) => {
      const base = stored.snapshot?.index ?? 0;
      if (meta.index <= base) return;
      stored.entries.splice(0, meta.index - base);
      stored.snapshot = meta;
    },
    setPace: (next) => {
      pace = next;
    },
    setStuck: (next) => {
      if (stuck === next) return;
      stuck = next;
      if (stuck) return;
      if (writing !== null) complete();
      else start();
    },
    isStuck: () => stuck,
    longestFsyncMs: (sinceMs) => {
      const recent = ended.filter((fsync) => fsync.atMs > sinceMs).map((fsync) => fsync.tookMs);
      return Math.max(0, ...recent, writing === null ? 0 : queue.nowMs() - startedMs);
    },
    preset: (given) => {
      Object.assign(stored, { ...given, entries: [...given.entries] });
    },
    durable: () => stored,
    durableLastIndex: () => (stored.snapshot?.index ?? 0) + stored.entries.length,
    crash: () => {
      const batch = writing;
      life += 1;
      writing = null;
      waiting = [];
      if (batch === null || batch[0]?.installSnapshot != null) return 'nothing';
      const luck = prng.int(3);
      if (luck === 0) return 'nothing';
      for (const job of batch) if (job.hardState !== null) stored.hardState = job.hardState;
      if (luck === 1) return 'hard-state-only';
      for (const job of batch) writeRecords(stored, job);
      return 'whole batch';
    },
    flip: (random) => {
      if (random.chance(0.15)) {
        hardStateDamaged = true;
        return 'hard state';
      }
      if (stored.entries.length === 0) return null;
      const at = random.int(stored.entries.length);
      const entry = present(stored.entries[at], 'a stored entry');
      stored.entries[at] = flipByte(entry, random);
      return `entry ${entry.index}`;
    },
    open: (epoch) => {
      const damage = hardStateDamaged
        ? 'both copies of the hard state are damaged'
        : findDamage(stored, epoch);
      if (damage !== null) return { damage };
      const { hardState, snapshot, entries } = stored;
      return { restored: { hardState, snapshot, entries: [...entries] } };
    },
  };
}
