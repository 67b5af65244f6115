/**
 * Finds the end of a CBOR value that is in the one form in which this program writes it, without
 * decoding it. Such bytes may be kept as they are: decoding and encoding them again would give the
 * same ones. Everything else answers -1, and the caller decodes it the usual way.
 */
import { isUtf8 } from 'node:buffer';

/** Far below the nesting that an entry may have. */
const depthMax = 32;
const protoKey = '__proto__';

/** Set by `readArgument`: where the head that it read ends. */
let end = 0;

/** The argument of the head at `at`, or -1: cut off, unsafe or longer than it must be. */
export function readArgument(bytes: Buffer, at: number): number {
  const minor = (bytes[at] ?? 31) & 31;
  if (minor < 24) {
    end = at + 1;
    return minor;
  }
  const width = 1 << (minor - 24);
  end = at + 1 + width;
  if (minor > 27 || end > bytes.length) return -1;
  const byte = bytes[at + 1] as number;
  if (minor === 24) return byte >= 24 ? byte : -1;
  const value =
    minor === 25
      ? bytes.readUInt16BE(at + 1)
      : minor === 26
        ? bytes.readUInt32BE(at + 1)
        : bytes.readUInt32BE(at + 1) * 0x100000000 + bytes.readUInt32BE(at + 5);
  const least = minor === 25 ? 0x100 : minor === 26 ? 0x10000 : 0x100000000;
  return value >= least && Number.isSafeInteger(value) ? value : -1;
}

/** Where the head ends that `readArgument` read last. */
export const argumentEnd = (): number => end;

export function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((bytes[i] as number) > 127) return false;
  return true;
}

/** Where the canonical value at `at` ends, or -1. */
export function skipCanonical(bytes: Buffer, at: number, depth = 0): number {
  const first = bytes[at];
  if (first === undefined || depth > depthMax) return -1;
  const major = first >> 5;
  if (major === 7) return skipSimple(bytes, at, first);
  const argument = readArgument(bytes, at);
  if (argument < 0) return -1;
  const start = end;
  switch (major) {
    case 0:
      return start;
    case 1:
      return Number.isSafeInteger(-1 - argument) ? start : -1;
    case 2:
      return start + argument <= bytes.length ? start + argument : -1;
    case 3:
      return skipText(bytes, start, start + argument);
    case 4: {
      let next = start;
      for (let i = 0; i < argument && next >= 0; i++) next = skipCanonical(bytes, next, depth + 1);
      return next;
    }
    case 5:
      return skipMap(bytes, start, argument, depth);
    default:
      return -1;
  }
}

function skipText(bytes: Buffer, from: number, to: number): number {
  if (to > bytes.length) return -1;
  if (isAscii(bytes, from, to)) return to;
  // A byte order mark is lost when the text is decoded.
  const marked = bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf;
  return !marked && isUtf8(bytes.subarray(from, to)) ? to : -1;
}

function skipMap(bytes: Buffer, from: number, pairs: number, depth: number): number {
  let next = from;
  let [keyFrom, keyTo] = [0, 0];
  for (let i = 0; i < pairs; i++) {
    if ((bytes[next] ?? 0) >> 5 !== 3) return -1;
    const length = readArgument(bytes, next);
    const [start, stop] = [end, end + length];
    if (length < 0 || stop > bytes.length || !isAscii(bytes, start, stop)) return -1;
    if (length === protoKey.length && bytes.toString('latin1', start, stop) === protoKey) return -1;
    if (i > 0 && !isBefore(bytes, keyFrom, keyTo, start, stop)) return -1;
    [keyFrom, keyTo] = [start, stop];
    next = skipCanonical(bytes, stop, depth + 1);
    if (next < 0) return -1;
  }
  return next;
}

/** Keys are in order of length and then of bytes, and none comes twice. */
function isBefore(bytes: Buffer, aFrom: number, aTo: number, bFrom: number, bTo: number): boolean {
  const [a, b] = [aTo - aFrom, bTo - bFrom];
  if (a !== b) return a < b;
  for (let i = 0; i < a; i++) {
    const difference = (bytes[aFrom + i] as number) - (bytes[bFrom + i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function skipSimple(bytes: Buffer, at: number, first: number): number {
  if (first >= 0xf4 && first <= 0xf7) return at + 1;
  // Floats that a shorter form can't hold; those of one are rare enough for the usual way.
  if (first !== 0xfb || at + 9 > bytes.length) return -1;
  const value = bytes.readDoubleBE(at + 1);
  const shorter = Number.isSafeInteger(value) || Math.fround(value) === value;
  return shorter || Number.isNaN(value) ? -1 : at + 9;
}
