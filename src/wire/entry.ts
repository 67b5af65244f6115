/**
 * A log entry and the chain that ties it to its past. The hash covers the stored bytes, never a
 * re-encoding, together with epoch, index, term and the previous hash: equal (index, term) with
 * another hash is corruption.
 */
import { hash as digest } from 'node:crypto';
import type { EpochId, LogIndex, Term } from '../base/brand.ts';

/** `empty` opens a term, `config` changes the configuration, `command` is for the catalog. */
export const entryKinds = ['empty', 'config', 'command'] as const;
export type EntryKind = (typeof entryKinds)[number];

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
  /**
   * 32 bytes, lower-case hex: SHA-256 over the previous hash, epoch, index, term, kind and
   * data.
   */
  readonly hash: string;
}

/** The hash "before the log" of an epoch: what entry 1 is chained to. */
export const chainStart = '0'.repeat(64);

/** Largest `data` of one entry, bytes. */
export const entryBytesMax = 1024 * 1024;

export interface ChainInput {
  previousHash: string;
  epoch: EpochId;
  index: LogIndex;
  term: Term;
  kind: EntryKind;
  data: Uint8Array;
}

/** The chain hash of an entry. */
export function chainHash(input: ChainInput): string {
  const head = Buffer.from(
    `${input.previousHash}|${input.epoch}|${input.index}|${input.term}|${input.kind}|`,
    'latin1',
  );
  return digest('sha256', Buffer.concat([head, input.data]), 'hex');
}

/** A new entry chained to `previousHash`. */
export function makeEntry(input: ChainInput): Entry {
  const { index, term, kind, data } = input;
  return { index, term, kind, data, hash: chainHash(input) };
}

/** Whether `entry` really follows `previousHash` in `epoch`. */
export function chained(entry: Entry, previousHash: string, epoch: EpochId): boolean {
  return entry.hash === chainHash({ previousHash, epoch, ...entry });
}
