/**
 * A small value kept in two files, `name.a` and `name.b`, each with a generation and a checksum
 * over the whole file. A write goes to one copy, is fsynced, then to the other: a crash leaves one
 * whole, and the bad copy is mended from it. Both bad: refused, never guessed.
 */
import { join } from 'node:path';
import { AgentError } from '../base/error.ts';
import { crc32c } from './crc32c.ts';
import type { Disk, DiskFile } from './disk.ts';

const magic = Buffer.from('BWTWIN1\n', 'latin1');
const headBytes = 28;
const blockBytes = 512;
const copies = ['a', 'b'] as const;
type Copy = (typeof copies)[number];

interface Whole {
  readonly generation: number;
  readonly text: string;
}

export interface TwinFile<T> {
  value(): T;
  /** Durable in both copies when it resolves; a failed write must end the use of the store. */
  write(value: T): Promise<void>;
  close(): Promise<void>;
}

export interface FoundTwin<T> {
  readonly twin: TwinFile<T>;
  /** What was wrong with a copy, in words; empty when both were whole and the same. */
  readonly notes: readonly string[];
}

/** head: magic 8, checksum 4, file length 4, text length 4, generation 8 (little endian). */
function encode(text: string, generation: number, bytesMin: number): Buffer {
  const body = Buffer.from(text, 'utf8');
  const needed = Math.ceil((headBytes + body.length) / blockBytes) * blockBytes;
  const out = Buffer.alloc(Math.max(needed, bytesMin));
  magic.copy(out, 0);
  out.writeUInt32LE(out.length, 12);
  out.writeUInt32LE(body.length, 16);
  out.writeBigUInt64LE(BigInt(generation), 20);
  body.copy(out, headBytes);
  out.writeUInt32LE(crc32c(out.subarray(12)), 8);
  return out;
}

function decode(bytes: Buffer): Whole | null {
  if (bytes.length < blockBytes || !bytes.subarray(0, 8).equals(magic)) return null;
  if (bytes.readUInt32LE(12) !== bytes.length) return null;
  if (bytes.readUInt32LE(8) !== crc32c(bytes.subarray(12))) return null;
  const length = bytes.readUInt32LE(16);
  const generation = Number(bytes.readBigUInt64LE(20));
  return { generation, text: bytes.toString('utf8', headBytes, headBytes + length) };
}

interface Place {
  readonly disk: Disk;
  readonly dir: string;
  readonly name: string;
}

const pathOf = (place: Place, copy: Copy): string => join(place.dir, `${place.name}.${copy}`);

/** New copies, each complete before it gets its name; the caller syncs the folder. */
async function createCopy(place: Place, copy: Copy, bytes: Buffer): Promise<void> {
  const path = pathOf(place, copy);
  const file = await place.disk.create(`${path}.tmp`);
  try {
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await place.disk.rename(`${path}.tmp`, path);
}

/** Makes both copies of a new value. The names are durable once the caller syncs the folder. */
export async function createTwin<T>(place: Place, value: T): Promise<void> {
  const bytes = encode(JSON.stringify(value), 1, 0);
  for (const copy of copies) await createCopy(place, copy, bytes);
}

/** Which copy holds the value, and what was wrong with the other. */
function choose(place: Place, found: Record<Copy, Buffer | null>) {
  const notes: string[] = [];
  const whole: Partial<Record<Copy, Whole>> = {};
  for (const copy of copies) {
    const bytes = found[copy];
    const value = bytes === null ? null : decode(bytes);
    if (value !== null) whole[copy] = value;
    else notes.push(`${place.name}.${copy} is ${bytes === null ? 'missing' : 'damaged'}`);
  }
  const [a, b] = [whole.a, whole.b];
  if (!a && !b)
    throw new AgentError(
      'damaged',
      `both copies of ${join(place.dir, place.name)}.a/.b fail their check (from offset 0)`,
    );
  if (a && b && a.generation !== b.generation)
    notes.push(`${place.name}.${a.generation > b.generation ? 'b' : 'a'} is older than its twin`);
  const best: Copy = !b || (a && a.generation >= b.generation) ? 'a' : 'b';
  return { best, whole: whole[best] as Whole, notes };
}

/**
 * Opens the value; null if neither copy exists. Both copies are written again, the lesser one
 * first, so that what was read is durable in both whatever happened before.
 */
export async function openTwin<T>(
  place: Place,
  parse: (value: unknown) => T,
): Promise<FoundTwin<T> | null> {
  const found = {
    a: await place.disk.read(pathOf(place, 'a')),
    b: await place.disk.read(pathOf(place, 'b')),
  };
  if (found.a === null && found.b === null) return null;
  const { best, whole, notes } = choose(place, found);
  const value = parse(JSON.parse(whole.text));
  const bytes = encode(whole.text, whole.generation, 0);
  const lesser: Copy = best === 'a' ? 'b' : 'a';
  if (found[lesser] === null) {
    await createCopy(place, lesser, bytes);
    await place.disk.syncDir(place.dir);
  }
  const files = {
    a: await place.disk.open(pathOf(place, 'a')),
    b: await place.disk.open(pathOf(place, 'b')),
  };
  for (const copy of [lesser, best]) {
    await files[copy].truncate(bytes.length);
    await files[copy].write(bytes, 0);
    await files[copy].sync();
  }
  return {
    twin: twinOf(files, { value, generation: whole.generation, fileBytes: bytes.length }),
    notes,
  };
}

function twinOf<T>(
  files: Record<Copy, DiskFile>,
  start: { value: T; generation: number; fileBytes: number },
): TwinFile<T> {
  let { value, generation, fileBytes } = start;
  return {
    value: () => value,
    write: async (next) => {
      const bytes = encode(JSON.stringify(next), generation + 1, fileBytes);
      for (const copy of copies) {
        await files[copy].write(bytes, 0);
        await files[copy].sync();
      }
      [value, generation, fileBytes] = [next, generation + 1, bytes.length];
    },
    close: async () => {
      for (const copy of copies) await files[copy].close();
    },
  };
}
