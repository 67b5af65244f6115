/**
 * Reads recorded formats with the program as it is now and says what it found, as plain JSON that
 * can be compared with what the recording program found.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDataFolder } from '../../src/agent/data-folder.ts';
import { verifyBackup } from '../../src/agent/recovery/restore.ts';
import { installCatalog } from '../../src/agent/recovery/seed.ts';
import { openStores } from '../../src/agent/stores.ts';
import { loadIdentity } from '../../src/mesh/identity.ts';
import { openEventStore } from '../../src/store/event-store.ts';
import { decodeMessage } from '../../src/wire/consensus-message.ts';
import { decodeCall } from '../../src/wire/frame.ts';
import { decodeGossip, decodeSignedRecord } from '../../src/wire/gossip.ts';
import {
  decodeNodeMessage,
  helloSchema,
  orderSchema,
  reportSchema,
} from '../../src/wire/node-message.ts';
import type { Sample } from './samples.ts';

const decoders: Record<Sample['decoder'], (bytes: Uint8Array) => unknown> = {
  message: decodeMessage,
  hello: (bytes) => decodeNodeMessage('hello', helloSchema, bytes),
  report: (bytes) => decodeNodeMessage('report', reportSchema, bytes),
  order: (bytes) => decodeNodeMessage('order', orderSchema, bytes),
  call: decodeCall,
  gossip: (bytes) => decodeGossip('members', bytes),
  record: (bytes) => decodeSignedRecord(bytes).record,
};

/** Bytes become hex, so that the whole is plain JSON. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

export const read = ({ decoder, bytes }: Pick<Sample, 'decoder' | 'bytes'>): unknown =>
  plain(decoders[decoder](bytes));

/** What a recorded data folder holds, read from a copy. */
export async function readFolder(recorded: string): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-formats-'));
  try {
    cpSync(recorded, dir, { recursive: true });
    const folder = openDataFolder(dir);
    const node = folder.node();
    folder.release();
    if (node?.state !== 'member') throw new Error(`${recorded} belongs to no member`);
    const { peerId } = await loadIdentity(dir, { create: false });
    const stores = await openStores({
      catalogDir: folder.catalogDir,
      log: {
        dir: folder.logDir,
        clusterId: node.clusterId,
        epoch: node.epoch,
        identity: peerId,
        mustExist: true,
      },
    });
    const events = await openEventStore({ dir: folder.eventsDir });
    try {
      await stores.catalog.verify();
      const { hardState, snapshot, entries } = stores.log.restored;
      const entry = { index: 'knowledge_graph', key: 'a' };
      return plain({
        node,
        peerId,
        notes: stores.log.report.notes,
        hardState,
        snapshot,
        entries,
        lastIndex: stores.log.lastIndex(),
        appliedIndex: stores.catalog.appliedIndex(),
        digest: await stores.catalog.digest(),
        entry: (await stores.catalog.query('index.get', entry)).value,
        events: await events.list(0, 100),
        eventNotes: events.notes,
      });
    } finally {
      await events.close();
      await stores.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What a recorded snapshot of the catalog holds. */
export async function readSnapshotFile(path: string): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-formats-'));
  try {
    return await installCatalog(join(dir, 'catalog'), path);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export async function readBackup(path: string): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-formats-'));
  try {
    const copy = join(dir, 'cluster.backup');
    cpSync(path, copy);
    return await verifyBackup(copy);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
