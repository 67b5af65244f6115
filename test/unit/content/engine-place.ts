/**
 * Engines in folders of their own for the tests of this room, all ended and removed afterwards.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { ContentEngine, PinStatus } from '../../../src/content/api.ts';
import type { RefusedPeer } from '../../../src/content/content-host.ts';
import { type ContentService, openContentService } from '../../../src/content/content-service.ts';
import { spawnContentWorker } from '../../../src/content/content-thread.ts';
import { createEmbeddedEngine, type EngineEvent } from '../../../src/content/embedded-engine.ts';
import type { EmbeddedOptions } from '../../../src/content/worker-protocol.ts';

export interface Open {
  readonly engine: ContentEngine;
  readonly dir: string;
  stop(): Promise<void>;
}

/** The same in the test's own thread. */
export interface OpenHere extends Open {
  /** Who was not let in. */
  readonly refused: readonly RefusedPeer[];
}

/** Both are content hosts of members, and know where the other one is. */
export function meet(a: Open, b: Open): void {
  a.engine.setProviders([b.engine.provider()]);
  b.engine.setProviders([a.engine.provider()]);
}

export interface OpenEngine extends Open {
  readonly events: EngineEvent[];
  /** The thread that runs now. */
  worker(): Worker;
}

/** Free bytes of a disk that the test imagines. */
export interface SmallDisk {
  readonly diskFree?: (dir: string) => number;
}

export interface EnginePlace {
  /** `events`: filled from the start on, also of an engine that does not come up. */
  open(
    name: string,
    options?: Partial<EmbeddedOptions>,
    events?: EngineEvent[],
  ): Promise<OpenEngine>;
  /** The same without the thread, which starts ten times as fast. */
  openHere(name: string, options?: Partial<EmbeddedOptions> & SmallDisk): Promise<OpenHere>;
  close(): Promise<void>;
}

function optionsOf(dir: string, options: Partial<EmbeddedOptions>): EmbeddedOptions {
  return {
    dir,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    networkKey: 'ef'.repeat(32),
    backoffMsMax: 1000,
    ...options,
  };
}

function engineOf(
  service: ContentService,
  listeners: Set<(status: PinStatus) => void>,
): ContentEngine {
  const { signal } = new AbortController();
  return {
    name: 'embedded',
    start: async () => undefined,
    stop: service.stop,
    provider: service.provider,
    setProviders: service.setProviders,
    setNetworkKeys: async (keys) => service.setNetworkKeys(keys),
    add: service.add,
    cat: (cid, path, { timeoutMs }) => service.cat({ cid, path }, { timeoutMs, signal }),
    car: (cid, { timeoutMs }) => service.car(cid, { timeoutMs, signal }),
    ls: (cid, path, { timeoutMs }) => service.ls({ cid, path }, { timeoutMs, signal }),
    pin: (cid) => service.pin([cid]),
    unpin: service.unpin,
    pins: async () => service.pins(),
    onPinChange: (listener) => void listeners.add(listener),
    prove: service.prove,
    verify: service.verify,
    collectGarbage: service.collectGarbage,
    usage: async () => service.usage(),
  };
}

export async function createEnginePlace(): Promise<EnginePlace> {
  const base = await mkdtemp(join(tmpdir(), 'bellwether-content-'));
  const opened = new Set<Open>();

  async function open(
    name: string,
    options: Partial<EmbeddedOptions> = {},
    events: EngineEvent[] = [],
  ): Promise<OpenEngine> {
    const dir = join(base, name);
    let worker: Worker | null = null;
    const engine = createEmbeddedEngine(
      {
        report: (event) => events.push(event),
        spawn: (own) => {
          worker = spawnContentWorker(own);
          return worker;
        },
      },
      optionsOf(dir, options),
    );
    const stop = async (): Promise<void> => {
      if (opened.delete(made)) await engine.stop();
    };
    const made: OpenEngine = { engine, dir, events, worker: () => worker as Worker, stop };
    opened.add(made);
    await engine.start();
    return made;
  }

  async function openHere(
    name: string,
    { diskFree, ...options }: Partial<EmbeddedOptions> & SmallDisk = {},
  ): Promise<OpenHere> {
    const dir = join(base, name);
    const listeners = new Set<(status: PinStatus) => void>();
    const onPinChange = (status: PinStatus): void => {
      for (const listener of listeners) listener(status);
    };
    const refused: RefusedPeer[] = [];
    const told = { onPinChange, onRefused: (one: RefusedPeer) => refused.push(one) };
    const deps = diskFree === undefined ? told : { ...told, diskFree };
    const service = await openContentService(deps, optionsOf(dir, options));
    const stop = async (): Promise<void> => {
      if (opened.delete(made)) await service.stop();
    };
    const engine = engineOf(service, listeners);
    const made: OpenHere = { engine, dir, refused, stop };
    opened.add(made);
    return made;
  }

  return {
    open,
    openHere,
    close: async () => {
      await Promise.all([...opened].map((one) => one.stop()));
      await rm(base, { recursive: true });
    },
  };
}

/** Resolves when every one of the pins satisfies `wanted`, by its latest status. */
export function whenAll(
  engine: ContentEngine,
  cids: readonly string[],
  wanted: (status: PinStatus) => boolean,
): Promise<void> {
  const left = new Set(cids);
  return new Promise((resolve) => {
    engine.onPinChange((status) => {
      if (left.has(status.cid) && wanted(status)) left.delete(status.cid);
      if (left.size === 0) resolve();
    });
  });
}

/** A file of distinct 1 MiB blocks, made as it is read. */
export async function* distinctBlocks(megabytes: number, seed = 0): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < megabytes; i++) {
    const block = Buffer.alloc(1024 * 1024, i);
    block.writeUInt32LE(i, 0);
    block.writeUInt32LE(seed, 4);
    yield block;
  }
}
