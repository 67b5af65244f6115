/**
 * The content thread's composition: store, table, host, exchange and runner, and the operations on
 * them. Started in order, stopped in reverse. It is the same whether it runs in a thread or, in a
 * test, in the caller's own.
 */
import { present } from '../base/assert.ts';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { type NetworkKeys, onlyNetworkKey } from '../wire/network-key.ts';
import type { AddedItem, PinStatus, Provider } from './api.ts';
import { createBlockExchange } from './block-exchange.ts';
import { writeCar } from './car-file.ts';
import { blockKey, cidText, parseCid } from './cid-text.ts';
import { createContentHost, type RefusedPeer } from './content-host.ts';
import { openStorage, type StorageDeps } from './content-storage.ts';
import { listDag } from './dag.ts';
import { collectGarbage, discardHolder } from './garbage.ts';
import { openHostKey } from './host-key.ts';
import { createPinRunner } from './pin-runner.ts';
import { statusOf } from './pin-table.ts';
import { createPossession } from './possession.ts';
import { type ImportEntry, importUnixfs } from './unixfs-import.ts';
import { type Listing, listTree, type ReadOptions, readCar, readFile } from './unixfs-read.ts';
import type { EmbeddedOptions } from './worker-protocol.ts';

const stallMsDefault = 20_000;
const backoffMsMaxDefault = 300_000;
const addsMax = 16;

export interface ContentService {
  provider(): Provider;
  setProviders(providers: readonly Provider[]): void;
  /** Holds for connections from here on. */
  setNetworkKeys(keys: NetworkKeys): void;
  add(entries: AsyncIterable<ImportEntry>, onProgress: (bytes: number) => void): Promise<AddedItem>;
  cat(where: { cid: CidText; path: string }, options: ReadOptions): AsyncGenerator<Uint8Array>;
  car(cid: CidText, options: ReadOptions): AsyncGenerator<Uint8Array>;
  ls(where: { cid: CidText; path: string }, options: ReadOptions): Promise<Listing[]>;
  /** The blocks of these pins, which must be whole here, as one CAR. */
  exportCar(cids: readonly CidText[]): AsyncIterable<Uint8Array>;
  pin(cids: readonly CidText[]): void;
  unpin(cid: CidText): Promise<void>;
  pins(): PinStatus[];
  prove(cid: CidText, blockIndex: number, nonce: string): Promise<string>;
  verify(cid: CidText): Promise<{ blocks: number; bytes: number }>;
  collectGarbage(): Promise<{ blocks: number; bytes: number }>;
  usage(): { bytesStored: number; bytesFree: number; blocks: number };
  stop(): Promise<void>;
}

export interface ServiceDeps extends StorageDeps {
  readonly onPinChange: (status: PinStatus) => void;
  readonly onRefused: (refused: RefusedPeer) => void;
}

export async function openContentService(
  deps: ServiceDeps,
  options: EmbeddedOptions,
): Promise<ContentService> {
  const { db, files, store, table, monoMs } = openStorage(deps, options);
  const { networkKey: given } = options;
  let keys = typeof given === 'string' ? onlyNetworkKey(given) : given;
  const host = await createContentHost(
    { store, onRefused: deps.onRefused },
    {
      privateKey: await openHostKey(options.dir),
      listen: options.listen,
      announce: options.announce ?? [],
      networkKeys: () => keys,
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
      host.setMembers(providers.map(({ peerId }) => peerId));
      if (exchange.setProviders(providers)) runner.hurry();
    },
    setNetworkKeys: (next) => {
      keys = next;
    },
    add,
    cat: (where, read) => readFile({ store, exchange }, where, read),
    car: (cid, read) => readCar({ store, exchange }, cid, read),
    ls: (where, read) => listTree({ store, exchange }, where, read),
    exportCar: (cids) => writeCar(store, cids),
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
