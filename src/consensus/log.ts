/**
 * The log in memory: everything after `base`, whether durable or not. The configuration in force is
 * the newest one in the log, committed or not; it is kept here because cutting back must undo it.
 *
 * Invariants: indexes are consecutive; every entry is chained to the one before it; `durable` never
 * exceeds the last index and never counts an entry that a later cut has replaced.
 */
import { assert, present } from '../base/assert.ts';
import type { EpochId, LogIndex, Term } from '../base/brand.ts';
import {
  type Configuration,
  decodeConfiguration,
  emptyConfiguration,
  stateVersionKnown,
  stateVersionOf,
} from '../wire/configuration.ts';
import { chainStart, type Entry, type EntryKind, makeEntry } from '../wire/entry.ts';

export interface Base {
  readonly index: LogIndex;
  readonly term: Term;
  readonly hash: string;
  readonly configuration: Configuration;
  readonly configurationIndex: LogIndex;
}

interface Configured {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

const entryCostBytes = 64;

export class Log {
  readonly epoch: EpochId;
  /** The newest state that this node's program understands. */
  readonly stateVersion: number;
  base: Base;
  durable: LogIndex;
  bytes = 0;
  #entries: Entry[] = [];
  #configurations: Configured[];

  constructor(
    epoch: EpochId,
    base: Base,
    entries: readonly Entry[],
    stateVersion: number = stateVersionKnown,
  ) {
    this.epoch = epoch;
    this.stateVersion = stateVersion;
    this.base = base;
    this.#configurations = [{ index: base.configurationIndex, configuration: base.configuration }];
    for (const entry of entries) this.push(entry);
    this.durable = this.lastIndex;
  }

  get firstIndex(): LogIndex {
    return this.base.index + 1;
  }

  get lastIndex(): LogIndex {
    return this.base.index + this.#entries.length;
  }

  get lastTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.base.term;
  }

  get lastHash(): string {
    return this.#entries.at(-1)?.hash ?? this.base.hash;
  }

  get configured(): Configured {
    return present(this.#configurations.at(-1), 'a configuration');
  }

  get configuration(): Configuration {
    return this.configured.configuration;
  }

  /**
   * How far this program understands the log: up to before the first configuration whose entries
   * make a state that it doesn't know. Whoever applied further would make another state of them.
   */
  get understood(): LogIndex {
    const beyond = this.#configurations.find(
      ({ configuration }) => stateVersionOf(configuration) > this.stateVersion,
    );
    return beyond === undefined ? this.lastIndex : beyond.index - 1;
  }

  /** The configuration that was in force at `index`. */
  configuredAt(index: LogIndex): Configured {
    return present(
      this.#configurations.findLast((item) => item.index <= index),
      `a configuration at ${index}`,
    );
  }

  get(index: LogIndex): Entry | null {
    return this.#entries[index - this.base.index - 1] ?? null;
  }

  /** null where the log does not reach. */
  termAt(index: LogIndex): Term | null {
    return index === this.base.index ? this.base.term : (this.get(index)?.term ?? null);
  }

  hashAt(index: LogIndex): string | null {
    return index === this.base.index ? this.base.hash : (this.get(index)?.hash ?? null);
  }

  /** Whether (lastTerm, lastIndex) is at least as up to date as this log. */
  covers(lastTerm: Term, lastIndex: LogIndex): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Whether (lastTerm, lastIndex) is strictly more up to date than this log. */
  isBehind(lastTerm: Term, lastIndex: LogIndex): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex > this.lastIndex);
  }

  /** Entries from `from` on, at least one if there is one, within both limits. */
  slice(from: LogIndex, to: LogIndex, countMax: number, bytesMax: number): Entry[] {
    const start = from - this.base.index - 1;
    assert(start >= 0, `entry ${from} is still in the log`);
    const stop = Math.min(to - this.base.index, this.#entries.length, start + countMax);
    let end = start;
    let bytes = 0;
    while (end < stop) {
      bytes += present(this.#entries[end], 'an entry').data.length + entryCostBytes;
      if (bytes > bytesMax && end > start) break;
      end += 1;
    }
    return this.#entries.slice(start, end);
  }

  append(term: Term, kind: EntryKind, data: Uint8Array): Entry {
    const entry = makeEntry({
      previousHash: this.lastHash,
      epoch: this.epoch,
      index: this.lastIndex + 1,
      term,
      kind,
      data,
    });
    this.push(entry);
    return entry;
  }

  push(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} follows ${this.lastIndex}`);
    assert(entry.term >= this.lastTerm, `terms do not fall at ${entry.index}`);
    this.#entries.push(entry);
    this.bytes += entry.data.length + entryCostBytes;
    if (entry.kind === 'config')
      this.#configurations.push({
        index: entry.index,
        configuration: decodeConfiguration(entry.data),
      });
  }

  cutBackTo(index: LogIndex): void {
    assert(index >= this.base.index, `cut back to ${index} stays above the base`);
    for (const entry of this.#entries.splice(index - this.base.index))
      this.bytes -= entry.data.length + entryCostBytes;
    this.durable = Math.min(this.durable, index);
    while (this.#configurations.length > 1 && this.configured.index > index)
      this.#configurations.pop();
  }

  /** Forgets entries up to `index`, which is applied and fsynced. */
  compactTo(index: LogIndex): void {
    if (index <= this.base.index) return;
    const base = this.baseAt(index);
    for (const entry of this.#entries.splice(0, index - this.base.index))
      this.bytes -= entry.data.length + entryCostBytes;
    this.base = base;
    while (this.#configurations.length > 1) {
      const second = present(this.#configurations[1], 'a configuration');
      if (second.index > index) break;
      this.#configurations.shift();
    }
  }

  /** Where to cut so that what stays is within both limits, but never above `upTo`. */
  cutFor(upTo: LogIndex, countMax: number, bytesMax: number): LogIndex {
    let index = Math.min(upTo, Math.max(this.base.index, this.lastIndex - countMax));
    let bytes = this.bytes;
    for (let i = this.firstIndex; i <= index; i += 1)
      bytes -= present(this.get(i), 'an entry').data.length + entryCostBytes;
    while (bytes > bytesMax && index < upTo) {
      index += 1;
      bytes -= present(this.get(index), 'an entry').data.length + entryCostBytes;
    }
    return index;
  }

  /** Replaces everything by a snapshot, which is not durable yet. */
  reset(base: Base): void {
    this.base = base;
    this.#entries = [];
    this.bytes = 0;
    this.durable = 0;
    this.#configurations = [{ index: base.configurationIndex, configuration: base.configuration }];
  }

  baseAt(index: LogIndex): Base {
    const { index: configurationIndex, configuration } = this.configuredAt(index);
    return {
      index,
      term: present(this.termAt(index), `the term of ${index}`),
      hash: present(this.hashAt(index), `the hash of ${index}`),
      configuration,
      configurationIndex,
    };
  }
}

/** The base of a log that begins at entry 1. */
export function emptyBase(): Base {
  return {
    index: 0,
    term: 0,
    hash: chainStart,
    configuration: emptyConfiguration,
    configurationIndex: 0,
  };
}
