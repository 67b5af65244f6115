/**
 * The bytes of the log: a batch is what one fdatasync makes durable, a header followed by records.
 * Every record carries its length and a CRC-32C that continues the one before it, and a batch the
 * link to the batch before it, so that nothing can be swapped, left out or taken from elsewhere.
 * A batch counts whole or not at all.
 */
import type { LogIndex, Term } from '../base/brand.ts';
import type { SnapshotMeta } from '../consensus/api.ts';
import { type Entry, entryKinds } from '../wire/entry.ts';
import { crc32c } from './crc32c.ts';

export type LogRecord =
  | { readonly type: 'entry'; readonly entry: Entry }
  /** Every entry above the index is dropped. */
  | { readonly type: 'cut'; readonly backTo: LogIndex }
  /** Everything is dropped; the log goes on after the snapshot. */
  | { readonly type: 'install'; readonly meta: SnapshotMeta };

/** magic 4, crc 4, seq 8, body bytes 4, records 4, entries 4, link 4, previous end 8, spare 8. */
export const batchHeadBytes = 48;
export const batchMagic = Buffer.from('BWB\n', 'latin1');
const recordHeadBytes = 9;
const entryHeadBytes = 1 + 6 + 6 + 32;
const typeEntry = 1;
const typeCut = 2;
const typeInstall = 3;

export interface BatchHead {
  /** Position in the life of this log, from 1, without gaps. */
  readonly seq: number;
  readonly bodyBytes: number;
  readonly records: number;
  readonly entries: number;
  /** Link of the batch before: the checksum of its last record. */
  readonly link: number;
  /** The checksum of this head; its records continue it. */
  readonly crc: number;
}

function payloadBytes(record: LogRecord): number {
  if (record.type === 'entry') return entryHeadBytes + record.entry.data.length;
  return record.type === 'cut' ? 6 : Buffer.byteLength(JSON.stringify(record.meta));
}

function writePayload(out: Buffer, at: number, record: LogRecord): void {
  if (record.type === 'entry') {
    const { kind, index, term, hash, data } = record.entry;
    out[at] = entryKinds.indexOf(kind);
    out.writeUIntLE(index, at + 1, 6);
    out.writeUIntLE(term, at + 7, 6);
    out.write(hash, at + 13, 32, 'hex');
    out.set(data, at + entryHeadBytes);
  } else if (record.type === 'cut') out.writeUIntLE(record.backTo, at, 6);
  else out.write(JSON.stringify(record.meta), at, 'utf8');
}

const typeOf = { entry: typeEntry, cut: typeCut, install: typeInstall } as const;

/** The bytes of a batch and the link that the next one must carry. */
export function encodeBatch(batch: {
  readonly seq: number;
  readonly link: number;
  readonly salt: number;
  readonly records: readonly LogRecord[];
}): { bytes: Buffer; link: number } {
  const sizes = batch.records.map(payloadBytes);
  const bodyBytes = sizes.reduce((sum, size) => sum + size + recordHeadBytes, 0);
  const out = Buffer.alloc(batchHeadBytes);
  const bytes = Buffer.allocUnsafe(batchHeadBytes + bodyBytes);
  batchMagic.copy(out, 0);
  out.writeBigUInt64LE(BigInt(batch.seq), 8);
  out.writeUInt32LE(bodyBytes, 16);
  out.writeUInt32LE(batch.records.length, 20);
  out.writeUInt32LE(batch.records.filter((record) => record.type === 'entry').length, 24);
  out.writeUInt32LE(batch.link, 28);
  let crc = crc32c(out.subarray(8), batch.salt);
  out.writeUInt32LE(crc, 4);
  out.copy(bytes, 0);
  let at = batchHeadBytes;
  batch.records.forEach((record, i) => {
    const size = sizes[i] as number;
    bytes.writeUInt32LE(size, at);
    bytes[at + 8] = typeOf[record.type];
    writePayload(bytes, at + recordHeadBytes, record);
    crc = crc32c(bytes.subarray(at, at + 4), crc);
    crc = crc32c(bytes.subarray(at + 8, at + recordHeadBytes + size), crc);
    bytes.writeUInt32LE(crc, at + 4);
    at += recordHeadBytes + size;
  });
  return { bytes, link: crc };
}

/** The head at `at`, or null if there is none that passes its check. */
export function readHead(bytes: Buffer, at: number, salt: number): BatchHead | null {
  if (at + batchHeadBytes > bytes.length) return null;
  if (!bytes.subarray(at, at + 4).equals(batchMagic)) return null;
  const crc = bytes.readUInt32LE(at + 4);
  if (crc !== crc32c(bytes.subarray(at + 8, at + batchHeadBytes), salt)) return null;
  return {
    seq: Number(bytes.readBigUInt64LE(at + 8)),
    bodyBytes: bytes.readUInt32LE(at + 16),
    records: bytes.readUInt32LE(at + 20),
    entries: bytes.readUInt32LE(at + 24),
    link: bytes.readUInt32LE(at + 28),
    crc,
  };
}

export interface PlacedRecord {
  readonly record: LogRecord;
  readonly offset: number;
}

/** The records of the batch at `at`, or the offset of the first one that fails its check. */
export function readRecords(
  bytes: Buffer,
  at: number,
  head: BatchHead,
): { records: PlacedRecord[]; link: number } | { badAt: number } {
  const end = at + batchHeadBytes + head.bodyBytes;
  if (end > bytes.length) return { badAt: at };
  const records: PlacedRecord[] = [];
  let crc = head.crc;
  let offset = at + batchHeadBytes;
  while (offset < end) {
    if (offset + recordHeadBytes > end) return { badAt: offset };
    const size = bytes.readUInt32LE(offset);
    const next = offset + recordHeadBytes + size;
    if (next > end) return { badAt: offset };
    crc = crc32c(bytes.subarray(offset, offset + 4), crc);
    crc = crc32c(bytes.subarray(offset + 8, next), crc);
    const record = crc === bytes.readUInt32LE(offset + 4) ? readRecord(bytes, offset, next) : null;
    if (record === null) return { badAt: offset };
    records.push({ record, offset });
    offset = next;
  }
  return records.length === head.records ? { records, link: crc } : { badAt: at };
}

function readRecord(bytes: Buffer, offset: number, end: number): LogRecord | null {
  const at = offset + recordHeadBytes;
  const type = bytes[offset + 8];
  if (type === typeCut) return { type: 'cut', backTo: bytes.readUIntLE(at, 6) };
  if (type === typeInstall)
    return { type: 'install', meta: JSON.parse(bytes.toString('utf8', at, end)) as SnapshotMeta };
  const kind = type === typeEntry ? entryKinds[bytes[at] as number] : undefined;
  if (kind === undefined) return null;
  const index: LogIndex = bytes.readUIntLE(at + 1, 6);
  const term: Term = bytes.readUIntLE(at + 7, 6);
  const hash = bytes.toString('hex', at + 13, at + entryHeadBytes);
  // A copy: an entry must not keep a whole segment's buffer in memory.
  const data = Buffer.from(bytes.subarray(at + entryHeadBytes, end));
  return { type: 'entry', entry: { index, term, kind, data, hash } };
}

/** How many entries seem to stand between two offsets whose batch head is lost. */
export function countEntries(bytes: Buffer, from: number, end: number): number {
  let count = 0;
  for (let at = from; at + recordHeadBytes <= end; ) {
    const type = bytes[at + 8] as number;
    if (type < typeEntry || type > typeInstall) break;
    if (type === typeEntry) count++;
    at += recordHeadBytes + bytes.readUInt32LE(at);
  }
  return count;
}
