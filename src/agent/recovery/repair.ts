/**
 * `repair`, on the data folder of a stopped agent: finds out what is damaged and does what is safe
 * for exactly that. A catalog is derived and can be made again, from the log or from another
 * member's backup. A log holds this node's vote: without it the node may never vote under its old
 * key, so it can only come back as a new one, with its blocks.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogIndex } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import { loadIdentity } from '../../mesh/identity.ts';
import type { LogStore } from '../../store/api.ts';
import { type BackupHeader, extractBackup } from '../../store/backup-file.ts';
import { openCatalogStore } from '../../store/catalog-store.ts';
import { openLogStore } from '../../store/log-store.ts';
import { type DataFolder, type MemberFile, openDataFolder } from '../data-folder.ts';
import { clashFile, readClashMark } from '../trust/clash-watch.ts';
import { archiveName, beginChange, prepared } from './folder-change.ts';
import { memberOf } from './new-epoch.ts';
import { installCatalog } from './seed.ts';

export interface RepairOptions {
  readonly data: string;
  /** A backup of another member of this cluster and epoch. */
  readonly from: string | null;
  /** Whether the node may give up its key. */
  readonly asNewNode: boolean;
  readonly wallMs: number;
}

export interface Repaired {
  readonly name: string;
  /** What was found, in words; null: nothing is damaged. */
  readonly damage: string | null;
  readonly done: 'nothing' | 'catalog-from-log' | 'catalog-from-backup' | 'new-node';
  readonly archive: string | null;
  /** What a person has to do now. */
  readonly next: string;
}

/** The text of a `damaged` error; anything else is not for a repair to judge. */
function damageOf(thrown: unknown): string {
  const error = asAgentError(thrown);
  if (error.code !== 'damaged') throw thrown;
  return error.message;
}

async function openOwnLog(folder: DataFolder, member: MemberFile): Promise<LogStore> {
  const { peerId } = await loadIdentity(folder.path, { create: false });
  return openLogStore({
    dir: folder.logDir,
    clusterId: member.clusterId,
    epoch: member.epoch,
    identity: peerId,
    mustExist: true,
  });
}

async function catalogDamage(folder: DataFolder, log: LogStore): Promise<string | null> {
  try {
    const catalog = await openCatalogStore({ dir: folder.catalogDir, log });
    try {
      await catalog.verify();
      return null;
    } finally {
      await catalog.close();
    }
  } catch (thrown) {
    return damageOf(thrown);
  }
}

/** The key and all that was given to it or depends on it; the blocks stay. */
const asNewFiles = [
  ...['identity.key', 'certificate.jwt', 'authority.json', 'authority.key', 'incarnation'],
  'authority.next.key',
  ...['log', 'catalog', 'incoming', clashFile],
];

function becomeNew(folder: DataFolder, options: RepairOptions, damage: string): Repaired {
  const name = folder.node()?.name ?? 'this node';
  if (!options.asNewNode)
    throw new AgentError(
      'damaged',
      `${damage}. The log holds this node's vote, so ${name} can't come back under its key. ` +
        'With --as-new-node key, log and catalog are archived and the blocks kept; then forget ' +
        `${name} in the cluster and let it join anew`,
    );
  const what = 'as-new-node';
  const archive = beginChange(folder.path, {
    version: 1,
    what,
    archive: archiveName(what, options.wallMs),
    moves: asNewFiles.filter((file) => existsSync(join(folder.path, file))),
    node: null,
  });
  const next = `forget ${name} in the cluster, then join with a new token: bellwether join TOKEN`;
  return { name, damage, done: 'new-node', archive, next };
}

/** The log's hash at `index`, if it reaches there. */
function hashAt({ restored }: LogStore, index: LogIndex): string | null {
  if (restored.snapshot?.index === index) return restored.snapshot.hash;
  return restored.entries.find((entry) => entry.index === index)?.hash ?? null;
}

/** Refuses a backup that this node's log can't go on from. */
function checkFits(header: BackupHeader, member: MemberFile, log: LogStore): void {
  const { clusterId, epoch, meta } = header;
  if (clusterId !== member.clusterId)
    throw new AgentError('cluster-mismatch', `the backup is of cluster ${clusterId}`);
  if (epoch !== member.epoch)
    throw new AgentError('epoch-mismatch', `the backup is of epoch ${epoch}, not ${member.epoch}`);
  if (meta.index < log.startIndex())
    throw new AgentError(
      'conflict',
      `the backup is at entry ${meta.index}, this log starts after ${log.startIndex()}: ` +
        'take a newer one',
    );
  const own = hashAt(log, meta.index);
  if (meta.index <= log.lastIndex() && own !== meta.hash)
    throw new AgentError(
      'damaged',
      `entry ${meta.index} has hash ${own} in this log and ${meta.hash} in the backup`,
    );
}

async function prepareFromBackup(folder: DataFolder, log: LogStore, file: string): Promise<void> {
  const work = prepared(folder.path, 'repair');
  await mkdir(work, { mode: 0o700 });
  try {
    const { header, catalogPath } = await extractBackup(file, work);
    checkFits(header, memberOf(folder), log);
    await installCatalog(prepared(folder.path, 'catalog'), catalogPath);
    // Further than this log: as a snapshot from the leader would, it replaces the log. The vote and
    // the lease stay as they are.
    if (header.meta.index > log.lastIndex()) {
      const installSnapshot = { meta: header.meta, ref: file };
      await log.persist([{ id: 1, hardState: null, cutBackTo: null, append: [], installSnapshot }]);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

type Verdict = Pick<Repaired, 'damage' | 'done'>;

/** Looks at the catalog and prepares another one where it is damaged. */
async function judgeCatalog(
  folder: DataFolder,
  log: LogStore,
  from: string | null,
): Promise<Verdict> {
  const damage = await catalogDamage(folder, log);
  if (damage === null) return { damage, done: 'nothing' };
  if (log.startIndex() === 0) return { damage, done: 'catalog-from-log' };
  if (from === null)
    throw new AgentError(
      'damaged',
      `${damage}. The log was cut after entry ${log.startIndex()}, so the catalog can't be made ` +
        'from it alone: take a backup from another member (`bellwether backup FILE --url URL`) ' +
        'and give it with --from FILE',
    );
  await prepareFromBackup(folder, log, from);
  return { damage, done: 'catalog-from-backup' };
}

export async function repair(options: RepairOptions): Promise<Repaired> {
  const folder = openDataFolder(options.data);
  try {
    const member = memberOf(folder);
    const { name } = member;
    const clash = readClashMark(folder.path);
    if (clash !== null) {
      const where = clash.address === null ? '' : `, seen at ${clash.address}`;
      const text = `another machine ran with the key of ${name} on ${clash.at}${where}`;
      return becomeNew(folder, options, text);
    }
    let log: LogStore;
    try {
      log = await openOwnLog(folder, member);
    } catch (thrown) {
      return becomeNew(folder, options, damageOf(thrown));
    }
    let verdict: Verdict;
    try {
      verdict = await judgeCatalog(folder, log, options.from);
    } finally {
      await log.close();
    }
    const next = `start the agent of ${name}`;
    if (verdict.done === 'nothing') return { name, ...verdict, archive: null, next };
    const what = 'repair';
    const archive = beginChange(folder.path, {
      version: 1,
      what,
      archive: archiveName(what, options.wallMs),
      moves: ['catalog'],
      node: member,
    });
    return { name, ...verdict, archive, next };
  } finally {
    folder.release();
  }
}
