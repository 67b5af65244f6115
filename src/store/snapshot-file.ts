/**
 * A catalog snapshot as a file: a magic line, the index it was taken at, the chunks of the dump
 * with their lengths, and the SHA-256 of all that at the end. It is verified whole before the first
 * chunk is used, and it never replaces anything by being half there. Used in the catalog's threads,
 * hence the synchronous calls.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

const magic = Buffer.from('BWSNAP1\n', 'latin1');
const headBytes = magic.length + 8;
const hashBytes = 32;
const blockBytes = 1024 * 1024;

export interface SnapshotFacts {
  readonly path: string;
  readonly index: LogIndex;
  readonly bytes: number;
  /** Of the whole file. */
  readonly sha256: string;
}

export function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done);
}

/** Writes the file under a passing name first; it is durable when this returns. */
export function writeSnapshot(
  path: string,
  index: LogIndex,
  chunks: Iterable<Uint8Array>,
): SnapshotFacts {
  const passing = `${path}.tmp`;
  const file = openSync(passing, 'w', 0o600);
  const hash = createHash('sha256');
  let bytes = 0;
  const put = (part: Uint8Array) => {
    hash.update(part);
    writeAll(file, part);
    bytes += part.length;
  };
  try {
    const head = Buffer.alloc(headBytes);
    magic.copy(head);
    head.writeBigUInt64LE(BigInt(index), magic.length);
    put(head);
    for (const chunk of chunks) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(chunk.length);
      put(length);
      put(chunk);
    }
    const footer = hash.copy().digest();
    put(footer);
    fdatasyncSync(file);
  } catch (thrown) {
    rmSync(passing, { force: true });
    throw thrown;
  } finally {
    closeSync(file);
  }
  renameSync(passing, path);
  syncPath(dirname(path));
  return { path, index, bytes, sha256: hash.digest('hex') };
}

function readAt(file: number, position: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const read = readSync(file, out, done, length - done, position + done);
    if (read === 0) return out.subarray(0, done);
    done += read;
  }
  return out;
}

/** Reads the file once to compare its hash; throws `damaged` naming file and offset. */
function verify(path: string, file: number): { index: LogIndex; end: number } {
  const { size } = fstatSync(file);
  const end = size - hashBytes;
  const bad = (what: string, offset: number) =>
    new AgentError('damaged', `snapshot ${path}: ${what} at offset ${offset}`);
  const head = readAt(file, 0, headBytes);
  if (end < headBytes || !head.subarray(0, magic.length).equals(magic))
    throw bad('no snapshot header', 0);
  const hash = createHash('sha256');
  for (let at = 0; at < end; at += blockBytes)
    hash.update(readAt(file, at, Math.min(blockBytes, end - at)));
  if (!hash.digest().equals(readAt(file, end, hashBytes)))
    throw bad('the SHA-256 over the file does not match the one stored', end);
  return { index: Number(head.readBigUInt64LE(magic.length)), end };
}

/** Verifies the file and hands its chunks to `use`. */
export function readSnapshot<T>(
  path: string,
  use: (index: LogIndex, chunks: Iterable<Uint8Array>) => T,
): T {
  const file = openSync(path, 'r');
  try {
    const { index, end } = verify(path, file);
    return use(index, chunksOf(file, end));
  } finally {
    closeSync(file);
  }
}

function* chunksOf(file: number, end: number): Iterable<Uint8Array> {
  for (let at = headBytes; at < end; ) {
    const length = readAt(file, at, 4).readUInt32LE(0);
    yield readAt(file, at + 4, length);
    at += 4 + length;
  }
}
