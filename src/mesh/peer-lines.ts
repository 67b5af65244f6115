/**
 * What this node keeps open to one peer: a channel for consensus frames and one for calls. They are
 * streams of their own, so a large answer never stands before a heartbeat in one stream's queue.
 */
import type { Connection, Stream } from '@libp2p/interface';
import type { PeerId } from '../base/brand.ts';
import { asAgentError } from '../base/error.ts';
import { createFrameDecoder } from '../wire/frame.ts';
import { type Asker, createAsker } from './caller.ts';
import { type Channel, createChannel } from './channel.ts';
import { updateWindowLazily } from './lazy-window.ts';

export const frameProtocol = '/bellwether/frame/1';
export const callProtocol = '/bellwether/call/1';
export const bytesProtocol = '/bellwether/bytes/1';

/** Consensus frames that wait for a peer; more are dropped, consensus sends again. */
const frameBytesQueuedMax = 16 * 1024 * 1024;
const callBytesQueuedMax = 16 * 1024 * 1024;

export interface PeerLines {
  readonly frames: Channel;
  readonly calls: Channel;
  readonly asker: Asker;
  /** Requests of the peer being worked on here. */
  readonly load: { count: number };
  close(): void;
}

export function createPeerLines(
  connection: () => Connection | null,
  onDropped: (frames: number) => void,
): PeerLines {
  const asker = createAsker(() => calls);
  const frames = createChannel(
    { connection, onClose: onDropped },
    { protocol: frameProtocol, bytesQueuedMax: frameBytesQueuedMax },
  );
  const calls = createChannel(
    { connection, onOpen: (stream) => asker.attach(stream), onClose: () => asker.lost() },
    { protocol: callProtocol, bytesQueuedMax: callBytesQueuedMax },
  );
  return {
    frames,
    calls,
    asker,
    load: { count: 0 },
    close() {
      frames.close();
      calls.close();
      asker.lost();
    },
  };
}

/** Reads the consensus frames of one incoming stream, in order, in the turn they arrive in. */
export function readFrames(
  stream: Stream,
  from: PeerId,
  onFrame: (from: PeerId, frame: Uint8Array) => void,
): void {
  const decoder = createFrameDecoder();
  updateWindowLazily(stream);
  stream.addEventListener('message', ({ data }) => {
    let frames: Uint8Array[];
    try {
      frames = decoder.push(data.subarray());
    } catch (thrown) {
      stream.abort(asAgentError(thrown));
      return;
    }
    for (const frame of frames) onFrame(from, frame);
  });
  stream.addEventListener('remoteCloseWrite', () => stream.abort(new Error('sender closed')));
}
