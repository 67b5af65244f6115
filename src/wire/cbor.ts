/**
 * CBOR for messages, log entries and rows: the bytes are exactly those of `cborg` (canonical order
 * of keys, shortest numbers), written and read several times faster. Everything that our own
 * values are made of takes the short way here; whatever else there may be (tags, indefinite
 * lengths, integers beyond 2^53, other keys than ASCII, malformed bytes) is left to `cborg`, so
 * that what is accepted, refused and written stays its decision.
 */
import { decode as decodeSlowly, encode as encodeSlowly } from 'cborg';
import { CborReader } from './cbor-reader.ts';

const scratchBytesMin = 64 * 1024;
/** A larger scratch is given back after its one use. */
const scratchBytesMax = 1024 * 1024;
/** Deeper values are left to `cborg`, circular ones among them. */
const nestingShort = 64;
/** Keys whose bytes are remembered, and the longest of them. */
const keysMax = 4096;
const keyCharactersMax = 64;

let scratch = Buffer.allocUnsafeSlow(scratchBytesMin);
let at = 0;
const keys = new Map<string, Uint8Array>();
const floats = new DataView(new ArrayBuffer(4));

/** The bytes of a value. */
export function encode(value: unknown): Uint8Array {
  at = 0;
  const whole = write(value, 0);
  const bytes = whole ? copied(0) : encodeSlowly(value);
  if (scratch.length > scratchBytesMax) scratch = Buffer.allocUnsafeSlow(scratchBytesMin);
  return bytes;
}

/** The value of the bytes; throws when they are not exactly one item of CBOR. */
export function decode(bytes: Uint8Array): unknown {
  const reader = new CborReader(bytes, nestingShort);
  const value = reader.item(0);
  return reader.isWhole() ? value : decodeSlowly(bytes);
}

const copied = (from: number): Uint8Array => new Uint8Array(scratch.buffer.slice(from, at));

function reserve(bytes: number): void {
  if (at + bytes <= scratch.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(scratch.length * 2, at + bytes));
  scratch.copy(larger, 0, 0, at);
  scratch = larger;
}

/** Writes the head of an item. */
function head(major: number, argument: number): void {
  reserve(9);
  if (argument < 24) scratch[at++] = major | argument;
  else if (argument < 0x100) {
    scratch[at++] = major | 24;
    scratch[at++] = argument;
  } else if (argument < 0x10000) {
    scratch[at] = major | 25;
    at = scratch.writeUInt16BE(argument, at + 1);
  } else if (argument < 0x1_0000_0000) {
    scratch[at] = major | 26;
    at = scratch.writeUInt32BE(argument, at + 1);
  } else {
    scratch[at] = major | 27;
    const high = Math.floor(argument / 0x1_0000_0000);
    at = scratch.writeUInt32BE(high, at + 1);
    at = scratch.writeUInt32BE(argument - high * 0x1_0000_0000, at);
  }
}

/** Whether the value was written; otherwise what is in the scratch is worth nothing. */
function write(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      writeText(value);
      return true;
    case 'number':
      return Number.isSafeInteger(value) ? writeInteger(value) : writeFloat(value);
    case 'boolean':
      reserve(1);
      scratch[at++] = value ? 0xf5 : 0xf4;
      return true;
    case 'undefined':
      reserve(1);
      scratch[at++] = 0xf7;
      return true;
    case 'object':
      return writeObject(value, depth);
    default:
      return false;
  }
}

function writeInteger(value: number): boolean {
  if (value >= 0) head(0x00, value);
  else head(0x20, -1 - value);
  return true;
}

function writeFloat(value: number): boolean {
  if (!Number.isFinite(value)) return false;
  reserve(9);
  if (Math.fround(value) !== value) {
    scratch[at] = 0xfb;
    at = scratch.writeDoubleBE(value, at + 1);
    return true;
  }
  floats.setFloat32(0, value);
  const bits = floats.getUint32(0);
  const exponent = ((bits >>> 23) & 0xff) - 127;
  // What a half float would hold as a subnormal number is rare, and not worth the lines.
  if (exponent >= -24 && exponent < -14) return false;
  if (exponent >= -14 && exponent <= 15 && (bits & 0x1fff) === 0) {
    const sign = (bits >>> 16) & 0x8000;
    scratch[at] = 0xf9;
    at = scratch.writeUInt16BE(sign | ((exponent + 15) << 10) | ((bits >>> 13) & 0x3ff), at + 1);
    return true;
  }
  scratch[at] = 0xfa;
  at = scratch.writeFloatBE(value, at + 1);
  return true;
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

function writeText(text: string): void {
  const { length } = text;
  if (isAscii(text)) {
    head(0x60, length);
    reserve(length);
    if (length > 24) at += scratch.write(text, at, 'latin1');
    else for (let i = 0; i < length; i++) scratch[at++] = text.charCodeAt(i);
    return;
  }
  const bytes = Buffer.byteLength(text, 'utf8');
  head(0x60, bytes);
  reserve(bytes);
  at += scratch.write(text, at, 'utf8');
}

function writeBytes(bytes: Uint8Array): void {
  head(0x40, bytes.length);
  reserve(bytes.length);
  scratch.set(bytes, at);
  at += bytes.length;
}

function writeObject(value: object | null, depth: number): boolean {
  if (value === null) {
    reserve(1);
    scratch[at++] = 0xf6;
    return true;
  }
  if (depth >= nestingShort) return false;
  if (Array.isArray(value)) {
    head(0x80, value.length);
    for (let i = 0; i < value.length; i++) if (!write(value[i], depth + 1)) return false;
    return true;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return writeMap(value as Record<string, unknown>, depth);
  if (prototype !== Uint8Array.prototype && prototype !== Buffer.prototype) return false;
  writeBytes(value as Uint8Array);
  return true;
}

/** Shorter keys first, then by their bytes. */
const isBefore = (a: string, b: string): boolean =>
  a.length < b.length || (a.length === b.length && a < b);

function writeMap(value: Record<string, unknown>, depth: number): boolean {
  const names = Object.keys(value);
  for (let i = 1; i < names.length; i++) {
    const name = names[i] as string;
    let hole = i;
    for (; hole > 0 && isBefore(name, names[hole - 1] as string); hole--)
      names[hole] = names[hole - 1] as string;
    names[hole] = name;
  }
  head(0xa0, names.length);
  for (const name of names) if (!writeKey(name) || !write(value[name], depth + 1)) return false;
  return true;
}

function writeKey(name: string): boolean {
  const known = keys.get(name);
  if (known !== undefined) {
    reserve(known.length);
    scratch.set(known, at);
    at += known.length;
    return true;
  }
  if (!isAscii(name)) return false;
  const from = at;
  writeText(name);
  if (name.length > keyCharactersMax) return true;
  if (keys.size >= keysMax) keys.clear();
  keys.set(name, copied(from));
  return true;
}
