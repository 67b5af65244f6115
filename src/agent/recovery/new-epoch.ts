/**
 * A new epoch by force, on the data folder of a stopped agent: everything in the log is applied,
 * whether or not a majority ever had it, and a log of a new epoch goes on from there with this node
 * as its only voter. The old log is archived. All old members stay members, so that they keep names
 * and allocations and can come back by `rejoin`; their messages of the old epoch are refused.
 */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { EpochId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { SnapshotMeta } from '../../consensus/api.ts';
import {
  decodeConfiguration,
  emptyConfiguration,
  stateVersionKnown,
  stateVersionOf,
} from '../../wire/configuration.ts';
import { chainStart, type Entry } from '../../wire/entry.ts';
import { type DataFolder, type MemberFile, openDataFolder } from '../data-folder.ts';
import { openStores, type Stores } from '../stores.ts';
import { archiveName, beginChange, prepared } from './folder-change.ts';
import { seedLog } from './seed.ts';

const batchEntriesMax = 512;

/** Puts everything that the log holds into the catalog. */
async function applyAll(stores: Stores): Promise<void> {
  const { entries } = stores.log.restored;
  const missing = entries.filter(({ index }) => index > stores.catalog.appliedIndex());
  for (let at = 0; at < missing.length; at += batchEntriesMax)
    await stores.catalog.apply(missing.slice(at, at + batchEntriesMax));
  await stores.catalog.checkpoint();
}

/** The end of the log, and the last configuration in it. */
function endOf(stores: Stores) {
  const { entries, snapshot, hardState } = stores.log.restored;
  const last: Pick<SnapshotMeta, 'index' | 'term' | 'hash'> = entries.at(-1) ??
    snapshot ?? { index: 0, term: 0, hash: chainStart };
  const changed = entries.findLast((entry: Entry) => entry.kind === 'config');
  const configuration =
    changed === undefined ? snapshot?.configuration : decodeConfiguration(changed.data);
  const { index, hash, term } = last;
  const { term: termMin, leaseMsLongest } = hardState;
  return { after: { index, term, hash }, configuration, termMin, leaseMsLongest };
}

export function memberOf(folder: DataFolder): MemberFile {
  const node = folder.node();
  if (node?.state === 'member') return node;
  throw new AgentError('bad-request', `${folder.path} belongs to no member of a cluster`);
}

export function openOwnStores(folder: DataFolder, member: MemberFile, identity: string) {
  return openStores({
    catalogDir: folder.catalogDir,
    log: {
      dir: folder.logDir,
      clusterId: member.clusterId,
      epoch: member.epoch,
      identity,
      mustExist: true,
    },
  });
}

/** Answers where the old log is archived. */
export async function forceNewEpoch(
  data: string,
  options: { readonly epoch: EpochId; readonly identity: string; readonly wallMs: number },
): Promise<string> {
  const folder = openDataFolder(data);
  try {
    const member = memberOf(folder);
    const stores = await openOwnStores(folder, member, options.identity);
    let snapshotPath: string;
    let end: ReturnType<typeof endOf>;
    try {
      end = endOf(stores);
      if (stateVersionOf(end.configuration ?? emptyConfiguration) > stateVersionKnown)
        throw new AgentError('conflict', 'its log is of a later version than this program');
      await applyAll(stores);
      snapshotPath = (await stores.catalog.snapshot()).path;
    } finally {
      await stores.close();
    }
    // The catalog stays where it is; the archive gets what it was.
    renameSync(snapshotPath, join(folder.path, 'catalog.snapshot'));
    const configuration = end.configuration ?? emptyConfiguration;
    const certificate = configuration.members.find(({ peerId }) => peerId === options.identity);
    if (certificate === undefined || !certificate.votes || !certificate.leads)
      throw new AgentError(
        'forbidden',
        `${member.name} may not lead: recover on a master or worker`,
      );
    const { epoch } = options;
    await seedLog(prepared(folder.path, 'log'), {
      clusterId: member.clusterId,
      epoch,
      certificate,
      configuration,
      after: end.after,
      termMin: end.termMin,
      leaseMsLongest: end.leaseMsLongest,
    });
    const what = 'new-epoch';
    return beginChange(folder.path, {
      version: 1,
      what,
      archive: archiveName(what, options.wallMs),
      moves: ['log', 'catalog.snapshot'],
      node: {
        ...member,
        epoch,
        epochNumber: member.epochNumber + 1,
        parentEpoch: member.epoch,
        pastEpochs: [...member.pastEpochs, member.epoch],
        certificate,
        bootstrap: false,
      },
    });
  } finally {
    folder.release();
  }
}
