/**
 * The replicated state behind one SQLite connection. `apply` is deterministic: the same entries
 * give
 * the same rows, results and digest on every node. Everything time-like or random comes in the
 * entry.
 * The catalog never opens files or threads; the store does and hands the connection in.
 */
import type { LogIndex } from '../base/brand.ts';
import type { Entry } from '../wire/entry.ts';

export interface AppliedResult {
  readonly index: LogIndex;
  /** Encoded CommandResult (wire/command.ts); empty for `empty` and `config` entries. */
  readonly result: Uint8Array;
}

export interface Catalog {
  /**
   * Applies entries in order, all in one transaction with the applied index. Skips none, throws
   * on a gap.
   */
  apply(entries: readonly Entry[]): AppliedResult[];
  appliedIndex(): LogIndex;
  /** Incremental digest over all rows, 64 hex digits: equal states have equal digests. */
  digest(): string;
  /**
   * The whole state as chunks of at most 64 KiB, in one deterministic order; engine-
   * independent.
   */
  dump(): Iterable<Uint8Array>;
  /**
   * Replaces the whole state by a dump; atomic; throws AgentError `damaged` if the dump is not
   * whole.
   */
  restore(chunks: Iterable<Uint8Array>): void;
}
