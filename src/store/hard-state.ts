/**
 * The hard state as it is stored: what consensus must not forget, and how far the log was durable
 * when it was written. Also the end mark, a hint of that end after every batch: it is never synced
 * on its own, so it may be old after a power loss but is never ahead of the log.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { HardState } from '../consensus/api.ts';
import { crc32c } from './crc32c.ts';
import type { Disk, DiskFile } from './disk.ts';

/** The end of the last durable batch; all zero before the first. */
export interface LogEnd {
  readonly seq: number;
  readonly segment: number;
  readonly offset: number;
  readonly link: number;
}

export const noEnd: LogEnd = { seq: 0, segment: 0, offset: 0, link: 0 };

export const emptyHardState: HardState = { term: 0, vote: null, leaseMsLongest: 0, fence: 0 };

export interface StoredHardState {
  readonly hardState: HardState;
  readonly end: LogEnd;
}

const count = z.int().min(0);
const stored = z.object({
  hardState: z.object({
    term: count,
    vote: z.string().nullable(),
    leaseMsLongest: z.number().min(0),
    fence: count,
  }),
  end: z.object({ seq: count, segment: count, offset: count, link: count }),
});

export function parseHardState(value: unknown): StoredHardState {
  return stored.parse(value);
}

const markName = 'end';
const markBytes = 64;
const magic = Buffer.from('BWEND01\n', 'latin1');

function encodeMark(end: LogEnd): Buffer {
  const out = Buffer.alloc(markBytes);
  magic.copy(out, 0);
  out.writeBigUInt64LE(BigInt(end.seq), 16);
  out.writeBigUInt64LE(BigInt(end.segment), 24);
  out.writeBigUInt64LE(BigInt(end.offset), 32);
  out.writeUInt32LE(end.link, 40);
  out.writeUInt32LE(crc32c(out.subarray(12)), 8);
  return out;
}

/** The marked end; a mark that is missing or bad counts for nothing and is noted. */
export async function readEndMark(
  disk: Disk,
  dir: string,
): Promise<{ end: LogEnd; note: string | null }> {
  const bytes = await disk.read(join(dir, markName));
  if (bytes === null) return { end: noEnd, note: 'the end mark is missing' };
  const whole =
    bytes.length === markBytes &&
    bytes.subarray(0, 8).equals(magic) &&
    bytes.readUInt32LE(8) === crc32c(bytes.subarray(12));
  if (!whole) return { end: noEnd, note: 'the end mark is damaged' };
  const end = {
    seq: Number(bytes.readBigUInt64LE(16)),
    segment: Number(bytes.readBigUInt64LE(24)),
    offset: Number(bytes.readBigUInt64LE(32)),
    link: bytes.readUInt32LE(40),
  };
  return { end, note: null };
}

export interface EndMark {
  /** Notes a durable end; one write at a time, and the newest end wins. */
  set(end: LogEnd): void;
  /** Writes that failed; the mark is only a hint, so they are counted and not fatal. */
  failures(): number;
  /** Makes the last mark durable. */
  close(): Promise<void>;
}

/** Opens the mark for writing and makes `end` durable in it. */
export async function openEndMark(disk: Disk, dir: string, end: LogEnd): Promise<EndMark> {
  const path = join(dir, markName);
  const there = (await disk.read(path)) !== null;
  const file: DiskFile = there ? await disk.open(path) : await disk.create(path);
  await file.write(encodeMark(end), 0);
  await file.truncate(markBytes);
  await file.sync();
  if (!there) await disk.syncDir(dir);
  let wanted: LogEnd | null = null;
  let busy: Promise<void> = Promise.resolve();
  let running = false;
  let failed = 0;
  const run = async () => {
    running = true;
    while (wanted !== null) {
      const next: LogEnd = wanted;
      wanted = null;
      try {
        await file.write(encodeMark(next), 0);
      } catch {
        failed += 1;
      }
    }
    running = false;
  };
  const set = (next: LogEnd) => {
    wanted = next;
    if (!running) busy = run();
  };
  return {
    set,
    failures: () => failed,
    close: async () => {
      await busy;
      await file.sync();
      await file.close();
    },
  };
}
