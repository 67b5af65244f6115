/**
 * A backup as one file: a magic line, then parts (one letter, four bytes of length, the bytes): the
 * header, the chunks of the catalog snapshot, those of the blocks as CAR if they are in it, an end
 * with the lengths and sums of both; last the SHA-256 of everything before. It can be written while
 * it is sent, and is believed only after all of it was read back.
 */
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import type { ClusterId, EpochId, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { SnapshotMeta } from '../consensus/api.ts';
import { storedMetaSchema } from './start-position.ts';

const magic = Buffer.from('BWBACK1\n', 'latin1');
const headBytes = 5;
const hashBytes = 32;
const partBytesMax = 1024 * 1024;
/** Roots that are named as not contained; more are only counted. */
export const missingMax = 1000;

const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

const headerSchema = z.looseObject({
  format: z.literal('bellwether-backup'),
  version: z.literal(1),
  /** RFC 3339. */
  createdAt: z.string().max(64),
  software: z.string().max(64),
  clusterId: hex32,
  epoch: hex32,
  epochNumber: z.int().min(0),
  parentEpoch: hex32.nullable(),
  /** Where in the log the catalog was when it was taken. */
  meta: storedMetaSchema,
  node: z.looseObject({ name: z.string().max(128), peerId: z.string().max(128) }),
  /** It holds every write that was acknowledged before it was begun. */
  linearizable: z.boolean(),
  withBlocks: z.boolean(),
});
export interface BackupHeader {
  readonly format: 'bellwether-backup';
  readonly version: 1;
  readonly createdAt: string;
  readonly software: string;
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  readonly epochNumber: number;
  readonly parentEpoch: EpochId | null;
  readonly meta: SnapshotMeta;
  readonly node: { readonly name: string; readonly peerId: PeerId };
  readonly linearizable: boolean;
  readonly withBlocks: boolean;
}

const sumSchema = z.looseObject({ bytes: z.int().min(0), sha256: hex64 });
const endSchema = z.looseObject({
  catalog: sumSchema,
  blocks: sumSchema.nullable(),
  /** Pins of the cluster whose blocks are not in the file. */
  missing: z.array(z.string().max(200)).max(missingMax),
  missingCount: z.int().min(0),
});
export type BackupEnd = z.infer<typeof endSchema>;

export interface BackupParts {
  readonly header: BackupHeader;
  readonly catalog: AsyncIterable<Uint8Array>;
  readonly blocks: AsyncIterable<Uint8Array> | null;
  /** Pins whose blocks are not in it; asked when everything else is written. */
  missing(): readonly string[];
}

type Letter = 'H' | 'C' | 'B' | 'E';

function encodePart(letter: Letter, bytes: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(headBytes + bytes.length);
  out[0] = letter.charCodeAt(0);
  out.writeUInt32BE(bytes.length, 1);
  out.set(bytes, headBytes);
  return out;
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value), 'utf8');

/** The bytes of a backup, in order. */
export async function* encodeBackup(parts: BackupParts): AsyncGenerator<Uint8Array> {
  const whole = createHash('sha256');
  const seen = (bytes: Uint8Array): Uint8Array => {
    whole.update(bytes);
    return bytes;
  };
  async function* section(letter: Letter, source: AsyncIterable<Uint8Array>, hash: Hash) {
    let bytes = 0;
    for await (const chunk of source)
      for (let at = 0; at < chunk.length; at += partBytesMax) {
        const piece = chunk.subarray(at, at + partBytesMax);
        hash.update(piece);
        bytes += piece.length;
        yield seen(encodePart(letter, piece));
      }
    return { bytes, sha256: hash.digest('hex') };
  }
  yield seen(magic);
  yield seen(encodePart('H', json(parts.header)));
  const catalog = yield* section('C', parts.catalog, createHash('sha256'));
  const blocks =
    parts.blocks === null ? null : yield* section('B', parts.blocks, createHash('sha256'));
  const missing = parts.missing();
  const end: BackupEnd = {
    catalog,
    blocks,
    missing: missing.slice(0, missingMax),
    missingCount: missing.length,
  };
  yield seen(encodePart('E', json(end)));
  yield whole.digest();
}

interface Part {
  readonly letter: string;
  readonly bytes: Buffer;
  readonly offset: number;
}

