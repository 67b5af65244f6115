/**
 * The whole state as bytes and back. A stream of frames (4 bytes of length, then CBOR): a header
 * with the version, per table its name and its rows in key order, a trailer with row counts, the
 * digest and a hash of all before it; cut into chunks without regard to frames, since one row may
 * be larger than a chunk. Nothing of SQLite is in it. A restore reads all of it and compares
 * counts and digest before the transaction around it may commit.
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { decode as decodeCbor, encode as encodeCbor } from '../wire/cbor.ts';
import type { Meta } from './catalog.ts';
import type { SqlValue } from './digest.ts';
import type { Row, Table } from './table.ts';
import type { Tables } from './tables.ts';

export const chunkBytesMax = 64 * 1024;
/** A row is at most one entry (1 MiB) and some names. */
const frameBytesMax = 2 * 1024 * 1024;
const dumpVersion = 1;

const headerSchema = z.looseObject({
  format: z.literal('bellwether-catalog'),
  version: z.literal(dumpVersion),
  applied: z.int().min(0),
});
const trailerSchema = z.looseObject({
  end: z.literal(true),
  rows: z.record(z.string(), z.int().min(0)),
  digest: z.string().length(64),
  /** SHA-256 over every frame before this one, their lengths included. */
  sha256: z.string().length(64),
});
const rowsSchema = z.looseObject({ table: z.string(), columns: z.array(z.string()) });

/** Frames with their lengths, in order. */
function* frames(tables: Tables, meta: Meta): Generator<Uint8Array> {
  const counts: Record<string, number> = {};
  const sha256 = createHash('sha256');
  const framed = (value: unknown): Uint8Array => {
    const body = encodeCbor(value);
    const bytes = Buffer.allocUnsafe(4 + body.length);
    bytes.writeUInt32BE(body.length);
    bytes.set(body, 4);
    sha256.update(bytes);
    return bytes;
  };
  const format = 'bellwether-catalog';
  yield framed({ format, version: dumpVersion, applied: meta.applied() });
  for (const table of tables.state) {
    const { name, columns } = table.spec;
    let count = 0;
    yield framed({ table: name, columns: [...columns] });
    for (const row of table.rows()) {
      yield framed(table.valuesOf(row));
      count++;
    }
    counts[name] = count;
  }
  const sum = sha256.copy().digest('hex');
  yield framed({ end: true, rows: counts, digest: meta.digest(), sha256: sum });
}

/** Reads inside one transaction, so that a writer on another connection doesn't show. */
export function* dumpState(db: DatabaseSync, tables: Tables, meta: Meta): Generator<Uint8Array> {
  const own = !db.isTransaction;
  if (own) db.exec('BEGIN');
  try {
    let chunk = Buffer.allocUnsafe(chunkBytesMax);
    let used = 0;
    for (const frame of frames(tables, meta)) {
      for (let at = 0; at < frame.length; ) {
        const size = Math.min(frame.length - at, chunkBytesMax - used);
        chunk.set(frame.subarray(at, at + size), used);
        at += size;
        used += size;
        if (used < chunkBytesMax) continue;
        yield chunk;
        chunk = Buffer.allocUnsafe(chunkBytesMax);
        used = 0;
      }
    }
    if (used > 0) yield chunk.subarray(0, used);
  } finally {
    if (own && db.isTransaction) db.exec('COMMIT');
  }
}

const damaged = (what: string): AgentError =>
  new AgentError('damaged', `the catalog snapshot is not whole: ${what}`);

