/**
 * Many log entries as one byte string. A message on the hot path carries hundreds of entries; as
 * one block they cost a copy and no per-entry CBOR. Indexes are consecutive and not repeated.
 *
 * Layout of one entry: u32 length of data, u8 kind, u48 term, 32 bytes of chain hash, data.
 */
import { AgentError } from '../base/error.ts';
import { type Entry, type EntryKind, entryBytesMax, entryKinds } from './entry.ts';

const headBytes = 4 + 1 + 6 + 32;
/** Most entries in one block. */
export const blockEntriesMax = 4096;

export function packEntries(entries: readonly Entry[]): Uint8Array {
  let bytes = 0;
  for (const entry of entries) bytes += headBytes + entry.data.length;
  const block = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const entry of entries) {
    block.writeUInt32BE(entry.data.length, at);
    block.writeUInt8(entryKinds.indexOf(entry.kind), at + 4);
    block.writeUIntBE(entry.term, at + 5, 6);
    block.write(entry.hash, at + 11, 32, 'hex');
    block.set(entry.data, at + headBytes);
    at += headBytes + entry.data.length;
  }
  return block;
}

const bad = (what: string): AgentError => new AgentError('bad-request', `entries: ${what}`);

/** The entries after `previousIndex`; throws `bad-request` where the block is malformed. */
export function unpackEntries(bytes: Uint8Array, previousIndex: number): Entry[] {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  let index = previousIndex;
  while (at < block.length) {
    if (entries.length >= blockEntriesMax) throw bad(`more than ${blockEntriesMax}`);
    if (at + headBytes > block.length) throw bad('head is cut off');
    const length = block.readUInt32BE(at);
    const kind: EntryKind | undefined = entryKinds[block.readUInt8(at + 4)];
    if (kind === undefined) throw bad('unknown kind');
    if (length > entryBytesMax) throw bad(`${length} bytes of data; at most ${entryBytesMax}`);
    const start = at + headBytes;
    if (start + length > block.length) throw bad('data is cut off');
    index += 1;
    entries.push({
      index,
      term: block.readUIntBE(at + 5, 6),
      kind,
      data: new Uint8Array(bytes.buffer, bytes.byteOffset + start, length),
      hash: block.toString('hex', at + 11, at + headBytes),
    });
    at = start + length;
  }
  return entries;
}
