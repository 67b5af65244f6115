/**
 * What can be done with a backup file: reading it back whole, and making of it the data folder of
 * the first master of a new cluster. The folder is built beside and gets its name when it has been
 * read back, so there is never half a one. It shares nothing with the old cluster but the state:
 * cluster id, epoch, identity key, network key and authority are new.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AgentError } from '../../base/error.ts';
import { type CarFacts, readCar } from '../../content/car-file.ts';
import { importBlocks } from '../../content/content-storage.ts';
import { loadIdentity, writeDurably } from '../../mesh/identity.ts';
import { loadNetworkKey } from '../../mesh/network-key.ts';
import { type ExtractedBackup, extractBackup } from '../../store/backup-file.ts';
import { createDisk } from '../../store/disk.ts';
import { emptyConfiguration } from '../../wire/configuration.ts';
import type { MemberFile } from '../data-folder.ts';
import { makeFolder } from '../make-folder.ts';
import { openStores } from '../stores.ts';
import { makeAuthority } from '../trust/founding.ts';
import { type CatalogFacts, firstMaster, installCatalog, seedLog } from './seed.ts';

export interface BackupFacts {
  readonly createdAt: string;
  readonly clusterId: string;
  readonly epoch: string;
  readonly epochNumber: number;
  readonly index: number;
  readonly digest: string;
  readonly linearizable: boolean;
  readonly node: string;
  readonly members: number;
  readonly pins: number;
  /** Null: made without blocks. */
  readonly blocks: number | null;
  readonly blockBytes: number;
  readonly pinsWithBlocks: number;
}

function factsOf(
  { header }: ExtractedBackup,
  catalog: CatalogFacts,
  car: CarFacts | null,
): BackupFacts {
  const { createdAt, clusterId, epoch, epochNumber, meta, linearizable, node } = header;
  return {
    createdAt,
    clusterId,
    epoch,
    epochNumber,
    index: meta.index,
    digest: catalog.digest,
    linearizable,
    node: node.name,
    members: meta.configuration.members.length,
    pins: catalog.pins.length,
    blocks: car?.blocks ?? null,
    blockBytes: car?.bytes ?? 0,
    pinsWithBlocks: car?.roots.length ?? 0,
  };
}

/** Reads the file back and puts its catalog into `dir`; throws `damaged` naming what is wrong. */
async function unpack(file: string, dir: string) {
  const extracted = await extractBackup(file, dir);
  const catalog = await installCatalog(join(dir, 'catalog'), extracted.catalogPath);
  const { meta } = extracted.header;
  if (catalog.index !== meta.index)
    throw new AgentError(
      'damaged',
      `backup ${file}: its catalog is at entry ${catalog.index}, its header says ${meta.index}`,
    );
  await rm(extracted.catalogPath);
  return { extracted, catalog };
}

/** Reads a backup back as a restore would, beside it, and leaves nothing behind. */
export async function verifyBackup(file: string): Promise<BackupFacts> {
  if (!existsSync(file)) throw new AgentError('not-found', `there is no file ${file}`);
  const dir = await mkdtemp(join(dirname(resolve(file)), '.bellwether-verify-'));
  try {
    const { extracted, catalog } = await unpack(file, dir);
    const { blocksPath } = extracted;
    const car =
      blocksPath === null
        ? null
        : await readCar(createReadStream(blocksPath), async () => undefined);
    return factsOf(extracted, catalog, car);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function mustBeEmpty(data: string): Promise<void> {
  if (!existsSync(data)) return;
  const found = await readdir(data);
  if (found.length > 0)
    throw new AgentError(
      'bad-request',
      `${data} is not empty (${found[0]}): a backup is restored into a new folder`,
    );
}

export interface Restored extends BackupFacts {
  readonly data: string;
  readonly name: string;
  readonly newClusterId: string;
  readonly newEpoch: string;
}

/** The blocks of the backup into the new folder, each hashed; their pins need no fetching there. */
async function takeBlocks(
  dir: string,
  { blocksPath }: ExtractedBackup,
  wallMs: number,
): Promise<CarFacts | null> {
  if (blocksPath === null) return null;
  const facts = await importBlocks(join(dir, 'content'), createReadStream(blocksPath), wallMs);
  await rm(blocksPath);
  return facts;
}

export async function restoreBackup(options: {
  readonly file: string;
  readonly data: string;
  /** Name of the first master; that of the node that made the backup if not given. */
  readonly name: string | null;
  readonly wallMs: number;
}): Promise<Restored> {
  const { file } = options;
  const data = resolve(options.data);
  if (!existsSync(file)) throw new AgentError('not-found', `there is no file ${file}`);
  await mustBeEmpty(data);
  const dir = `${data}.restoring`;
  await rm(dir, { recursive: true, force: true });
  makeFolder(dir, 0o700);
  const { extracted, catalog } = await unpack(file, dir);
  const { meta, node } = extracted.header;
  const name = options.name ?? node.name;
  const car = await takeBlocks(dir, extracted, options.wallMs);
  const { peerId } = await loadIdentity(dir, { create: true });
  await loadNetworkKey(join(dir, 'network.key'), { create: true });
  const certificate = firstMaster(peerId, name);
  const clusterId = randomBytes(16).toString('hex');
  const epoch = randomBytes(16).toString('hex');
  const first = { peerId, name, zone: certificate.zone, rank: 0, workersMayLead: true };
  await makeAuthority(dir, clusterId, first, Date.now(), meta.index);
  const logDir = join(dir, 'log');
  const configuration = { ...emptyConfiguration, members: [certificate] };
  const origin = { clusterId, epoch, certificate, configuration };
  await seedLog(logDir, { ...origin, after: meta, termMin: 0, leaseMsLongest: 0 });
  const member: MemberFile = {
    version: 1,
    state: 'member',
    name,
    clusterId,
    epoch,
    epochNumber: 1,
    parentEpoch: null,
    pastEpochs: [],
    certificate,
    bootstrap: false,
  };
  await writeDurably(join(dir, 'node.json'), `${JSON.stringify(member, null, 1)}\n`);
  await readBack(dir, member, catalog);
  await mustBeEmpty(data);
  if (existsSync(data)) await rmdir(data);
  await rename(dir, data);
  await createDisk().syncDir(dirname(data));
  const facts = factsOf(extracted, catalog, car);
  return { ...facts, data, name, newClusterId: clusterId, newEpoch: epoch };
}

/** Opens what was made as an agent would, and compares. */
async function readBack(dir: string, member: MemberFile, catalog: CatalogFacts): Promise<void> {
  const stores = await openStores({
    catalogDir: join(dir, 'catalog'),
    log: {
      dir: join(dir, 'log'),
      clusterId: member.clusterId,
      epoch: member.epoch,
      identity: member.certificate?.peerId ?? '',
      mustExist: true,
    },
  });
  try {
    const digest = await stores.catalog.digest();
    const index = stores.catalog.appliedIndex();
    if (digest !== catalog.digest || index !== catalog.index)
      throw new AgentError('internal', `${dir} reads back as ${index} ${digest}`);
    if (stores.log.lastIndex() !== index + 1)
      throw new AgentError('internal', `the log in ${dir} ends at ${stores.log.lastIndex()}`);
  } finally {
    await stores.close();
  }
}
