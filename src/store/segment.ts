/**
 * A segment file: a header block, batches one after the other, zeros up to its full length. The
 * file gets its name only when header and length are durable, so a short file or a bad header is
 * damage and never a torn write. What follows the last good batch decides between torn and damaged.
 */
import { join } from 'node:path';
import type { LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { crc32c } from './crc32c.ts';
import type { Disk } from './disk.ts';
import {
  type BatchHead,
  batchHeadBytes,
  batchMagic,
  countEntries,
  type PlacedRecord,
  readHead,
  readRecords,
} from './record.ts';

export const segmentHeadBytes = 128;
const magic = Buffer.from('BWSEG01\n', 'latin1');
const namePattern = /^segment-(\d{10})\.log$/;

/** What the header says: where this segment goes on from. */
export interface SegmentHead {
  readonly number: number;
  /** Length of the file. */
  readonly bytes: number;
  /** Random; starts every checksum in here, so that bytes of another file never fit. */
  readonly salt: number;
  /** The batch that comes first in here, and the link it must carry. */
  readonly firstSeq: number;
  readonly link: number;
  /** Where the batches of the segment before end; 0 in the first one. */
  readonly previousEnd: number;
  /** Last index before this segment and its hash (null: not known after a bare cut). */
  readonly baseIndex: LogIndex;
  readonly baseHash: string | null;
}

export function segmentName(number: number): string {
  return `segment-${String(number).padStart(10, '0')}.log`;
}

/** The number in a segment's file name, or null for another file. */
export function segmentNumber(name: string): number | null {
  const match = namePattern.exec(name);
  return match ? Number(match[1]) : null;
}

function encodeHead(head: SegmentHead): Buffer {
  const out = Buffer.alloc(segmentHeadBytes);
  magic.copy(out, 0);
  out.writeBigUInt64LE(BigInt(head.number), 16);
  out.writeBigUInt64LE(BigInt(head.bytes), 24);
  out.writeUInt32LE(head.salt, 32);
  out.writeUInt32LE(head.link, 36);
  out.writeBigUInt64LE(BigInt(head.firstSeq), 40);
  out.writeBigUInt64LE(BigInt(head.previousEnd), 48);
  out.writeBigUInt64LE(BigInt(head.baseIndex), 56);
  out[64] = head.baseHash === null ? 0 : 1;
  if (head.baseHash !== null) out.write(head.baseHash, 65, 32, 'hex');
  out.writeUInt32LE(crc32c(out.subarray(12)), 8);
  return out;
}

/** The header of a segment file; throws `damaged` unless it and the file's length are whole. */
export function readSegmentHead(path: string, bytes: Buffer): SegmentHead {
  const bad = (what: string, offset: number) =>
    new AgentError('damaged', `${path}: ${what} at offset ${offset}`);
  if (bytes.length < segmentHeadBytes) throw bad('the file ends', bytes.length);
  const head = bytes.subarray(0, segmentHeadBytes);
  if (!head.subarray(0, 8).equals(magic) || head.readUInt32LE(8) !== crc32c(head.subarray(12)))
    throw bad('the header fails its check', 0);
  const size = Number(head.readBigUInt64LE(24));
  if (bytes.length < size) throw bad(`the file must have ${size} bytes and ends`, bytes.length);
  return {
    number: Number(head.readBigUInt64LE(16)),
    bytes: size,
    salt: head.readUInt32LE(32),
    link: head.readUInt32LE(36),
    firstSeq: Number(head.readBigUInt64LE(40)),
    previousEnd: Number(head.readBigUInt64LE(48)),
    baseIndex: Number(head.readBigUInt64LE(56)),
    baseHash: head[64] === 1 ? head.toString('hex', 65, 97) : null,
  };
}

/** Makes the file under a passing name and gives it its own once it is durable. */
export async function createSegment(disk: Disk, dir: string, head: SegmentHead): Promise<void> {
  const path = join(dir, segmentName(head.number));
  const file = await disk.create(`${path}.tmp`);
  try {
    await file.truncate(head.bytes);
    await file.write(encodeHead(head), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.tmp`, path);
  await disk.syncDir(dir);
}

export interface ScannedBatch {
  readonly seq: number;
  readonly offset: number;
  readonly end: number;
  readonly link: number;
  readonly records: readonly PlacedRecord[];
}

/** What stands after the last good batch. */
export type Tail =
  | { readonly type: 'clean' }
  /** Bytes of one write that was cut short; `entries` as far as they can still be told. */
  | {
      readonly type: 'torn';
      readonly seq: number;
      readonly offset: number;
      readonly bytes: number;
      readonly entries: number;
    }
  /** A batch that fails its check although a later write followed it. */
  | { readonly type: 'damaged'; readonly offset: number; readonly what: string };

export interface Scan {
  readonly batches: readonly ScannedBatch[];
  /** Where the next batch goes. */
  readonly end: number;
  readonly nextSeq: number;
  readonly link: number;
  readonly tail: Tail;
}

/** Reads a segment from its header on, to the first batch that is not whole. */
export function scanSegment(bytes: Buffer, head: SegmentHead): Scan {
  const batches: ScannedBatch[] = [];
  let [at, seq, link] = [segmentHeadBytes, head.firstSeq, head.link];
  const { salt } = head;
  for (;;) {
    const batch = readHead(bytes, at, salt);
    const fits = batch !== null && batch.seq === seq && batch.link === link;
    const read = fits ? readRecords(bytes, at, batch) : { badAt: at };
    if (batch === null || 'badAt' in read) {
      const badAt = 'badAt' in read ? read.badAt : at;
      const tail = judgeTail(bytes, { at, badAt, head: batch, fits, seq, salt });
      return { batches, end: at, nextSeq: seq, link, tail };
    }
    const end = at + batchHeadBytes + batch.bodyBytes;
    batches.push({ seq, offset: at, end, link: read.link, records: read.records });
    [at, seq, link] = [end, seq + 1, read.link];
  }
}

interface BadBatch {
  readonly at: number;
  readonly badAt: number;
  /** Its head, where that passes its own check. */
  readonly head: BatchHead | null;
  /** Whether the head continues the batch before. */
  readonly fits: boolean;
  readonly seq: number;
  readonly salt: number;
}

/**
 * One batch is written only after the one before it is durable. So a bad batch with a later one
 * behind it, or with anything behind its own end, was whole once.
 */
function judgeTail(bytes: Buffer, bad: BadBatch): Tail {
  const { at, head, seq, badAt: offset } = bad;
  const last = lastNonZero(bytes, at);
  if (last < at) return { type: 'clean' };
  if (head !== null && !bad.fits)
    return { type: 'damaged', offset, what: `a batch that does not follow batch ${seq - 1}` };
  const later = laterBatch(bytes, bad);
  if (later !== null)
    return { type: 'damaged', offset, what: `batch ${seq} is bad, a good one follows at ${later}` };
  const end = head ? at + batchHeadBytes + head.bodyBytes : bytes.length;
  if (last >= end)
    return { type: 'damaged', offset, what: `batch ${seq} is bad, a later write follows` };
  const entries = head?.entries ?? countEntries(bytes, at + batchHeadBytes, last + 1);
  return { type: 'torn', seq, offset: at, bytes: last + 1 - at, entries };
}

function laterBatch(bytes: Buffer, bad: BadBatch): number | null {
  let hit = bytes.indexOf(batchMagic, bad.at + 1);
  while (hit >= 0) {
    const later = readHead(bytes, hit, bad.salt);
    if (later !== null && later.seq > bad.seq) return hit;
    hit = bytes.indexOf(batchMagic, hit + 1);
  }
  return null;
}

const zeros = Buffer.alloc(64 * 1024);

/** Offset of the last byte from `from` on that is not zero; below `from` if there is none. */
function lastNonZero(bytes: Buffer, from: number): number {
  let end = bytes.length;
  while (end > from) {
    const start = Math.max(from, end - zeros.length);
    if (bytes.compare(zeros, 0, end - start, start, end) !== 0) break;
    end = start;
  }
  let i = end - 1;
  while (i >= from && bytes[i] === 0) i--;
  return i;
}
