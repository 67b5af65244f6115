/**
 * Makes a log and catalog that begin with the state of a catalog snapshot, or with a catalog that
 * is there already, in an epoch of its own: how a restored cluster and a new epoch begin. The first
 * entry is the new configuration, so that the catalog learns of it as of any other.
 */

import type { EpochId, LogIndex, Ms, Term } from '../../base/brand.ts';
import type { Configuration, SnapshotMeta } from '../../consensus/api.ts';
import { openCatalogStore } from '../../store/catalog-store.ts';
import { openLogStore } from '../../store/log-store.ts';
import { encodeConfiguration } from '../../wire/configuration.ts';
import { makeEntry } from '../../wire/entry.ts';
import { type Certificate, rankOf, rightsOf } from '../../wire/member.ts';

export interface Origin {
  readonly clusterId: string;
  readonly epoch: EpochId;
  readonly certificate: Certificate;
  /** Who belongs, and whatever else is kept; only the certificate's owner votes. */
  readonly configuration: Configuration;
  /** Where the state is that it begins with, in the log that it comes from. */
  readonly after: Pick<SnapshotMeta, 'index' | 'term' | 'hash'>;
  /** The new log begins above this term. */
  readonly termMin: Term;
  /** The longest lease ever acknowledged by this node's earlier log. */
  readonly leaseMsLongest: Ms;
}

/** The record of a master that begins a cluster. */
export function firstMaster(peerId: string, name: string): Certificate {
  const role = 'master';
  return { peerId, name, role, rank: rankOf(role), zone: 'default', ...rightsOf(role, true) };
}

/** A log in `dir`, which must be empty, with the configuration as its one entry. */
export async function seedLog(dir: string, origin: Origin): Promise<void> {
  const { clusterId, epoch, certificate, after } = origin;
  const { peerId } = certificate;
  const configuration: Configuration = {
    ...origin.configuration,
    voters: [peerId],
    outgoing: null,
    leaving: [],
  };
  const term = Math.max(after.term, origin.termMin) + 1;
  const hardState = { term, vote: peerId, leaseMsLongest: origin.leaseMsLongest, fence: 0 };
  const { index, hash } = after;
  const meta: SnapshotMeta = {
    clusterId,
    epoch,
    index,
    term: after.term,
    hash,
    configuration,
    configurationIndex: index,
  };
  const log = await openLogStore({
    dir,
    clusterId,
    epoch,
    identity: peerId,
    seed: { meta, hardState },
  });
  try {
    const data = encodeConfiguration(configuration);
    const input = { previousHash: hash, epoch, index: index + 1, term, kind: 'config' as const };
    const append = [makeEntry({ ...input, data })];
    await log.persist([{ id: 1, hardState: null, cutBackTo: null, append, installSnapshot: null }]);
  } finally {
    await log.close();
  }
}

/** What a catalog folder holds, read back whole. */
export interface CatalogFacts {
  readonly index: LogIndex;
  readonly digest: string;
  readonly pins: readonly string[];
}

const pageLimit = 500;

/** Replaces the catalog in `dir` by a snapshot, or makes it of one, and reads it back. */
export async function installCatalog(dir: string, snapshot: string): Promise<CatalogFacts> {
  // The log that it belongs to is elsewhere, or not made yet: it takes the installation as it is.
  let at: LogIndex = 0;
  const log = { startIndex: () => at, lastIndex: () => at };
  const catalog = await openCatalogStore({ dir, log });
  try {
    const index = await catalog.install(snapshot);
    at = index;
    await catalog.checkpoint();
    await catalog.verify();
    const pins: string[] = [];
    let after: string | null = null;
    do {
      const { value } = await catalog.query('pins.list', { after, limit: pageLimit });
      const page = value as { pins: { cid: string }[]; next: string | null };
      pins.push(...page.pins.map(({ cid }) => cid));
      after = page.next;
    } while (after !== null);
    return { index, digest: await catalog.digest(), pins };
  } finally {
    await catalog.close();
  }
}
