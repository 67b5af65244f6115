/**
 * The content thread's composition: store, table, host, exchange and runner, and the operations on
 * them. Started in order, stopped in reverse. It is the same whether it runs in a thread or, in a
 * test, in the caller's own.
 */
import { mkdirSync, statfsSync } from 'node:fs';
import { present } from '../base/assert.ts';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { AddedItem, PinStatus, Provider } from './api.ts';
import { createBlockExchange } from './block-exchange.ts';
import { createBlockFiles } from './block-files.ts';
import { createBlockStore } from './block-store.ts';
import { blockKey, cidText, parseCid } from './cid-text.ts';
import { openContentDb } from './content-db.ts';
import { createContentHost } from './content-host.ts';
import { listDag } from './dag.ts';
import { collectGarbage, discardHolder } from './garbage.ts';
import { openHostKey, swarmKeyText } from './host-key.ts';
import { createLanes } from './lanes.ts';
import { createPinRunner } from './pin-runner.ts';
import { createPinTable, statusOf } from './pin-table.ts';
import { createPossession } from './possession.ts';
import { type ImportEntry, importUnixfs } from './unixfs-import.ts';
import { type Listing, listTree, type ReadOptions, readFile } from './unixfs-read.ts';
import type { EmbeddedOptions } from './worker-protocol.ts';

const diskLanesMax = 2; // of libuv's four threads; the others are the consensus log's
const reserveBytesDefault = 256 * 1024 * 1024;
const stallMsDefault = 20_000;
const backoffMsMaxDefault = 300_000;
const addsMax = 16;

export interface ContentService {
  provider(): Provider;
  setProviders(providers: readonly Provider[]): void;
  add(entries: AsyncIterable<ImportEntry>, onProgress: (bytes: number) => void): Promise<AddedItem>;
  cat(where: { cid: CidText; path: string }, options: ReadOptions): AsyncGenerator<Uint8Array>;
  ls(where: { cid: CidText; path: string }, options: ReadOptions): Promise<Listing[]>;
  pin(cids: readonly CidText[]): void;
  unpin(cid: CidText): Promise<void>;
  pins(): PinStatus[];
  prove(cid: CidText, blockIndex: number, nonce: string): Promise<string>;
  verify(cid: CidText): Promise<{ blocks: number; bytes: number }>;
  collectGarbage(): Promise<{ blocks: number; bytes: number }>;
  usage(): { bytesStored: number; bytesFree: number; blocks: number };
  stop(): Promise<void>;
}

export interface ServiceDeps {
  readonly onPinChange: (status: PinStatus) => void;
  /** Free bytes of the disk that holds `dir`; tests hand in a small disk. */
  readonly diskFree?: (dir: string) => number;
}

function statDiskFree(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

/** The parts that only touch this machine. */
function openStorage(deps: ServiceDeps, options: EmbeddedOptions) {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const reserveBytes = options.reserveBytes ?? reserveBytesDefault;
  const db = openContentDb(options.dir);
  const lanes = createLanes(diskLanesMax);
  const files = createBlockFiles({ lanes }, { dir: options.dir });
  const monoMs = (): number => performance.now();
  const diskFree = (): number => (deps.diskFree ?? statDiskFree)(options.dir);
  const store = createBlockStore({ db, files, monoMs, diskFree }, { reserveBytes });
  return { db, files, store, table: createPinTable(db), monoMs };
}

export async function openContentService(
  deps: ServiceDeps,
  options: EmbeddedOptions,
): Promise<ContentService> {
  const { db, files, store, table, monoMs } = openStorage(deps, options);
  const host = await createContentHost(
    { store },
    {
      privateKey: await openHostKey(options.dir),
      listen: options.listen,
      announce: options.announce ?? [],
      networkKey: swarmKeyText(options.networkKey),
    },
  );
  const exchange = createBlockExchange({ host, monoMs, random: Math.random });
  const runner = createPinRunner(
    {
      table,
      store,
      exchange,
      wallMs: Date.now,
      random: Math.random,
      onChange: deps.onPinChange,
      discard: (holder) => discardHolder({ table, store }, holder),
    },
    {
      stallMs: options.stallMs ?? stallMsDefault,
      backoffMsMax: options.backoffMsMax ?? backoffMsMaxDefault,
    },
  );
  await host.start(exchange.handlers);
  runner.kick();

  const possession = createPossession({ table, store, onLost: deps.onPinChange });
  let adds = 0;
  let lastAdd = 0;
  let collecting: Promise<{ blocks: number; bytes: number }> | null = null;

  async function addHeld(
    holder: number,
    entries: AsyncIterable<ImportEntry>,
    onProgress: (bytes: number) => void,
  ): Promise<AddedItem> {
    const made = await importUnixfs({ store }, holder, entries, onProgress);
    await store.flush(holder);
    const cid = cidText(made.root);
    const list = await listDag(made.root, store);
    const leftover = made.leftover === null ? null : blockKey(made.leftover);
    await runner.exclusively(cid, async () => {
      const [row] = table.ensure([cid], Date.now());
      if (row === undefined || row.state === 'pinned') return;
      await table.complete(row.id, list.keys, list.bytes, Date.now());
      store.release(row.id);
      deps.onPinChange(statusOf(present(table.find(cid), 'the pin just made')));
    });
    store.release(holder);
    if (leftover !== null && !store.busy(leftover) && !table.refers(leftover))
      await store.remove([leftover]);
    return { cid, bytes: made.bytes, blocks: list.keys.length, files: made.files };
  }

  async function add(
    entries: AsyncIterable<ImportEntry>,
    onProgress: (bytes: number) => void,
  ): Promise<AddedItem> {
    if (adds >= addsMax) throw new AgentError('overloaded', `${addsMax} adds are under way`);
    adds += 1;
    lastAdd -= 1; // holders of adds are negative, those of pins positive
    const holder = lastAdd;
    try {
      return await addHeld(holder, entries, onProgress);
    } catch (thrown) {
      await discardHolder({ table, store }, holder);
      throw thrown;
    } finally {
      adds -= 1;
    }
  }

  async function unpin(cid: CidText): Promise<void> {
    const text = cidText(parseCid(cid, 'cid'));
    await runner.exclusively(text, async () => {
      const row = table.find(text);
      if (row === null) return;
      store.release(row.id);
      table.remove(row.id);
    });
  }

  function collect(): Promise<{ blocks: number; bytes: number }> {
    collecting ??= collectGarbage({ table, store, files }).finally(() => {
      collecting = null;
    });
    return collecting;
  }

  return {
    provider: () => ({ peerId: host.peerId, addresses: host.addresses() }),
    setProviders: (providers) => {
      if (exchange.setProviders(providers)) runner.hurry();
    },
    add,
    cat: (where, read) => readFile({ store, exchange }, where, read),
    ls: (where, read) => listTree({ store, exchange }, where, read),
    pin: (cids) => runner.pin(cids.map((cid) => cidText(parseCid(cid, 'cid')))),
    unpin,
    pins: () => table.all(),
    prove: possession.prove,
    verify: async (cid) => {
      try {
        return await possession.verify(cid);
      } finally {
        runner.kick(); // what was found damaged is due again
      }
    },
    collectGarbage: collect,
    usage: () => {
      const { bytes, blocks } = store.totals();
      return { bytesStored: bytes, bytesFree: store.bytesFree(), blocks };
    },
    stop: async () => {
      exchange.stop();
      await runner.stop();
      await host.stop();
      await store.settle(0);
      db.close();
    },
  };
}
