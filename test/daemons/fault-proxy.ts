/**
 * A proxy in front of a daemon's real API that spoils what the daemon answers: cut off after any
 * number of bytes, ended early as if it were whole, never answered, refused, garbage, one byte at a
 * time, closed at once. It notes what was asked, what it holds back, and what reached the daemon.
 */
import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

export const faults = ['hang', 'error', 'garbage', 'cut', 'slow', 'reset'] as const;
export type Fault = (typeof faults)[number];

/** What is done with the whole answer that the daemon gave. */
export type Spoil =
  | { readonly type: Fault }
  /** Exactly this many bytes of the body, then the connection breaks. */
  | { readonly type: 'cut-at'; readonly bytes: number }
  /** Exactly this many bytes, then a proper end. */
  | { readonly type: 'short'; readonly bytes: number };

export interface Passed {
  readonly method: string;
  readonly path: string;
}

export interface FaultProxy {
  readonly url: string;
  /**
   * From now on; null: as the daemon answers. `only`: the paths that it concerns. What was held
   * back breaks.
   */
  spoil(how: Spoil | null, only?: RegExp): void;
  /** Requests that are held back now, each by its number. */
  held(): ReadonlySet<number>;
  /** Everything that was asked, whatever became of it. */
  readonly asked: Passed[];
  /** What was passed on to the daemon, oldest first. */
  readonly passed: Passed[];
  close(): Promise<void>;
}

interface Whole {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
}

function ask(target: string, incoming: IncomingMessage): Promise<Whole> {
  return new Promise((resolve, reject) => {
    const { method, headers, url } = incoming;
    const onward = httpRequest(`${target}${url}`, { method, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const { statusCode: status = 502, trailers } = answer;
        resolve({ status, headers: answer.headers, trailers, body: Buffer.concat(chunks) });
      });
    });
    onward.on('error', reject);
    incoming.pipe(onward);
  });
}

const without = (headers: IncomingHttpHeaders, ...names: string[]): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));

export async function createFaultProxy(target: string, port = 0): Promise<FaultProxy> {
  const asked: Passed[] = [];
  const passed: Passed[] = [];
  const held = new Map<number, ServerResponse>();
  let spoiled: { readonly how: Spoil; readonly only: RegExp } | null = null;
  let count = 0;

  /** Writes `bytes` of the body and breaks the connection. */
  function cut({ status, headers, body }: Whole, bytes: number, outgoing: ServerResponse): void {
    outgoing.writeHead(status, headers);
    if (bytes === 0) outgoing.flushHeaders();
    outgoing.write(body.subarray(0, bytes), () => outgoing.socket?.destroy());
  }

  /** One byte a second for as long as that is what is wrong. */
  async function drip(
    how: Spoil,
    { status, headers, body }: Whole,
    outgoing: ServerResponse,
  ): Promise<void> {
    outgoing.writeHead(status, headers);
    for (const byte of body) {
      if (spoiled?.how !== how) outgoing.socket?.destroy();
      if (outgoing.destroyed) return;
      outgoing.write(Buffer.of(byte));
      await wait(1000);
    }
    outgoing.end();
  }

  async function spoil(
    how: Spoil,
    number: number,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    if (how.type === 'reset') incoming.socket.destroy();
    else if (how.type === 'hang') {
      held.set(number, outgoing);
      outgoing.on('close', () => held.delete(number));
    } else if (how.type === 'error') outgoing.writeHead(500).end('{"message":"broken inside"}');
    else if (how.type === 'garbage') outgoing.writeHead(200).end('<html>no daemon</html>');
    else {
      passed.push({ method: incoming.method ?? '', path: incoming.url ?? '' });
      const whole = await ask(target, incoming);
      if (how.type === 'slow') await drip(how, whole, outgoing);
      else if (how.type === 'short') {
        outgoing.writeHead(whole.status, without(whole.headers, 'content-length'));
        outgoing.end(whole.body.subarray(0, how.bytes));
      } else {
        // Another place every time: over many requests, everywhere.
        const bytes = how.type === 'cut-at' ? how.bytes : (number * 7) % (whole.body.length || 1);
        cut(whole, bytes, outgoing);
      }
    }
  }

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    passed.push({ method: incoming.method ?? '', path: incoming.url ?? '' });
    const { status, headers, trailers, body } = await ask(target, incoming);
    if (body.length === 0) {
      // No body, no trailer: an empty list is 204.
      outgoing.writeHead(status, without(headers, 'trailer', 'transfer-encoding')).end();
      return;
    }
    outgoing.writeHead(status, headers);
    outgoing.write(body);
    if (headers.trailer !== undefined) outgoing.addTrailers(trailers as Record<string, string>);
    outgoing.end();
  }

  const server = createServer((incoming, outgoing) => {
    count += 1;
    asked.push({ method: incoming.method ?? '', path: incoming.url ?? '' });
    const concerns = spoiled?.only.test(incoming.url ?? '') === true;
    const done =
      spoiled !== null && concerns
        ? spoil(spoiled.how, count, incoming, outgoing)
        : pass(incoming, outgoing);
    // The daemon itself may be away, or the asker may have gone: a broken answer like any other.
    done.catch(() => outgoing.socket?.destroy());
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    asked,
    passed,
    held: () => new Set(held.keys()),
    spoil: (how, only = /./) => {
      spoiled = how === null ? null : { how, only };
      for (const response of held.values()) response.socket?.destroy();
    },
    close: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
