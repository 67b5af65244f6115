/**
 * What the main thread and the catalog's threads say to each other. Entries and results cross as
 * one block of bytes each, since thousands of small objects cost more to clone than to apply.
 */
import { assert } from '../base/assert.ts';
import type { LogIndex } from '../base/brand.ts';
import { AgentError, asAgentError, type ErrorCode } from '../base/error.ts';
import type { AppliedResult } from '../catalog/api.ts';
import type { Entry } from '../wire/entry.ts';
import { packEntries } from '../wire/entry-block.ts';

export interface WorkerInput {
  readonly role: 'writer' | 'reader';
  readonly path: string;
}

export type Request =
  | { readonly type: 'open' }
  | { readonly type: 'apply'; readonly previousIndex: LogIndex; readonly block: Uint8Array }
  | { readonly type: 'digest' }
  | { readonly type: 'checkpoint' }
  /** Reads every row and compares: `damaged` unless all is as it was written. */
  | { readonly type: 'verify' }
  /** Builds a new database file from a snapshot file; the open one is not touched. */
  | { readonly type: 'restore'; readonly snapshot: string; readonly path: string }
  /** Closes the open database and goes on with another file. */
  | { readonly type: 'switch'; readonly path: string }
  | { readonly type: 'query'; readonly name: string; readonly args: unknown }
  | { readonly type: 'snapshot'; readonly dir: string }
  | { readonly type: 'close' };

export interface Asked {
  readonly id: number;
  readonly request: Request;
}

export type Answered =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: ErrorCode; readonly message: string };

export interface Opened {
  readonly appliedIndex: LogIndex;
}

/** The extended result code of a SQLite error, or 0. */
function sqliteCode(thrown: unknown): number {
  const code = (thrown as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code : 0;
}

/** Errors lose their class between threads; code and text survive. */
export function failed(id: number, thrown: unknown): Answered {
  const primary = sqliteCode(thrown) & 0xff;
  const full = primary === 13;
  const damaged = primary === 11 || primary === 26;
  const error = asAgentError(thrown);
  const code: ErrorCode = full ? 'disk-full' : damaged ? 'damaged' : error.code;
  return { id, ok: false, code, message: error.message };
}

export function thrownBy(answer: Answered & { ok: false }): AgentError {
  return new AgentError(answer.code, answer.message);
}

/** A view whose memory is its own may be handed over instead of copied. */
export function transferOf(bytes: Uint8Array): ArrayBuffer[] {
  const whole = bytes.byteLength > 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : [];
}

/** One request for a run of entries; their indexes must be consecutive. */
export function applyRequest(entries: readonly Entry[]): Request & { type: 'apply' } {
  const previousIndex = (entries[0]?.index ?? 1) - 1;
  entries.forEach((entry, i) => {
    assert(entry.index === previousIndex + 1 + i, `entry ${entry.index} at place ${i} of a run`);
  });
  return { type: 'apply', previousIndex, block: packEntries(entries) };
}

export function packResults(results: readonly AppliedResult[]): Uint8Array {
  const bytes = results.reduce((sum, { result }) => sum + 4 + result.length, 0);
  const out = Buffer.alloc(bytes);
  let at = 0;
  for (const { result } of results) {
    out.writeUInt32LE(result.length, at);
    out.set(result, at + 4);
    at += 4 + result.length;
  }
  return out;
}

export function unpackResults(packed: Uint8Array, firstIndex: LogIndex): AppliedResult[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const results: AppliedResult[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const result = bytes.subarray(at + 4, at + 4 + length);
    results.push({ index: firstIndex + results.length, result });
    at += 4 + length;
  }
  return results;
}
