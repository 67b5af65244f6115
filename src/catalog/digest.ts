/**
 * An incremental digest of a set of rows: the sum, in eight lanes modulo 2^32, of the SHA-256 of
 * each row. The order of changes doesn't matter, so equal states have equal digests however they
 * came about, and one changed row costs two hashes. Primary keys keep a row from being in the set
 * twice.
 * It shows divergence between honest replicas; it is no defence against a forger.
 */
import { hash } from 'node:crypto';
import { assert } from '../base/assert.ts';

export type SqlValue = string | number | null | Uint8Array;

const lanes = 8;

/** Unambiguous text of a row: every value carries its type, and every variable one its length. */
export function rowText(table: string, values: readonly SqlValue[]): string {
  let text = `${table}|`;
  for (const value of values) {
    if (value === null) text += 'n;';
    else if (typeof value === 'number') text += `i${value};`;
    else if (typeof value === 'string') text += `s${value.length}:${value};`;
    else text += `b${value.length}:${latin1(value)};`;
  }
  return text;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** The SHA-256 of one row. */
export type RowHash = Buffer;

export interface SetDigest {
  hashOf(table: string, values: readonly SqlValue[]): RowHash;
  add(row: RowHash): void;
  remove(row: RowHash): void;
  /** 64 lower-case hex digits. */
  text(): string;
  load(text: string): void;
}

export const emptyDigest = '0'.repeat(64);

export function createSetDigest(): SetDigest {
  const sum = new Uint32Array(lanes);
  return {
    hashOf: (table, values) => hash('sha256', rowText(table, values), 'buffer'),
    add: (row) => {
      for (let i = 0; i < lanes; i++) sum[i] = (sum[i] ?? 0) + row.readUInt32BE(i * 4);
    },
    remove: (row) => {
      for (let i = 0; i < lanes; i++) sum[i] = (sum[i] ?? 0) - row.readUInt32BE(i * 4);
    },
    text: () => Array.from(sum, (lane) => lane.toString(16).padStart(8, '0')).join(''),
    load: (text) => {
      assert(/^[0-9a-f]{64}$/.test(text), 'a stored catalog digest is 64 hex digits');
      for (let i = 0; i < lanes; i++) sum[i] = Number.parseInt(text.slice(i * 8, i * 8 + 8), 16);
    },
  };
}
