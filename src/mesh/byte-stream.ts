/**
 * Long byte streams (snapshots): a stream of its own with name and header first, chunks as frames,
 * an empty frame at the end and the taker's verdict back. A stream that ends without its end frame
 * is an error at the taker, so a cut-off snapshot is never taken for a whole one. Both sides hold a
 * bounded number of bytes, and both give up when nothing moves.
 */
import type { Stream } from '@libp2p/interface';
import type { PeerId } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import { createFrameDecoder, decodeCall, encodeCall, encodeFrames } from '../wire/frame.ts';
import { createPace } from './pace.ts';

const chunkBytesMax = 32 * 1024;
/** In flight at most, whatever the line allows. */
const flightBytesMax = 256 * 1024;
/** Bytes held for a slow taker before the sender is told to pause. */
const heldBytesMax = 256 * 1024;
const headerBytesMax = 1024 * 1024;
/** Nothing moved for this long: the stream is given up. */
const stallMs = 30_000;

/** Sends `source` and resolves when the taker has taken all. */
export async function sendBytes(
  stream: Stream,
  name: string,
  header: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  if (header.length > headerBytesMax)
    throw new AgentError('too-large', `stream header of ${header.length} bytes`);
  const pace = createPace({ chunkBytes: chunkBytesMax, bytesMax: flightBytesMax });
  let wake = (): void => undefined;
  const verdict = readVerdict(stream, () => {
    pace.acknowledged(performance.now());
    wake();
  });
  /** Waits for an acknowledgement; the verdict wakes too, by failing the whole. */
  const acknowledged = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(stalled()), stallMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const pump = async (): Promise<void> => {
    for await (const bytes of source)
      for (let at = 0; at < bytes.length; at += chunkBytesMax) {
        while (!pace.ready() && stream.writeStatus === 'writable') await acknowledged();
        const chunk = bytes.subarray(at, at + chunkBytesMax);
        pace.sent(chunk.length, performance.now());
        await write(stream, chunk);
      }
    await write(stream, new Uint8Array(0));
  };
  stream.addEventListener('close', () => wake());
  try {
    await write(stream, encodeCall({ type: 'request', id: 0, name, body: header }));
    // A refusal ends the sending early; the source is closed by the failing write.
    await Promise.race([pump(), verdict.then(() => undefined)]);
    await verdict;
    await stream.close({ signal: AbortSignal.timeout(1000) });
  } catch (thrown) {
    const error = asStreamError(thrown);
    stream.abort(error);
    verdict.catch(() => undefined);
    throw error;
  }
}

function stalled(): AgentError {
  return new AgentError('timeout', `the peer took no byte for ${stallMs} ms`);
}

async function write(stream: Stream, frame: Uint8Array): Promise<void> {
  stream.send(encodeFrames([frame]));
  while (stream.writableNeedsDrain && stream.writeStatus === 'writable') await drained(stream);
}

/**
 * The next drain or close. Not `stream.onDrain`: in @libp2p/utils 7.4 its promise is made once and
 * stays resolved, so that from the second wait on nothing waits and the buffer grows for ever.
 */
function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      stream.removeEventListener('drain', done);
      stream.removeEventListener('close', done);
      resolve();
    };
    const timer = setTimeout(() => {
      reject(stalled());
      done();
    }, stallMs);
    stream.addEventListener('drain', done);
    stream.addEventListener('close', done);
  });
}

/** Settles with the taker's verdict; chunk by chunk before that, `onTaken`. */
function readVerdict(stream: Stream, onTaken: () => void): Promise<void> {
  const decoder = createFrameDecoder(8192);
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      try {
        for (const frame of decoder.push(data.subarray())) {
          const call = decodeCall(frame);
          if (call.type === 'pong') onTaken();
          else if (call.type === 'failure') reject(new AgentError(call.code, call.detail));
          else resolve();
        }
      } catch (thrown) {
        reject(asAgentError(thrown));
      }
    });
    stream.addEventListener('close', () =>
      reject(new AgentError('unavailable', 'the stream closed before it was taken')),
    );
  });
}

