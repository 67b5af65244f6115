/**
 * The durable log and hard state of one node, in files of our own under one folder. Opening takes
 * the folder's lock, checks whose log it is, reads everything and either says exactly what was
 * found or refuses by name; after that the log writer owns the files.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { ClusterId, EpochId, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { HardState, SnapshotMeta } from '../consensus/api.ts';
import { chainStart } from '../wire/entry.ts';
import type { LogStore } from './api.ts';
import { createDisk, type Disk, diskError } from './disk.ts';
import { type FolderLock, lockFolder, type Processes, processes } from './folder-lock.ts';
import {
  emptyHardState,
  type LogEnd,
  noEnd,
  openEndMark,
  parseHardState,
  readEndMark,
  type StoredHardState,
} from './hard-state.ts';
import { type RecoveryInput, recoverLog, settleEnd } from './log-recovery.ts';
import { openLogWriter } from './log-writer.ts';
import { batchHeadBytes } from './record.ts';
import { createSegment, segmentHeadBytes, segmentName, segmentNumber } from './segment.ts';
import { parseStart, type StoredStart } from './start-position.ts';
import { checkHeader, headerName, parseHeader, type StoreHeader } from './store-header.ts';
import { createTwin, type FoundTwin, openTwin } from './twin-file.ts';

export interface LogStoreOptions {
  readonly dir: string;
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  /** Peer id of the identity key that this log belongs to. */
  readonly identity: PeerId;
  /** True when the identity key was there before this start: then the log must be there too. */
  readonly mustExist?: boolean;
  /** What a log that isn't there yet begins with. @default nothing */
  readonly seed?: LogSeed;
  /** @default 8 MiB */
  readonly segmentBytes?: number;
  readonly disk?: Disk;
  readonly processes?: Processes;
  readonly nowMs?: () => number;
}

const segmentBytesDefault = 8 * 1024 * 1024;
const hardStateName = 'hard-state';
const startName = 'start';

/** Whose log lies in `dir`, or null if there is none. */
export async function readStoreHeader(
  dir: string,
  disk: Disk = createDisk(),
): Promise<StoreHeader | null> {
  const found = await openTwin({ disk, dir, name: headerName }, parseHeader);
  await found?.twin.close();
  return found?.twin.value() ?? null;
}

/** What a new log begins with: nothing, or the state that a catalog beside it has. */
export interface LogSeed {
  readonly meta: SnapshotMeta | null;
  readonly hardState: HardState;
}

const emptySeed: LogSeed = { meta: null, hardState: emptyHardState };

/** Makes a log without entries; the header comes last, so an interrupted creation starts over. */
async function createLog(disk: Disk, options: LogStoreOptions, seed: LogSeed): Promise<void> {
  const { dir, clusterId, epoch, identity } = options;
  const bytes = options.segmentBytes ?? segmentBytesDefault;
  const hardState: StoredHardState = { hardState: seed.hardState, end: noEnd };
  const start: StoredStart = { meta: seed.meta, firstSegment: 1 };
  await createTwin({ disk, dir, name: hardStateName }, hardState);
  await createTwin({ disk, dir, name: startName }, start);
  await createSegment(disk, dir, {
    number: 1,
    bytes,
    salt: randomInt(2 ** 32),
    firstSeq: 1,
    link: 0,
    previousEnd: 0,
    baseIndex: seed.meta?.index ?? 0,
    baseHash: seed.meta?.hash ?? chainStart,
  });
  const header: StoreHeader = { format: 1, clusterId, epoch, identity };
  await createTwin({ disk, dir, name: headerName }, header);
  await disk.syncDir(dir);
}

/** Whether what lies in a folder without a header is no more than an interrupted creation. */
async function neverUsed(disk: Disk, dir: string): Promise<boolean> {
  const numbers = (await disk.list(dir)).map(segmentNumber).filter((number) => number !== null);
  if (numbers.length === 0) return true;
  const bytes = await disk.read(join(dir, segmentName(1)));
  const after = bytes?.subarray(segmentHeadBytes, segmentHeadBytes + batchHeadBytes);
  return numbers.length === 1 && after?.every((byte) => byte === 0) === true;
}

async function removePassing(disk: Disk, dir: string): Promise<string[]> {
  const left = (await disk.list(dir)).filter((name) => name.endsWith('.tmp'));
  for (const name of left) await disk.remove(join(dir, name));
  return left.map((name) => `${name}, left by an interrupted write, was removed`);
}

