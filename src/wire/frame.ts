/**
 * Frames on a byte stream, and the calls (request, answer, ping) that travel in them. A frame is a
 * four-byte big-endian length and that many bytes; a decoder takes chunks of any shape. A length
 * above the limit is refused as soon as its four bytes are there, so a hostile peer never makes
 * this node reserve memory, and the work is linear in the bytes received.
 */
import { AgentError, type ErrorCode } from '../base/error.ts';

/** Largest body of one frame, bytes. */
export const frameBytesMax = 4 * 1024 * 1024;
/** Longest name of a request or stream, bytes. */
export const nameBytesMax = 64;

const lengthBytes = 4;

/** `frames`, each behind its length, as one buffer. */
export function encodeFrames(frames: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const frame of frames) {
    if (frame.length > frameBytesMax)
      throw new AgentError('too-large', `frame of ${frame.length} bytes; at most ${frameBytesMax}`);
    total += lengthBytes + frame.length;
  }
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (const frame of frames) {
    out.writeUInt32BE(frame.length, at);
    out.set(frame, at + lengthBytes);
    at += lengthBytes + frame.length;
  }
  return out;
}

export interface FrameDecoder {
  /** The frames that `chunk` completes; throws `too-large`, after which the stream is useless. */
  push(chunk: Uint8Array): Uint8Array[];
  /** Bytes of an unfinished frame that are waiting for the rest. */
  readonly bytesPending: number;
}

/** Splits a byte stream into frames of at most `bytesMax`. */
export function createFrameDecoder(bytesMax: number = frameBytesMax): FrameDecoder {
  let parts: Uint8Array[] = [];
  let pending = 0;
  /** Bytes that must be there before the next look: a header, or a header and its body. */
  let wanted = lengthBytes;

  function drain(frames: Uint8Array[]): void {
    const joined = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, pending);
    const view = new DataView(joined.buffer, joined.byteOffset, joined.byteLength);
    let at = 0;
    wanted = lengthBytes;
    while (joined.length - at >= lengthBytes) {
      const length = view.getUint32(at);
      if (length > bytesMax)
        throw new AgentError('too-large', `frame of ${length} bytes; at most ${bytesMax}`);
      wanted = lengthBytes + length;
      if (joined.length - at < wanted) break;
      frames.push(joined.subarray(at + lengthBytes, at + wanted));
      at += wanted;
      wanted = lengthBytes;
    }
    parts = at < joined.length ? [joined.subarray(at)] : [];
    pending = joined.length - at;
  }

  return {
    push(chunk) {
      const frames: Uint8Array[] = [];
      if (chunk.length === 0) return frames;
      parts.push(chunk);
      pending += chunk.length;
      if (pending >= wanted) drain(frames);
      return frames;
    },
    get bytesPending() {
      return pending;
    },
  };
}

/** What travels on the call stream between two peers; `id` ties an answer to its request. */
export type Call =
  | {
      readonly type: 'request';
      readonly id: number;
      readonly name: string;
      readonly body: Uint8Array;
    }
  | { readonly type: 'answer'; readonly id: number; readonly body: Uint8Array }
  | {
      readonly type: 'failure';
      readonly id: number;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'pong'; readonly id: number };

const kinds = ['request', 'answer', 'failure', 'ping', 'pong'] as const;
const detailBytesMax = 4096;

/** Every code that may arrive; a code that is not here becomes `internal`. */
const codes: Record<ErrorCode, true> = {
  'bad-request': true,
  'not-found': true,
  conflict: true,
  forbidden: true,
  unauthorized: true,
  'not-leader': true,
  'no-quorum': true,
  overloaded: true,
  'outcome-unknown': true,
  'session-expired': true,
  'epoch-mismatch': true,
  'cluster-mismatch': true,
  'token-wrong': true,
  'token-used': true,
  'token-expired': true,
  'network-key-mismatch': true,
  'certificate-missing': true,
  'certificate-invalid': true,
  'certificate-expired': true,
  'certificate-revoked': true,
  'authority-retired': true,
  'role-not-certified': true,
  damaged: true,
  'disk-full': true,
  'already-running': true,
  'port-in-use': true,
  timeout: true,
  unavailable: true,
  'daemon-external': true,
  'daemon-off': true,
  'cooling-down': true,
  'too-large': true,
  'not-built': true,
  stopped: true,
  internal: true,
};

function named(kind: number, id: number, name: string, body: Uint8Array): Uint8Array {
  const label = Buffer.from(name, 'utf8');
  if (label.length > nameBytesMax)
    throw new AgentError('bad-request', `name of ${label.length} bytes; at most ${nameBytesMax}`);
  const out = Buffer.allocUnsafe(6 + label.length + body.length);
  out[0] = kind;
  out.writeUInt32BE(id, 1);
  out[5] = label.length;
  out.set(label, 6);
  out.set(body, 6 + label.length);
  return out;
}

/** The body of a frame: kind, id, and for requests and failures a short name before the bytes. */
export function encodeCall(call: Call): Uint8Array {
  const kind = kinds.indexOf(call.type);
  switch (call.type) {
    case 'request':
      return named(kind, call.id, call.name, call.body);
    case 'failure':
      return named(kind, call.id, call.code, clipped(call.detail));
    case 'answer':
      return named(kind, call.id, '', call.body);
    case 'ping':
    case 'pong':
      return named(kind, call.id, '', new Uint8Array(0));
  }
}

function clipped(detail: string): Uint8Array {
  return Buffer.from(detail, 'utf8').subarray(0, detailBytesMax);
}

/** The call in a frame; throws `bad-request`. */
export function decodeCall(frame: Uint8Array): Call {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  const type = kinds[bytes[0] ?? 255];
  const nameEnd = 6 + (bytes[5] ?? 0);
  if (!type || bytes.length < 6 || nameEnd > bytes.length || nameEnd > 6 + nameBytesMax)
    throw new AgentError('bad-request', 'malformed call frame');
  const id = bytes.readUInt32BE(1);
  const name = bytes.toString('utf8', 6, nameEnd);
  const body = bytes.subarray(nameEnd);
  switch (type) {
    case 'request':
      return { type, id, name, body };
    case 'failure':
      return { type, id, code: codeOf(name), detail: clipText(body) };
    case 'answer':
      return { type, id, body };
    case 'ping':
    case 'pong':
      return { type, id };
  }
}

function codeOf(name: string): ErrorCode {
  return Object.hasOwn(codes, name) ? (name as ErrorCode) : 'internal';
}

function clipText(body: Buffer): string {
  return body.toString('utf8', 0, Math.min(body.length, detailBytesMax));
}
