/**
 * The commonest entries of the log, writes to the shared index, read straight from their bytes: an
 * envelope as this program writes it, without idempotency key, that holds one `index.put` or
 * `index.rm` or a batch of them. Values stay the bytes that they are. Whatever has another shape,
 * be it only a field more, answers null and is for `decodeEnvelope`, which knows everything.
 */
import type { SessionId } from '../base/brand.ts';
import { argumentEnd, isAscii, readArgument, skipCanonical } from './canonical-scan.ts';
import { indexTypes } from './command.ts';

export type IndexType = (typeof indexTypes)[number];

export interface IndexWrite {
  readonly index: IndexType;
  readonly key: string;
  /** CBOR of a map; null: the entry is removed. */
  readonly value: Uint8Array | null;
  readonly expectedVersion: number | null;
}

export interface IndexWrites {
  readonly session: SessionId;
  readonly seq: number;
  readonly atMs: number;
  /** All or none, answered as a batch; otherwise there is one write. */
  readonly batch: boolean;
  readonly writes: readonly IndexWrite[];
}

const keyCharactersMax = 512;
const batchMax = 1000;
const text = (value: string): Buffer => Buffer.from(value, 'latin1');
/** A short text with its head. */
const named = (name: string): string => String.fromCharCode(0x60 | name.length) + name;

const opening = text(`\xa6${named('v')}\x01${named('seq')}`);
const atMsName = text(named('atMs'));
const commandName = text(named('command'));
const sessionName = text(`${named('session')}\x78\x20`);
const ending = text(`${named('idempotency')}\xf6`);
const batchHead = text(`\xa2${named('type')}${named('batch')}${named('commands')}`);
const putHead = text(`\xa5${named('key')}`);
const removeHead = text(`\xa4${named('key')}`);
const putType = text(`${named('type')}${named('index.put')}${named('index')}`);
const removeType = text(`${named('type')}${named('index.rm')}${named('index')}`);
const valueName = text(named('value'));
const expectedName = text(named('expectedVersion'));
const typeNames = indexTypes.map((type) => ({ type, bytes: text(named(type)) }));

/** What is being read, and how far that has come. */
let bytes: Buffer = Buffer.alloc(0);
let at = 0;

function matches(wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function take(wanted: Buffer): boolean {
  if (!matches(wanted)) return false;
  at += wanted.length;
  return true;
}

/** An unsigned integer, or -1. */
function takeInteger(): number {
  if ((bytes[at] ?? 255) >> 5 !== 0) return -1;
  const value = readArgument(bytes, at);
  at = argumentEnd();
  return value;
}

function takeSession(): string | null {
  if (at + 32 > bytes.length) return null;
  for (let i = at; i < at + 32; i++) {
    const byte = bytes[i] as number;
    if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return null;
  }
  at += 32;
  return bytes.toString('latin1', at - 32, at);
}

/** A text of ASCII characters that may be a key, or null. */
function takeKey(): string | null {
  if ((bytes[at] ?? 255) >> 5 !== 3) return null;
  const length = readArgument(bytes, at);
  if (length < 1 || length > keyCharactersMax) return null;
  const from = argumentEnd();
  const to = from + length;
  if (to > bytes.length || !isAscii(bytes, from, to)) return null;
  at = to;
  return bytes.toString('latin1', from, to);
}

function takeType(): IndexType | null {
  for (const { type, bytes: name } of typeNames) if (take(name)) return type;
  return null;
}

/** undefined: not as expected. */
function takeExpected(): number | null | undefined {
  if (!take(expectedName)) return undefined;
  if (bytes[at] === 0xf6) {
    at += 1;
    return null;
  }
  const version = takeInteger();
  return version < 0 ? undefined : version;
}

function takeValue(): Uint8Array | null {
  if (!take(valueName) || (bytes[at] ?? 0) >> 5 !== 5) return null;
  const from = at;
  const to = skipCanonical(bytes, from);
  if (to < 0) return null;
  at = to;
  return bytes.subarray(from, to);
}

function takeWrite(): IndexWrite | null {
  const isPut = take(putHead);
  if (!isPut && !take(removeHead)) return null;
  const key = takeKey();
  if (key === null || !take(isPut ? putType : removeType)) return null;
  const index = takeType();
  if (index === null) return null;
  const value = isPut ? takeValue() : null;
  if (isPut && value === null) return null;
  const expectedVersion = takeExpected();
  return expectedVersion === undefined ? null : { index, key, value, expectedVersion };
}

function takeBatch(): IndexWrite[] | null {
  if ((bytes[at] ?? 0) >> 5 !== 4) return null;
  const count = readArgument(bytes, at);
  at = argumentEnd();
  if (count < 1 || count > batchMax) return null;
  const writes: IndexWrite[] = [];
  for (let i = 0; i < count; i++) {
    const write = takeWrite();
    if (write === null) return null;
    writes.push(write);
  }
  return writes;
}

function takeEnvelope(): IndexWrites | null {
  if (!take(opening)) return null;
  const seq = takeInteger();
  if (seq < 0 || !take(atMsName)) return null;
  const atMs = takeInteger();
  if (atMs < 0 || !take(commandName)) return null;
  const batch = take(batchHead);
  const single = batch ? null : takeWrite();
  const writes = batch ? takeBatch() : single && [single];
  if (writes === null || !take(sessionName)) return null;
  const session = takeSession();
  if (session === null || !take(ending) || at !== bytes.length) return null;
  return { session, seq, atMs, batch, writes };
}

/** The writes of an entry's data, or null when it is not one of these. */
export function readIndexWrites(data: Uint8Array): IndexWrites | null {
  bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  at = 0;
  return takeEnvelope();
}
