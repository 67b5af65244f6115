/**
 * The commonest answer of the catalog, read straight from its bytes: a success with a version and
 * no value. Every other one is for the decoder.
 */
import { argumentEnd, readArgument } from './canonical-scan.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const opening = text('\xa4\x62ok\xf5\x65index');
const valueAndVersion = text('\x65value\xf6\x67version');

export interface PlainResult {
  ok: true;
  index: number;
  version: number;
  value: null;
}

function matches(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/** An unsigned integer at `at`, or -1; `argumentEnd` tells where it ends. */
const readInteger = (bytes: Buffer, at: number): number =>
  (bytes[at] ?? 255) >> 5 === 0 ? readArgument(bytes, at) : -1;

export function readPlainResult(result: Uint8Array): PlainResult | null {
  const bytes = Buffer.from(result.buffer, result.byteOffset, result.byteLength);
  if (!matches(bytes, 0, opening)) return null;
  const index = readInteger(bytes, opening.length);
  const afterIndex = argumentEnd();
  if (index < 0 || !matches(bytes, afterIndex, valueAndVersion)) return null;
  const version = readInteger(bytes, afterIndex + valueAndVersion.length);
  if (version < 0 || argumentEnd() !== bytes.length) return null;
  return { ok: true, index, version, value: null };
}
