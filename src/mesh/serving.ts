/**
 * What the mesh answers to others: consensus frames, calls and byte streams. Calls about gossip and
 * about instances of a key are the mesh's own; everything else goes to the agent.
 */
import type { PeerId } from '../base/brand.ts';
import type { MeshHandlers } from './api.ts';
import { takeBytes } from './byte-stream.ts';
import { serveCalls } from './caller.ts';
import { type Gossiper, isExchange } from './gossip.ts';
import type { Host } from './host.ts';
import { type Instances, isInstanceRequest } from './instances.ts';
import {
  bytesProtocol,
  callProtocol,
  frameProtocol,
  type PeerLines,
  readFrames,
} from './peer-lines.ts';

const framesInMax = 4;
/** The long-lived one, and questions about the run at the other end of a connection. */
const callsInMax = 4;
const bytesInMax = 8;

export interface Serving {
  readonly lines: (peer: PeerId) => PeerLines;
  readonly gossip: Gossiper;
  readonly instances: Instances;
  readonly counts: { frames_received_total: number };
}

/** Registers the protocols with the host. */
export async function serve(host: Host, handlers: MeshHandlers, serving: Serving): Promise<void> {
  const { lines, gossip, instances, counts } = serving;
  const onRequest: MeshHandlers['onRequest'] = (from, name, body) => {
    if (isExchange(name)) return gossip.answer(name, body);
    if (isInstanceRequest(name)) return instances.answer(from, name, body);
    return handlers.onRequest(from, name, body);
  };
  const onFrame: MeshHandlers['onFrame'] = (from, frame) => {
    counts.frames_received_total += 1;
    handlers.onFrame(from, frame);
  };
  await host.handle(
    frameProtocol,
    (stream, connection) => readFrames(stream, connection.remotePeer.toString(), onFrame),
    { maxInboundStreams: framesInMax },
  );
  await host.handle(
    callProtocol,
    (stream, connection) => {
      const from = connection.remotePeer.toString();
      serveCalls(stream, { from, onRequest, load: lines(from).load });
    },
    { maxInboundStreams: callsInMax },
  );
  await host.handle(
    bytesProtocol,
    (stream, connection) => takeBytes(stream, connection.remotePeer.toString(), handlers.onStream),
    { maxInboundStreams: bytesInMax },
  );
}
