/**
 * What the store's tests share: entries with a true chain, persist jobs, a passing folder.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HardState, PersistJob, SnapshotMeta } from '../../../src/consensus/api.ts';
import { type LogStoreOptions, openLogStore } from '../../../src/store/log-store.ts';
import { chainStart, type Entry, makeEntry } from '../../../src/wire/entry.ts';

export const epoch = 'e'.repeat(32);
export const clusterId = 'c'.repeat(32);
export const identity = '12D3KooWTestIdentity';

/** Entries `from`..`to` after `previous`; the data tells index and term. */
export function entries(
  from: number,
  to: number,
  options: { previous?: string; term?: number; bytes?: number } = {},
): Entry[] {
  const { term = 1, bytes = 40 } = options;
  let previousHash = options.previous ?? chainStart;
  const out: Entry[] = [];
  for (let index = from; index <= to; index++) {
    const data = Buffer.alloc(bytes, `entry ${index} of term ${term}. `);
    const entry = makeEntry({ previousHash, epoch, index, term, kind: 'command', data });
    previousHash = entry.hash;
    out.push(entry);
  }
  return out;
}

export function hardState(term: number, vote: string | null = null): HardState {
  return { term, vote, leaseMsLongest: 500, fence: 0 };
}

let lastId = 0;

export function job(parts: Partial<PersistJob> = {}): PersistJob {
  lastId += 1;
  const nothing = { hardState: null, cutBackTo: null, append: [], installSnapshot: null };
  return { ...nothing, ...parts, id: lastId };
}

export function metaAt(entry: Entry): SnapshotMeta {
  const configuration = { members: [], voters: ['a', 'b', 'c'], outgoing: null };
  const { index, term, hash } = entry;
  return { clusterId, epoch, index, term, hash, configuration, configurationIndex: 1 };
}

export async function withFolder<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-store-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export const openAt = (dir: string, options: Partial<LogStoreOptions> = {}) =>
  openLogStore({ dir: join(dir, 'log'), clusterId, epoch, identity, ...options });
