/**
 * The persist queue and the apply queue. Each takes whatever has gathered while it was busy as one
 * batch: one fsync, one transaction. They run side by side; only the installation of a snapshot
 * waits for the running apply, because it replaces what that writes to, and it reaches the catalog
 * before the log forgets what led there. After a failed write nothing more is written: the pages
 * that the kernel gave up on can't be trusted to have been kept.
 */
import type { LogIndex } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { AppliedResult } from '../catalog/api.ts';
import type { PersistJob, SnapshotMeta } from '../consensus/api.ts';
import type { CatalogStore, LogStore } from '../store/api.ts';
import type { Entry } from '../wire/entry.ts';

/** Entries in one transaction of the catalog; keeps one apply below its 50 ms. */
const applyEntriesMax = 1024;
/** Where nobody waits for it, what is to be applied gathers: so long, or until it is so much. */
const gatherMs = 10;
const gatherEntriesMax = 256;
/** Jobs in one fsync. */
const persistJobsMax = 1024;

type AppliedListener = (index: LogIndex, results: readonly AppliedResult[]) => void;

export interface StorageQueues {
  persist(job: PersistJob): void;
  /** `soon`: somebody waits for these entries or for earlier ones. */
  apply(entries: readonly Entry[], soon: boolean): void;
  compact(meta: SnapshotMeta): void;
  onPersisted(listener: (id: number, lastIndex: LogIndex | null) => void): void;
  onApplied(listener: AppliedListener): void;
  onFailed(listener: (detail: string) => void): void;
  /** Resolves when both queues are empty or have failed. */
  idle(): Promise<void>;
  failure(): string | null;
  waiting(): { persist: number; apply: number };
}

export interface StorageDeps {
  readonly log: LogStore;
  readonly catalog: CatalogStore;
  /** Called after a snapshot was installed, e.g. to delete the file it came in. */
  readonly onInstalled: (ref: string) => void;
  readonly onCompacted: (index: LogIndex) => void;
}

export function createStorageQueues(deps: StorageDeps): StorageQueues {
  const { log, catalog } = deps;
  let jobs: PersistJob[] = [];
  let entries: Entry[] = [];
  let persisting: Promise<void> | null = null;
  let applying: Promise<void> | null = null;
  let compacting: Promise<void> | null = null;
  let gathering: NodeJS.Timeout | null = null;
  let soon = true;
  let failed: string | null = null;
  let persisted = (_id: number, _lastIndex: LogIndex | null): void => undefined;
  let applied: AppliedListener = () => undefined;
  let onFailed = (_detail: string): void => undefined;

  const fail = (what: string, thrown: unknown): void => {
    if (failed !== null) return;
    const error = asAgentError(thrown);
    failed = `${what}: ${error.message}`;
    jobs = [];
    entries = [];
    onFailed(failed);
  };

  /** The jobs of the next fsync: up to, and never beyond, one that installs a snapshot. */
  function nextJobs(): PersistJob[] {
    const install = jobs.findIndex((job) => job.installSnapshot !== null);
    const count = install === 0 ? 1 : install > 0 ? install : jobs.length;
    return jobs.splice(0, Math.min(count, persistJobsMax));
  }

  /** A job with a snapshot is alone in its batch (see `nextJobs`). */
  async function writeBatch(batch: readonly PersistJob[]): Promise<void> {
    const install = batch[0]?.installSnapshot ?? null;
    if (install !== null) {
      await appliedAll();
      const index = await catalog.install(install.ref);
      if (index !== install.meta.index)
        throw new AgentError(
          'damaged',
          `snapshot ${install.ref} is of ${index}, not of ${install.meta.index}`,
        );
    }
    await log.persist(batch);
    if (install !== null) deps.onInstalled(install.ref);
  }

  async function runPersist(): Promise<void> {
    while (jobs.length > 0 && failed === null) {
      const batch = nextJobs();
      try {
        await writeBatch(batch);
        for (const job of batch) persisted(job.id, job.append.at(-1)?.index ?? null);
        startApply();
      } catch (error) {
        fail('the log could not be written', error);
      }
    }
    // Cleared in the same turn as the last look at the queue: a job pushed later starts anew.
    persisting = null;
  }

  /** The next entries that are durable in the own log; the catalog never gets ahead of it. */
  function nextEntries(): Entry[] {
    const durable = log.lastIndex();
    const beyond = entries.findIndex((entry) => entry.index > durable);
    return entries.splice(0, Math.min(applyEntriesMax, beyond < 0 ? entries.length : beyond));
  }

  const mayGather = (): boolean => !soon && entries.length < gatherEntriesMax;

  /** Not before there is something to do: a run that never waits would end before it is noted. */
  function startApply(): void {
    const next = entries[0];
    if (applying !== null || next === undefined || next.index > log.lastIndex()) return;
    if (mayGather()) gathering ??= setTimeout(applyGathered, gatherMs);
    else applyGathered();
  }

  function applyGathered(): void {
    if (gathering !== null) clearTimeout(gathering);
    gathering = null;
    applying ??= runApply();
  }

  async function runApply(): Promise<void> {
    let batch = nextEntries();
    while (batch.length > 0 && failed === null) {
      try {
        const results = await catalog.apply(batch);
        applied(batch.at(-1)?.index ?? 0, results);
      } catch (error) {
        fail('the catalog could not be written', error);
      }
      batch = mayGather() ? [] : nextEntries();
    }
    applying = null;
    startApply();
  }

  /** Resolves when nothing is left to apply. */
  async function appliedAll(): Promise<void> {
    soon = true;
    startApply();
    await applying;
  }

  return {
    persist: (job) => {
      if (failed !== null) return;
      jobs.push(job);
      persisting ??= runPersist();
    },
    apply: (more, isSoon) => {
      if (failed !== null) return;
      soon = isSoon;
      for (const entry of more) entries.push(entry);
      startApply();
    },
    compact: (meta) => {
      if (failed !== null || compacting !== null) return;
      compacting = log
        .compact(meta)
        .then(() => deps.onCompacted(meta.index))
        .catch((error: unknown) => fail('the log could not be compacted', error))
        .finally(() => {
          compacting = null;
        });
    },
    onPersisted: (listener) => {
      persisted = listener;
    },
    onApplied: (listener) => {
      applied = listener;
    },
    onFailed: (listener) => {
      onFailed = listener;
    },
    idle: async () => {
      while (persisting !== null || applying !== null || compacting !== null || gathering !== null)
        await Promise.all([persisting, appliedAll(), compacting]);
    },
    failure: () => failed,
    waiting: () => ({ persist: jobs.length, apply: entries.length }),
  };
}
