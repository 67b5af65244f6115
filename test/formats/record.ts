/**
 * Records every format as this program writes it: the bytes, and beside them what this program
 * reads out of them. `scripts/record-formats.mjs` calls it, once for every release.
 */
import { createReadStream, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MemberFile } from '../../src/agent/data-folder.ts';
import { openStores, type Stores } from '../../src/agent/stores.ts';
import type { SnapshotMeta } from '../../src/consensus/api.ts';
import { loadIdentity, writeDurably } from '../../src/mesh/identity.ts';
import { encodeBackup } from '../../src/store/backup-file.ts';
import { openEventStore } from '../../src/store/event-store.ts';
import type { Entry } from '../../src/wire/entry.ts';
import { read, readBackup, readFolder, readSnapshotFile } from './readers.ts';
import { clusterId, configurationOf, entriesOf, epoch, samples } from './samples.ts';

const createdAt = '2026-01-01T00:00:00.000Z';

function metaAt(peerId: string, entry: Entry): SnapshotMeta {
  const { index, term, hash } = entry;
  const configuration = configurationOf(peerId);
  return { clusterId, epoch, index, term, hash, configuration, configurationIndex: 1 };
}

/** Several segments, a cut, a compaction, a vote: what a log of some age has. */
async function fill(stores: Stores, peerId: string): Promise<void> {
  const { log, catalog } = stores;
  const entries = entriesOf(peerId);
  const job = { hardState: null, cutBackTo: null, installSnapshot: null };
  const hardState = { term: 2, vote: peerId, leaseMsLongest: 500, fence: 2 };
  let id = 0;
  for (const entry of entries) {
    id += 1;
    await log.persist([{ ...job, id, hardState: id === 1 ? hardState : null, append: [entry] }]);
  }
  const last = entries.slice(-2);
  await log.persist([{ ...job, id: id + 1, cutBackTo: entries.length - 2, append: last }]);
  await catalog.apply(entries.slice(0, -3));
  await catalog.checkpoint();
  await log.compact(metaAt(peerId, entries[5] as Entry));
}

async function recordFolder(dir: string): Promise<string> {
  mkdirSync(dir, { recursive: true });
  const { peerId } = await loadIdentity(dir, { create: true });
  const member: MemberFile = {
    version: 1,
    state: 'member',
    name: 'master-1',
    clusterId,
    epoch,
    epochNumber: 2,
    parentEpoch: 'e0'.repeat(16),
    pastEpochs: ['e0'.repeat(16)],
    certificate: configurationOf(peerId).members[0] ?? null,
    bootstrap: false,
  };
  const stores = await openStores({
    catalogDir: join(dir, 'catalog'),
    log: { dir: join(dir, 'log'), clusterId, epoch, identity: peerId, segmentBytes: 4096 },
  });
  await fill(stores, peerId);
  const snapshot = await stores.catalog.snapshot();
  renameSync(snapshot.path, join(dir, '..', 'catalog.snapshot'));
  await stores.close();
  const events = await openEventStore({ dir: join(dir, 'events') });
  events.append({ at: createdAt, type: 'started', data: { name: 'master-1', role: 'master' } });
  events.append({ at: createdAt, type: 'state-changed', data: { state: 'leader', term: 2 } });
  await events.close();
  await writeDurably(join(dir, 'node.json'), `${JSON.stringify(member, null, 1)}\n`);
  writeFileSync(join(dir, 'http.token'), `${'0'.repeat(64)}\n`);
  return peerId;
}

async function recordBackup(dir: string, peerId: string): Promise<void> {
  const entry = entriesOf(peerId).at(-4) as Entry;
  const file = encodeBackup({
    header: {
      format: 'bellwether-backup',
      version: 1,
      createdAt,
      software: '0.1.0',
      clusterId,
      epoch,
      epochNumber: 2,
      parentEpoch: 'e0'.repeat(16),
      meta: metaAt(peerId, entry),
      node: { name: 'master-1', peerId },
      linearizable: true,
      withBlocks: false,
    },
    catalog: createReadStream(join(dir, 'catalog.snapshot')),
    blocks: null,
    missing: () => [],
  });
  const parts: Uint8Array[] = [];
  for await (const part of file) parts.push(part);
  writeFileSync(join(dir, 'cluster.backup'), Buffer.concat(parts));
}

/** Everything of one release into `dir`, which is made anew. */
export async function recordFormats(dir: string): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const peerId = await recordFolder(join(dir, 'data'));
  await recordBackup(dir, peerId);
  const messages = samples().map(({ decoder, name, bytes }) => ({
    decoder,
    name,
    hex: Buffer.from(bytes).toString('hex'),
    value: read({ decoder, bytes }),
  }));
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(dir, name), `${JSON.stringify(value, null, 1)}\n`);
  write('messages.json', messages);
  write('data.json', await readFolder(join(dir, 'data')));
  write('snapshot.json', await readSnapshotFile(join(dir, 'catalog.snapshot')));
  write('backup.json', await readBackup(join(dir, 'cluster.backup')));
}
