/**
 * Requests and answers over one long-lived stream per direction of asking: the asker's stream
 * carries its requests out and their answers back, tied together by ids. Both sides bound what is
 * in flight; a broken stream fails what waits on it at once, and never the process.
 */
import type { Stream } from '@libp2p/interface';
import type { Ms, PeerId } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import {
  type Call,
  createFrameDecoder,
  decodeCall,
  encodeCall,
  frameBytesMax,
} from '../wire/frame.ts';
import type { Channel } from './channel.ts';
import { updateWindowLazily } from './lazy-window.ts';
import { createStreamWriter } from './stream-writer.ts';

/** Requests of this node to one peer that wait for their answers. */
const askedMax = 256;
/** Requests of one peer that this node works on. */
const servedMax = 128;
/** Largest body of a request or answer: a frame less its head. */
export const callBodyBytesMax = frameBytesMax - 128;
/** Answers that wait for a peer that doesn't read. */
export const answerBytesQueuedMax = 32 * 1024 * 1024;

interface Waiting {
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: AgentError) => void;
  readonly timer: NodeJS.Timeout;
}

/** The asking side of one peer. */
export interface Asker {
  request(name: string, body: Uint8Array, timeoutMs: Ms): Promise<Uint8Array>;
  /** Resolves when the peer's event loop has answered. */
  ping(timeoutMs: Ms): Promise<void>;
  /** Reads the answers of a newly opened stream. */
  attach(stream: Stream): void;
  /** The stream or link is gone: everything that waits fails with `unavailable`. */
  lost(): void;
  readonly waiting: number;
}

export function createAsker(channel: () => Channel): Asker {
  const waiting = new Map<number, Waiting>();
  let nextId = 1;

  function ask(make: (id: number) => Call, timeoutMs: Ms): Promise<Uint8Array> {
    if (waiting.size >= askedMax)
      throw new AgentError('overloaded', `${askedMax} requests to this peer are unanswered`);
    const id = nextId;
    nextId = (nextId + 1) >>> 0;
    const frame = encodeCall(make(id));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new AgentError('timeout', `no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      waiting.set(id, { resolve, reject, timer });
      if (channel().send(frame)) return;
      clearTimeout(timer);
      waiting.delete(id);
      reject(new AgentError('unavailable', 'not connected, or its request queue is full'));
    });
  }

  function settle(call: Call): void {
    const entry = waiting.get(call.id);
    if (!entry) return; // It came after its timeout.
    waiting.delete(call.id);
    clearTimeout(entry.timer);
    if (call.type === 'failure') entry.reject(new AgentError(call.code, call.detail));
    else if (call.type === 'pong') entry.resolve(new Uint8Array(0));
    else if (call.type === 'answer') entry.resolve(call.body);
    else entry.reject(new AgentError('internal', `peer answered with a ${call.type}`));
  }

  return {
    async request(name, body, timeoutMs) {
      if (body.length > callBodyBytesMax)
        throw new AgentError('too-large', `request ${name}: ${body.length} bytes`);
      return ask((id) => ({ type: 'request', id, name, body }), timeoutMs);
    },
    async ping(timeoutMs) {
      await ask((id) => ({ type: 'ping', id }), timeoutMs);
    },
    attach(stream) {
      readCalls(stream, settle);
    },
    lost() {
      for (const [id, entry] of waiting) {
        waiting.delete(id);
        clearTimeout(entry.timer);
        entry.reject(new AgentError('unavailable', 'the connection closed before the answer'));
      }
    },
    get waiting() {
      return waiting.size;
    },
  };
}

export interface Served {
  readonly from: PeerId;
  readonly onRequest: (from: PeerId, name: string, body: Uint8Array) => Promise<Uint8Array>;
  /** How many requests of `from` are being worked on, over all its streams. */
  readonly load: { count: number };
}

/** Answers the requests of one incoming call stream until it closes. */
export function serveCalls(stream: Stream, { from, onRequest, load }: Served): void {
  const writer = createStreamWriter({ bytesQueuedMax: answerBytesQueuedMax });
  writer.attach(stream);
  stream.addEventListener('close', () => writer.detach(), { once: true });
  stream.addEventListener('remoteCloseWrite', () => stream.abort(new Error('asker closed')));
  const answer = (call: Call): void => {
    if (writer.attached && !writer.write(encodeCall(call)))
      stream.abort(new Error('the peer does not read its answers'));
  };
  readCalls(stream, (call) => {
    if (call.type === 'ping') answer({ type: 'pong', id: call.id });
    else if (call.type !== 'request') stream.abort(new Error(`unexpected ${call.type}`));
    else void serve(call).then(answer);
  });

  async function serve(call: Call & { type: 'request' }): Promise<Call> {
    const { id } = call;
    if (load.count >= servedMax)
      return { type: 'failure', id, code: 'overloaded', detail: `${servedMax} requests at once` };
    load.count += 1;
    try {
      const body = await onRequest(from, call.name, call.body);
      if (body.length > callBodyBytesMax)
        throw new AgentError('too-large', `answer to ${call.name}: ${body.length} bytes`);
      return { type: 'answer', id, body };
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      return { type: 'failure', id, code, detail: message };
    } finally {
      load.count -= 1;
    }
  }
}

/** Reads frames as calls; a malformed one ends the stream. */
function readCalls(stream: Stream, onCall: (call: Call) => void): void {
  const decoder = createFrameDecoder();
  updateWindowLazily(stream);
  stream.addEventListener('message', ({ data }) => {
    try {
      for (const frame of decoder.push(data.subarray())) onCall(decodeCall(frame));
    } catch (thrown) {
      stream.abort(asAgentError(thrown));
    }
  });
}
