/**
 * Writes frames to one libp2p stream in order: everything queued within one turn of the event loop
 * leaves as one write, at once when the turn ends (a microtask, no timer), and waits only while the
 * stream says that it is full. The queue is bounded in bytes; what doesn't fit is refused.
 */
import type { Stream } from '@libp2p/interface';
import { encodeFrames } from '../wire/frame.ts';

/** One write at most, bytes: keeps copies small without splitting heartbeats. */
const writeBytesMax = 1024 * 1024;

export interface StreamWriter {
  /** False when the queue is full or the writer is closed; the frame is then dropped. */
  write(frame: Uint8Array): boolean;
  /** Gives the writer its stream; what was queued leaves now. */
  attach(stream: Stream): void;
  /** Forgets the stream and what was not written yet; answers how many frames that was. */
  detach(): number;
  readonly attached: boolean;
  readonly bytesQueued: number;
}

export function createStreamWriter(options: { bytesQueuedMax: number }): StreamWriter {
  let stream: Stream | null = null;
  let queue: Uint8Array[] = [];
  let bytesQueued = 0;
  let scheduled = false;

  function flush(): void {
    scheduled = false;
    while (stream !== null && queue.length > 0 && !stream.writableNeedsDrain) {
      let bytes = 0;
      let count = 0;
      for (const frame of queue) {
        if (count > 0 && bytes + frame.length > writeBytesMax) break;
        bytes += frame.length;
        count += 1;
      }
      const batch = queue.slice(0, count);
      queue = queue.slice(count);
      bytesQueued -= bytes;
      try {
        stream.send(encodeFrames(batch));
      } catch (error) {
        // The stream broke between its last event and this write; its close event, which the
        // owner listens to, opens a new one and counts what was lost.
        queue = [...batch, ...queue];
        bytesQueued += bytes;
        stream.abort(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }

  function schedule(): void {
    if (scheduled || stream === null) return;
    scheduled = true;
    queueMicrotask(flush);
  }

  return {
    write(frame) {
      if (bytesQueued + frame.length > options.bytesQueuedMax) return false;
      queue.push(frame);
      bytesQueued += frame.length;
      schedule();
      return true;
    },
    attach(opened) {
      stream = opened;
      opened.addEventListener('drain', () => {
        if (stream === opened) schedule();
      });
      schedule();
    },
    detach() {
      const dropped = queue.length;
      stream = null;
      queue = [];
      bytesQueued = 0;
      return dropped;
    },
    get attached() {
      return stream !== null;
    },
    get bytesQueued() {
      return bytesQueued;
    },
  };
}
