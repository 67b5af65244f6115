/**
 * What the agent asks of the store. The log and the hard state are segment files of our own; the
 * catalog is a SQLite file with one writer thread and reader threads.
 */
import type { LogIndex } from '../base/brand.ts';
import type { AppliedResult } from '../catalog/api.ts';
import type { PersistJob, Restored, SnapshotMeta } from '../consensus/api.ts';
import type { Entry } from '../wire/entry.ts';

/** How the log was found at the start; everything that was not perfect is named and shown. */
export interface OpenReport {
  /** Bytes and entries of the last batch that were torn and cut away. */
  readonly tornBytes: number;
  readonly tornEntries: number;
  /** True when one of the two copies of the hard state was mended from the other. */
  readonly hardStateMended: boolean;
  readonly notes: readonly string[];
}

export interface LogStore {
  readonly report: OpenReport;
  /** Hard state, snapshot position and entries as found at open. */
  readonly restored: Omit<Restored, 'appliedIndex'>;
  /** Does the jobs in order with one fdatasync for all; resolves when everything is durable. */
  persist(jobs: readonly PersistJob[]): Promise<void>;
  /**
   * Forgets whole segments up to `meta.index`; the position is durable before anything is
   * deleted.
   */
  compact(meta: SnapshotMeta): Promise<void>;
  /** Index of the snapshot or catalog state that the log starts after; 0: it starts at entry 1. */
  startIndex(): LogIndex;
  /** Last index that is durable here. */
  lastIndex(): LogIndex;
  /** Mean and maximum duration of recent fsyncs, ms, and what waits now. */
  stats(): {
    fsyncMsMean: number;
    fsyncMsMax: number;
    waiting: number;
    segments: number;
    bytes: number;
  };
  close(): Promise<void>;
}

export interface CatalogStore {
  appliedIndex(): LogIndex;
  /** One at a time; the writer thread commits them with the applied index in one transaction. */
  apply(entries: readonly Entry[]): Promise<AppliedResult[]>;
  /** A named query (catalog/queries.ts) on a reader thread. */
  query(name: string, args: unknown): Promise<{ value: unknown; appliedIndex: LogIndex }>;
  digest(): Promise<string>;
  /** Makes everything applied so far durable (fsync); returns that index. */
  checkpoint(): Promise<LogIndex>;
  /** Reads every row on a reader thread; rejects with `damaged` if one isn't what was written. */
  verify(): Promise<void>;
  /** Writes a consistent snapshot file (chunks + SHA-256) and resolves with its path and facts. */
  snapshot(): Promise<{ path: string; index: LogIndex; bytes: number; sha256: string }>;
  /** Replaces the catalog by a snapshot file that was verified; durable when it resolves. */
  install(path: string): Promise<LogIndex>;
  close(): Promise<void>;
}
