/**
 * The parts of the embedded engine that only touch this machine: block files, their table and the
 * table of pins. They can be opened without the content thread, where no agent runs: that is how a
 * backup's blocks get into a new folder.
 */
import { mkdirSync, statfsSync } from 'node:fs';
import { createBlockFiles } from './block-files.ts';
import { createBlockStore } from './block-store.ts';
import { type CarFacts, importCar } from './car-file.ts';
import { openContentDb } from './content-db.ts';
import { createLanes } from './lanes.ts';
import { createPinTable } from './pin-table.ts';
import type { EmbeddedOptions } from './worker-protocol.ts';

const diskLanesMax = 2; // of libuv's four threads; the others are the consensus log's
const reserveBytesDefault = 256 * 1024 * 1024;

export interface StorageDeps {
  /** Free bytes of the disk that holds `dir`; tests hand in a small disk. */
  readonly diskFree?: (dir: string) => number;
}

function statDiskFree(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

export function openStorage(
  deps: StorageDeps,
  options: Pick<EmbeddedOptions, 'dir' | 'reserveBytes'>,
) {
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

/** Puts a CAR into the engine's folder `dir`, whose agent must not run, and pins its roots. */
export async function importBlocks(
  dir: string,
  source: AsyncIterable<Uint8Array>,
  nowMs: number,
): Promise<CarFacts> {
  const { db, store, table } = openStorage({}, { dir });
  try {
    return await importCar({ store, table }, source, nowMs);
  } finally {
    await store.settle(0);
    db.close();
  }
}