/** Cuts the chunks back into decoded frames; holds at most one frame and one chunk. */
function* decodedFrames(
  chunks: Iterable<Uint8Array>,
): Generator<{ readonly frame: unknown; readonly sha256Before: () => string }> {
  const sha256 = createHash('sha256');
  let rest = Buffer.alloc(0);
  for (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const size = rest.readUInt32BE(at);
      if (size > frameBytesMax) throw damaged(`a frame of ${size} bytes`);
      if (rest.length - at - 4 < size) break;
      const end = at + 4 + size;
      const frame = decodeFrame(rest.subarray(at + 4, end));
      yield { frame, sha256Before: () => sha256.copy().digest('hex') };
      sha256.update(rest.subarray(at, end));
      at = end;
    }
    rest = rest.subarray(at);
  }
  if (rest.length > 0) throw damaged(`${rest.length} bytes after the last frame`);
}

function decodeFrame(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch (cause) {
    throw new AgentError('damaged', 'the catalog snapshot holds a frame that is not CBOR', {
      cause,
    });
  }
}

/** Replaces every state row; the caller's transaction is rolled back when this throws. */
export function restoreState(
  tables: Tables,
  chunks: Iterable<Uint8Array>,
): { applied: LogIndex; digest: string } {
  tables.clear();
  const counts: Record<string, number> = {};
  let applied: LogIndex | null = null;
  let table: Table<Row> | null = null;
  let end: z.infer<typeof trailerSchema> | null = null;
  for (const { frame, sha256Before } of decodedFrames(chunks)) {
    if (end !== null) throw damaged('frames after the end');
    if (applied === null) {
      const header = headerSchema.safeParse(frame);
      if (!header.success) throw damaged('no header that this program knows');
      applied = header.data.applied;
    } else if (Array.isArray(frame)) {
      if (table === null) throw damaged('rows before a table');
      insertRow(table, frame as SqlValue[]);
      counts[table.spec.name] = (counts[table.spec.name] ?? 0) + 1;
    } else {
      const trailer = trailerSchema.safeParse(frame);
      if (trailer.success && trailer.data.sha256 !== sha256Before()) throw damaged('its hash');
      if (trailer.success) end = trailer.data;
      else table = nextTable(tables, counts, frame);
    }
  }
  if (applied === null || end === null) throw damaged('it ends early');
  for (const { spec } of tables.state)
    if (counts[spec.name] !== end.rows[spec.name]) throw damaged(`row count of ${spec.name}`);
  const digest = tables.digest.text();
  if (digest !== end.digest) throw damaged(`digest ${digest}, named ${end.digest}`);
  return { applied, digest };
}

function nextTable(tables: Tables, counts: Record<string, number>, frame: unknown): Table<Row> {
  const named = rowsSchema.safeParse(frame);
  const table = tables.state.find(({ spec }) => spec.name === named.data?.table);
  if (table === undefined) throw damaged('a table that this program does not know');
  if (counts[table.spec.name] !== undefined) throw damaged(`${table.spec.name} comes twice`);
  if (named.data?.columns.join() !== table.spec.columns.join())
    throw damaged(`columns of ${table.spec.name}`);
  counts[table.spec.name] = 0;
  return table;
}

function insertRow(table: Table<Row>, values: SqlValue[]): void {
  const { name, columns } = table.spec;
  if (values.length !== columns.length) throw damaged(`a row of ${name} has another length`);
  const row: Row = {};
  for (const [at, column] of columns.entries()) {
    const value = values[at];
    const plain =
      value === null ||
      typeof value === 'number' ||
      typeof value === 'string' ||
      value instanceof Uint8Array;
    if (!plain) throw damaged(`a value of ${name}.${column}`);
    row[column] = value;
  }
  try {
    table.put(row, null);
  } catch (cause) {
    if (!isConstraint(cause)) throw cause; // the disk's trouble, not the snapshot's
    throw new AgentError('damaged', `the catalog snapshot has a row that ${name} refuses`, {
      cause,
    });
  }
}

/** SQLITE_CONSTRAINT, the low byte of an extended result code. */
const isConstraint = (thrown: unknown): boolean =>
  thrown instanceof Error && 'errcode' in thrown && (Number(thrown.errcode) & 0xff) === 19;
