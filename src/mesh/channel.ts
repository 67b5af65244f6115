/**
 * One long-lived outgoing stream to one peer for one protocol, reopened when it breaks as long as a
 * connection is there. Frames written before it is open wait in the bounded queue, so a caller may
 * send from the moment that a link is reported as opened.
 */
import type { Connection, Stream } from '@libp2p/interface';
import { createStreamWriter, type StreamWriter } from './stream-writer.ts';

const openTimeoutMs = 5000;
/** Reopening: at once, then with growing gaps; a peer that always resets costs little. */
const reopenMsMin = 20;
const reopenMsMax = 2000;

export interface Channel {
  /** False when the queue is full or there is no connection; the frame is dropped. */
  send(frame: Uint8Array): boolean;
  /** A connection came: opens the stream now if there is none. */
  connected(): void;
  close(): void;
  readonly open: boolean;
  readonly writer: StreamWriter;
}

export interface ChannelDeps {
  /** The connection to use now, or null. */
  readonly connection: () => Connection | null;
  /** The stream is negotiated; attach a reader here if the protocol answers on it. */
  readonly onOpen?: (stream: Stream) => void;
  /** The stream is gone, with `dropped` frames that were never written. */
  readonly onClose?: (dropped: number) => void;
}

export function createChannel(
  deps: ChannelDeps,
  options: { protocol: string; bytesQueuedMax: number },
): Channel {
  const writer = createStreamWriter({ bytesQueuedMax: options.bytesQueuedMax });
  let stream: Stream | null = null;
  let opening = false;
  let closed = false;
  let failures = 0;
  let timer: NodeJS.Timeout | null = null;

  function lost(gone: Stream): void {
    if (stream !== gone) return;
    stream = null;
    deps.onClose?.(writer.detach());
    later();
  }

  function later(): void {
    if (closed || timer !== null || deps.connection() === null) return;
    failures += 1;
    const waitMs = failures === 1 ? 0 : Math.min(reopenMsMax, reopenMsMin * 2 ** failures);
    timer = setTimeout(() => {
      timer = null;
      refresh();
    }, waitMs);
    timer.unref();
  }

  async function open(connection: Connection): Promise<void> {
    opening = true;
    try {
      const opened = await connection.newStream(options.protocol, {
        signal: AbortSignal.timeout(openTimeoutMs),
      });
      if (closed || opened.status !== 'open') {
        opened.abort(new Error('channel closed while opening'));
        throw new Error('stream closed while opening');
      }
      failures = 0;
      stream = opened;
      opened.addEventListener('close', () => lost(opened), { once: true });
      opened.addEventListener('remoteCloseWrite', () => opened.abort(new Error('half closed')));
      deps.onOpen?.(opened);
      writer.attach(opened);
    } catch {
      // The peer or the connection went away, or it does not speak the protocol: tried again
      // while a connection is there.
      deps.onClose?.(connection.status === 'open' ? 0 : writer.detach());
      later();
    } finally {
      opening = false;
    }
  }

  function refresh(): void {
    if (closed || opening || stream !== null || timer !== null) return;
    const connection = deps.connection();
    if (connection !== null) void open(connection);
  }

  return {
    send(frame) {
      if (closed || (stream === null && deps.connection() === null)) return false;
      refresh();
      return writer.write(frame);
    },
    connected() {
      failures = 0;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      refresh();
    },
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      const last = stream;
      stream = null;
      writer.detach();
      last?.abort(new Error('channel closed'));
    },
    get open() {
      return stream !== null;
    },
    writer,
  };
}
