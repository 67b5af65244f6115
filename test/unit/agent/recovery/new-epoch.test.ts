/** A data folder goes over to a new epoch, and to another one's: offline, on real files. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MemberFile, openDataFolder } from '../../../../src/agent/data-folder.ts';
import { forceNewEpoch } from '../../../../src/agent/recovery/new-epoch.ts';
import { rejoinEpoch } from '../../../../src/agent/recovery/rejoin.ts';
import { repair } from '../../../../src/agent/recovery/repair.ts';
import { openStores } from '../../../../src/agent/stores.ts';
import { loadIdentity, writeDurably } from '../../../../src/mesh/identity.ts';
import { decodeConfiguration, encodeConfiguration } from '../../../../src/wire/configuration.ts';
import { makeEntry } from '../../../../src/wire/entry.ts';
import { configurationOf, entriesOf, epoch } from '../../../formats/samples.ts';

const clusterId = 'c'.repeat(32);
const nextEpoch = 'f'.repeat(32);
const wallMs = Date.UTC(2026, 0, 1);
let dir = '';
let peerId = '';

const opened = (of: string) =>
  openStores({
    catalogDir: join(dir, 'catalog'),
    log: { dir: join(dir, 'log'), clusterId, epoch: of, identity: peerId },
  });

/** A voter of three with 32 entries, of which it has applied 5. */
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-epoch-'));
  ({ peerId } = await loadIdentity(dir, { create: true }));
  const stores = await opened(epoch);
  const hardState = { term: 9, vote: 'peer-b', leaseMsLongest: 700, fence: 4 };
  const job = { cutBackTo: null, installSnapshot: null };
  await stores.log.persist([{ ...job, id: 1, hardState, append: entriesOf(peerId) }]);
  await stores.catalog.apply(entriesOf(peerId).slice(0, 5));
  await stores.close();
  const member: MemberFile = {
    version: 1,
    state: 'member',
    name: 'master-1',
    clusterId,
    epoch,
    epochNumber: 3,
    parentEpoch: null,
    pastEpochs: [],
    certificate: configurationOf(peerId).members[0] ?? null,
    bootstrap: false,
  };
  await writeDurably(join(dir, 'node.json'), JSON.stringify(member));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function nodeFile(): MemberFile {
  const folder = openDataFolder(dir);
  folder.release();
  return folder.node() as MemberFile;
}

test('a forced epoch applies the whole log and goes on from its end, with one voter', async () => {
  const archive = await forceNewEpoch(dir, { epoch: nextEpoch, identity: peerId, wallMs });
  for (const kept of ['log', 'catalog.snapshot', 'node.json'])
    expect(existsSync(join(archive, kept))).toBe(true);
  expect(nodeFile()).toMatchObject({
    epoch: nextEpoch,
    epochNumber: 4,
    parentEpoch: epoch,
    pastEpochs: [epoch],
  });
  const old = entriesOf(peerId);
  const stores = await opened(nextEpoch);
  try {
    expect(stores.catalog.appliedIndex()).toBe(old.length);
    const { hardState, snapshot, entries } = stores.log.restored;
    // Above every term that it has seen; the fence is of this epoch alone, the lease is kept.
    expect(hardState).toEqual({ term: 10, vote: peerId, leaseMsLongest: 700, fence: 0 });
    expect(snapshot).toMatchObject({ epoch: nextEpoch, index: old.length, hash: old.at(-1)?.hash });
    expect(entries).toMatchObject([{ index: old.length + 1, term: 10, kind: 'config' }]);
    const made = decodeConfiguration(entries[0]?.data ?? new Uint8Array(0));
    expect(made).toMatchObject({ voters: [peerId], outgoing: null });
    expect(made.members.map((one) => one.peerId)).toEqual([peerId, 'peer-b', 'peer-c']);
    expect(snapshot?.configuration.voters).toEqual([peerId]);
  } finally {
    await stores.close();
  }
  // Twice is another epoch, and a second archive.
  await forceNewEpoch(dir, { epoch: 'a'.repeat(32), identity: peerId, wallMs: wallMs + 1000 });
  expect(nodeFile()).toMatchObject({ epochNumber: 5, pastEpochs: [epoch, nextEpoch] });
});

test('a log of a later program is not recovered by an older one', async () => {
  const stores = await opened(epoch);
  const last = entriesOf(peerId).at(-1);
  const data = encodeConfiguration({ ...configurationOf(peerId), stateVersion: 2 });
  const next = { epoch, term: 9, kind: 'config' as const, data };
  const entry = makeEntry({
    ...next,
    previousHash: last?.hash ?? '',
    index: (last?.index ?? 0) + 1,
  });
  const job = { hardState: null, cutBackTo: null, installSnapshot: null };
  await stores.log.persist([{ ...job, id: 1, append: [entry] }]);
  await stores.close();
  const forced = forceNewEpoch(dir, { epoch: nextEpoch, identity: peerId, wallMs });
  await expect(forced).rejects.toThrow(/later version/);
  expect(nodeFile().epoch).toBe(epoch);
});

test('rejoin empties the log and never goes back', async () => {
  const { archive } = await rejoinEpoch({ data: dir, epoch: nextEpoch, wallMs });
  expect(existsSync(join(archive, 'log'))).toBe(true);
  expect(existsSync(join(archive, 'catalog'))).toBe(true);
  expect(nodeFile()).toMatchObject({ epoch: nextEpoch, epochNumber: 0, pastEpochs: [epoch] });
  const stores = await opened(nextEpoch);
  expect(stores.log.restored).toMatchObject({ snapshot: null, entries: [] });
  expect(stores.log.restored.hardState).toMatchObject({ term: 0, vote: null, fence: 0 });
  await stores.close();
  const back = rejoinEpoch({ data: dir, epoch, wallMs: wallMs + 1000 });
  await expect(back).rejects.toMatchObject({ code: 'epoch-mismatch' });
  const again = rejoinEpoch({ data: dir, epoch: nextEpoch, wallMs: wallMs + 1000 });
  await expect(again).rejects.toMatchObject({ code: 'conflict' });
});

test('a repair of what is whole changes nothing', async () => {
  const done = await repair({ data: dir, from: null, asNewNode: true, wallMs });
  expect(done).toMatchObject({ damage: null, done: 'nothing', archive: null });
  expect(existsSync(join(dir, 'archive'))).toBe(false);
});