/** Cuts the file into parts; the last `hashBytes` are compared with what was read. */
async function* partsOf(path: string): AsyncGenerator<Part> {
  const damaged = (what: string, offset: number) =>
    new AgentError('damaged', `backup ${path}: ${what} at offset ${offset}`);
  const { size } = await stat(path);
  const end = size - hashBytes;
  if (end < magic.length) throw damaged('it is too short to be a backup', 0);
  const whole = createHash('sha256');
  let rest: Buffer = Buffer.alloc(0);
  let at = 0;
  let begun = false;
  const source = createReadStream(path, { end: end - 1, highWaterMark: 256 * 1024 });
  for await (const chunk of source as AsyncIterable<Buffer>) {
    whole.update(chunk);
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!begun && rest.length >= magic.length) {
      if (!rest.subarray(0, magic.length).equals(magic)) throw damaged('no backup header', 0);
      rest = rest.subarray(magic.length);
      at = magic.length;
      begun = true;
    }
    while (begun && rest.length >= headBytes) {
      const length = rest.readUInt32BE(1);
      if (length > partBytesMax) throw damaged(`a part of ${length} bytes`, at);
      if (rest.length < headBytes + length) break;
      const bytes = rest.subarray(headBytes, headBytes + length);
      yield { letter: String.fromCharCode(rest[0] ?? 0), bytes, offset: at };
      rest = rest.subarray(headBytes + length);
      at += headBytes + length;
    }
  }
  if (rest.length > 0) throw damaged(`${rest.length} bytes after the last part`, at);
  let stored: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { start: end }) as AsyncIterable<Buffer>)
    stored = Buffer.concat([stored, chunk]);
  if (!whole.digest().equals(stored))
    throw damaged('the SHA-256 over the file does not match', end);
}

/** Header and end must be what the schemas say; `where` names part and offset. */
function parsed<T>(schema: z.ZodType<T>, bytes: Buffer, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new AgentError('damaged', `${where} is not JSON`, { cause });
  }
  const answer = schema.safeParse(value);
  if (answer.success) return answer.data;
  throw new AgentError('damaged', `${where}: ${z.prettifyError(answer.error)}`);
}

/** Writes one section of the backup into a file of its own and sums it up. */
function createSection(path: string) {
  const file = createWriteStream(path, { mode: 0o600 });
  const hash = createHash('sha256');
  let bytes = 0;
  let failure: Error | null = null;
  file.on('error', (error) => {
    failure = error;
  });
  return {
    path,
    write: async (part: Buffer): Promise<void> => {
      if (failure !== null) throw failure;
      hash.update(part);
      bytes += part.length;
      // The part shares its memory with what is read next: a copy waits for the disk.
      const taken = file.write(Buffer.from(part));
      if (!taken) await once(file, 'drain');
    },
    end: async (): Promise<{ bytes: number; sha256: string }> => {
      await new Promise<void>((resolve, reject) => {
        file.once('error', reject);
        file.end(() => resolve());
      });
      return { bytes, sha256: hash.digest('hex') };
    },
  };
}

export interface ExtractedBackup {
  readonly header: BackupHeader;
  readonly end: BackupEnd;
  readonly catalogPath: string;
  readonly blocksPath: string | null;
}

/**
 * Reads all of a backup, checks every sum, and leaves its sections as `catalog.snapshot` and
 * `blocks.car` in `dir`. Throws `damaged` naming file and offset.
 */
export async function extractBackup(path: string, dir: string): Promise<ExtractedBackup> {
  const damaged = (what: string) => new AgentError('damaged', `backup ${path}: ${what}`);
  const catalog = createSection(`${dir}/catalog.snapshot`);
  const blocks = createSection(`${dir}/blocks.car`);
  let header: BackupHeader | null = null;
  let end: BackupEnd | null = null;
  for await (const { letter, bytes, offset } of partsOf(path)) {
    const where = `backup ${path}: the part at offset ${offset}`;
    if (end !== null) throw damaged(`a part after its end at offset ${offset}`);
    if (header === null) {
      if (letter !== 'H') throw damaged('it does not begin with a header');
      header = parsed(headerSchema, bytes, where);
    } else if (letter === 'C') await catalog.write(bytes);
    else if (letter === 'B') await blocks.write(bytes);
    else if (letter === 'E') end = parsed(endSchema, bytes, where);
    // What a later version adds is passed over; the sums still cover it.
  }
  const sums = { catalog: await catalog.end(), blocks: await blocks.end() };
  if (header === null || end === null) throw damaged('it ends early');
  for (const name of ['catalog', 'blocks'] as const) {
    const [found, told] = [sums[name], end[name] ?? { bytes: 0, sha256: sums[name].sha256 }];
    if (found.bytes !== told.bytes || found.sha256 !== told.sha256)
      throw damaged(`${name}: ${found.bytes} bytes of SHA-256 ${found.sha256} were read`);
  }
  if (end.blocks === null) await rm(blocks.path);
  return {
    header,
    end,
    catalogPath: catalog.path,
    blocksPath: end.blocks === null ? null : blocks.path,
  };
}
