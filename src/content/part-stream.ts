/**
 * A stream of parts over a message port. The reader grants credit in bytes as it consumes, the
 * writer waits when it has none, so at most one window is under way however slow the reader is.
 * Either side ends the stream by closing its port or by sending an error. Bytes are moved, not
 * copied: a part's buffer belongs to the receiver once sent.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import { AgentError } from '../base/error.ts';
import { type ErrorData, errorData, errorFrom } from './worker-protocol.ts';

export const partBytesMax = 1024 * 1024;
const windowBytes = 4 * 1024 * 1024;
/** What a part costs besides its bytes, so that a million empty ones are bounded as well. */
const partCostBytes = 1024;

/** A piece of one entry; `path` comes with the first, `last` with the last. */
export interface Part {
  readonly path: string | null;
  readonly isDirectory: boolean;
  readonly bytes: Uint8Array | null;
  readonly last: boolean;
}

type ToReader =
  | { readonly type: 'part'; readonly part: Part }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly error: ErrorData };
type ToWriter =
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'progress'; readonly bytes: number };

const costOf = (part: Part): number => partCostBytes + (part.bytes?.length ?? 0);

export interface PartWriter {
  /** Resolves when there is room for more; throws `stopped` when the reader has gone. */
  write(part: Part): Promise<void>;
  end(): void;
  fail(thrown: unknown): void;
}

export function createPartWriter(
  port: MessagePort,
  options: { onProgress: (bytes: number) => void },
): PartWriter {
  let credit = windowBytes;
  let closed = false;
  let wake: (() => void) | null = null;

  port.on('message', (message: ToWriter) => {
    if (message.type === 'progress') return options.onProgress(message.bytes);
    credit += message.bytes;
    wake?.();
  });
  port.on('close', () => {
    closed = true;
    wake?.();
  });

  async function write(part: Part): Promise<void> {
    while (credit <= 0 && !closed) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = null;
    }
    if (closed) throw new AgentError('stopped', 'the reader of the stream has gone');
    credit -= costOf(part);
    const moved: Transferable[] = part.bytes === null ? [] : [part.bytes.buffer as ArrayBuffer];
    port.postMessage({ type: 'part', part } satisfies ToReader, moved);
  }

  function finish(message: ToReader): void {
    if (!closed) port.postMessage(message);
  }

  return {
    write,
    end: () => finish({ type: 'end' }),
    fail: (thrown) => finish({ type: 'error', error: errorData(thrown) }),
  };
}

export interface PartReader {
  /** The next part, or null at the end; rejects with the writer's error. */
  next(): Promise<Part | null>;
  progress(bytes: number): void;
  close(): void;
}

/** The reader; a port that closes early is an error with code `stopped`. */
export function createPartReader(port: MessagePort): PartReader {
  const queue: ToReader[] = [];
  let closed = false;
  let wake: (() => void) | null = null;

  port.on('message', (message: ToReader) => {
    queue.push(message);
    wake?.();
  });
  port.on('close', () => {
    closed = true;
    wake?.();
  });

  async function next(): Promise<Part | null> {
    while (queue.length === 0 && !closed) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = null;
    }
    const message = queue.shift();
    if (message === undefined) throw new AgentError('stopped', 'the stream was cut');
    if (message.type === 'end') return null;
    if (message.type === 'error') throw errorFrom(message.error);
    port.postMessage({ type: 'credit', bytes: costOf(message.part) } satisfies ToWriter);
    return message.part;
  }

  return {
    next,
    progress: (bytes) => {
      if (!closed) port.postMessage({ type: 'progress', bytes } satisfies ToWriter);
    },
    close: () => port.close(),
  };
}

/**
 * Cuts streams, one after the other, into buffers of our own of at most `partBytesMax`, each full
 * but the last of a stream. The buffer of a short last piece is used again for the next stream.
 */
export function createChunker(): (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  let buffer: Uint8Array<ArrayBuffer> | null = null;

  return async function* chunks(source) {
    let filled = 0;
    for await (const chunk of source) {
      for (let taken = 0; taken < chunk.length; ) {
        buffer ??= new Uint8Array(partBytesMax);
        const piece = chunk.subarray(taken, taken + partBytesMax - filled);
        buffer.set(piece, filled);
        filled += piece.length;
        taken += piece.length;
        if (filled < partBytesMax) continue;
        const full = buffer;
        buffer = null;
        filled = 0;
        yield full;
      }
    }
    if (buffer !== null && filled > 0) yield buffer.slice(0, filled);
  };
}