function asStreamError(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('unavailable', `byte stream broke: ${message}`, { cause: thrown });
}

/** One incoming byte stream: hands it to `onStream` and sends the verdict back. */
export async function takeBytes(
  stream: Stream,
  from: PeerId,
  onStream: (
    from: PeerId,
    name: string,
    header: Uint8Array,
    source: AsyncIterable<Uint8Array>,
  ) => Promise<void>,
): Promise<void> {
  const frames = createFrameSource(stream);
  try {
    const first = await frames.next();
    const head = first === null ? null : decodeCall(first);
    if (head?.type !== 'request')
      throw new AgentError('bad-request', 'a byte stream begins with its name and header');
    const progress = { whole: false };
    await onStream(from, head.name, head.body, bytesOf(stream, frames, progress));
    if (!progress.whole)
      throw new AgentError('unavailable', 'the taker stopped before the end of the stream');
    stream.send(encodeFrames([encodeCall({ type: 'answer', id: 0, body: new Uint8Array(0) })]));
    await stream.close({ signal: AbortSignal.timeout(stallMs) });
  } catch (thrown) {
    const error = asAgentError(thrown);
    refuse(stream, error);
  }
}

function refuse(stream: Stream, error: AgentError): void {
  try {
    const { code, message: detail } = error;
    stream.send(encodeFrames([encodeCall({ type: 'failure', id: 0, code, detail })]));
    stream.close({ signal: AbortSignal.timeout(1000) }).catch((late) => stream.abort(late));
  } catch (late) {
    // The sender is gone already and needs no verdict.
    stream.abort(asAgentError(late));
  }
}

/** The chunks; each is acknowledged when the taker comes back for the next. */
async function* bytesOf(
  stream: Stream,
  frames: FrameSource,
  progress: { whole: boolean },
): AsyncGenerator<Uint8Array> {
  for (let taken = 1; ; taken++) {
    const frame = await frames.next();
    if (frame === null) throw new AgentError('unavailable', 'the byte stream ended early');
    if (frame.length === 0) {
      progress.whole = true;
      return;
    }
    yield frame;
    if (stream.writeStatus === 'writable')
      stream.send(encodeFrames([encodeCall({ type: 'pong', id: taken >>> 0 })]));
  }
}

interface FrameSource {
  /** The next frame, or null when the stream is over. */
  next(): Promise<Uint8Array | null>;
}

function createFrameSource(stream: Stream): FrameSource {
  const decoder = createFrameDecoder(headerBytesMax + 128);
  const frames: Uint8Array[] = [];
  let held = 0;
  let over = false;
  let failure: AgentError | null = null;
  let wake: (() => void) | null = null;

  const stir = (): void => {
    wake?.();
    wake = null;
  };
  stream.addEventListener('message', ({ data }) => {
    try {
      for (const frame of decoder.push(data.subarray())) {
        frames.push(frame);
        held += frame.length;
      }
      if (held > heldBytesMax) stream.pause();
    } catch (thrown) {
      failure = asAgentError(thrown);
      stream.abort(failure);
    }
    stir();
  });
  const end = (): void => {
    over = true;
    stir();
  };
  stream.addEventListener('close', end);
  stream.addEventListener('end', end);

  return {
    async next() {
      while (frames.length === 0 && !over && failure === null) {
        const stalled = setTimeout(() => {
          failure = new AgentError('timeout', `no byte for ${stallMs} ms`);
          stir();
        }, stallMs);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        clearTimeout(stalled);
      }
      if (failure !== null) throw failure;
      const frame = frames.shift() ?? null;
      held -= frame?.length ?? 0;
      if (held <= heldBytesMax / 2 && stream.readStatus === 'paused') stream.resume();
      return frame;
    },
  };
}