async function openHeader(disk: Disk, options: LogStoreOptions): Promise<readonly string[]> {
  const { dir, identity } = options;
  const place = { disk, dir, name: headerName };
  let found = await openTwin(place, parseHeader);
  if (found === null) {
    if (options.mustExist === true)
      throw new AgentError(
        'damaged',
        `the identity ${identity} is there, the log in ${dir} is not: they live and die together`,
      );
    if (!(await neverUsed(disk, dir)))
      throw new AgentError('damaged', `${join(dir, headerName)}.a and .b are missing`);
    await createLog(disk, options, options.seed ?? emptySeed);
    found = await openTwin(place, parseHeader);
  }
  if (found === null) throw new AgentError('internal', `${dir}: the new log has no header`);
  await found.twin.close();
  checkHeader(found.twin.value(), options, dir);
  return found.notes;
}

async function needTwin<T>(
  disk: Disk,
  dir: string,
  name: string,
  parse: (value: unknown) => T,
): Promise<FoundTwin<T>> {
  const found = await openTwin({ disk, dir, name }, parse);
  if (found === null)
    throw new AgentError('damaged', `${join(dir, name)}.a and .b are both missing`);
  return found;
}

interface Closable {
  close(): Promise<void>;
}

const furthest = (a: LogEnd, b: LogEnd): LogEnd => (b.seq > a.seq ? b : a);

async function openLocked(
  disk: Disk,
  options: LogStoreOptions,
  lock: FolderLock,
  opened: Closable[],
): Promise<LogStore> {
  const { dir, epoch } = options;
  const notes: string[] = lock.note === null ? [] : [lock.note];
  notes.push(...(await removePassing(disk, dir)));
  notes.push(...(await openHeader(disk, options)));
  const hard = await needTwin(disk, dir, hardStateName, parseHardState);
  opened.push(hard.twin);
  const start = await needTwin(disk, dir, startName, parseStart);
  opened.push(start.twin);
  const marked = await readEndMark(disk, dir);
  const { meta, firstSegment } = start.twin.value();
  const stored = hard.twin.value();
  const recorded = furthest(stored.end, marked.end);
  const input: RecoveryInput = { disk, dir, epoch, start: meta, firstSegment, recorded };
  const log = await recoverLog(input);
  await settleEnd(input, log);
  await hard.twin.write({ hardState: stored.hardState, end: log.end });
  if (log.snapshot !== meta) await start.twin.write({ meta: log.snapshot, firstSegment });
  const mark = await openEndMark(disk, dir, log.end);
  opened.push(mark);
  const writer = await openLogWriter(
    {
      disk,
      dir,
      hardState: hard.twin,
      start: start.twin,
      mark,
      nowMs: options.nowMs ?? (() => performance.now()),
    },
    { ...log, segmentBytes: options.segmentBytes ?? segmentBytesDefault },
  );
  if (marked.note !== null && log.end.seq > 0) notes.push(marked.note);
  notes.push(...hard.notes, ...start.notes, ...log.notes);
  const { tornBytes, tornEntries } = log;
  const hardStateMended = hard.notes.length > 0;
  let restored = { hardState: stored.hardState, snapshot: log.snapshot, entries: log.entries };
  return {
    report: { tornBytes, tornEntries, hardStateMended, notes },
    get restored() {
      return restored;
    },
    ...writer,
    compact: async (to) => {
      await writer.compact(to);
      // What the log has forgotten must not stay in memory for the life of the process.
      restored = { ...restored, entries: restored.entries.filter(({ index }) => index > to.index) };
    },
    close: async () => {
      try {
        await writer.close();
      } finally {
        await lock.release();
      }
    },
  };
}

/** Opens the log of this node, or makes it in a folder that has none. */
export async function openLogStore(options: LogStoreOptions): Promise<LogStore> {
  const disk = options.disk ?? createDisk();
  try {
    await disk.makeDir(options.dir);
    const lock = await lockFolder(disk, options.dir, options.processes ?? processes);
    const opened: Closable[] = [];
    try {
      return await openLocked(disk, options, lock, opened);
    } catch (thrown) {
      for (const file of opened) await file.close();
      await lock.release();
      throw thrown;
    }
  } catch (thrown) {
    throw diskError(thrown, `the log in ${options.dir} can't be opened`);
  }
}
