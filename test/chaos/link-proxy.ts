/**
 * TCP proxies between nodes, for what the kernel may not offer: delay with jitter. Bytes keep their
 * order; each chunk leaves when its delay is over and those before it have left. A held direction
 * keeps what comes until it is let go, and takes no more than a bounded amount.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const chunksWaitingMax = 512;

export interface LinkProxies {
  /** Opens a proxy to `host:port` for what `from` sends to `to`; the port it listens on. */
  open(link: { from: number; to: number; host: string; port: number }): Promise<number>;
  delay(ms: number, jitterMs: number): void;
  hold(from: number, to: number): void;
  /** Breaks what is open between the two, and whatever is opened, until healed. */
  reset(a: number, b: number): void;
  heal(): void;
  close(): void;
}

/** One direction of one connection. */
interface Pipe {
  readonly from: number;
  readonly to: number;
  flush(): void;
}

interface Lateness {
  ms: number;
  jitterMs: number;
}

const nameOf = (from: number, to: number): string => `${from}>${to}`;

function createPipe(
  ends: { from: number; to: number; source: Socket; sink: Socket },
  late: Lateness,
  isHeld: () => boolean,
): Pipe {
  const { from, to, source, sink } = ends;
  const waiting: { readonly dueMs: number; readonly chunk: Buffer | null }[] = [];
  let lastDueMs = 0;
  let timer: NodeJS.Timeout | null = null;

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    while (waiting[0] !== undefined && !isHeld() && !sink.destroyed) {
      const { dueMs, chunk } = waiting[0];
      const inMs = dueMs - performance.now();
      if (inMs > 0.5) {
        timer = setTimeout(flush, inMs);
        return;
      }
      waiting.shift();
      if (chunk === null) sink.end();
      else sink.write(chunk);
    }
    if (waiting.length < chunksWaitingMax) source.resume();
  }

  function take(chunk: Buffer | null): void {
    const ownMs = late.ms + (Math.random() * 2 - 1) * late.jitterMs;
    lastDueMs = Math.max(lastDueMs, performance.now() + Math.max(0, ownMs));
    waiting.push({ dueMs: lastDueMs, chunk });
    if (waiting.length >= chunksWaitingMax) source.pause();
    if (timer === null) flush();
  }

  source.on('data', take);
  source.on('end', () => take(null));
  return { from, to, flush };
}

export function createLinkProxies(): LinkProxies {
  const servers: Server[] = [];
  const sockets = new Map<Socket, { a: number; b: number }>();
  const pipes = new Set<Pipe>();
  const held = new Set<string>();
  const broken = new Set<string>();
  const late: Lateness = { ms: 0, jitterMs: 0 };

  function join(link: { from: number; to: number; host: string; port: number }, near: Socket) {
    const { from, to, host, port } = link;
    if (broken.has(nameOf(from, to))) return void near.resetAndDestroy();
    const far = connect({ host, port });
    const there = createPipe({ from, to, source: near, sink: far }, late, () =>
      held.has(nameOf(from, to)),
    );
    const back = createPipe({ from: to, to: from, source: far, sink: near }, late, () =>
      held.has(nameOf(to, from)),
    );
    pipes.add(there).add(back);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.set(socket, { a: from, b: to });
      socket.setNoDelay(true);
      // What breaks on one side breaks on the other; `close` follows every error.
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', (failed) => {
        sockets.delete(socket);
        pipes.delete(there);
        pipes.delete(back);
        if (failed || !other.writableEnded) other.resetAndDestroy();
      });
    }
  }

  return {
    open: async (link) => {
      const server = createServer({ allowHalfOpen: true }, (near) => join(link, near));
      servers.push(server);
      server.listen(0, '0.0.0.0');
      await once(server, 'listening');
      return (server.address() as { port: number }).port;
    },
    delay: (ms, jitterMs) => {
      late.ms = ms;
      late.jitterMs = jitterMs;
    },
    hold: (from, to) => {
      held.add(nameOf(from, to));
    },
    reset: (a, b) => {
      broken.add(nameOf(a, b)).add(nameOf(b, a));
      for (const [socket, ends] of sockets)
        if ((ends.a === a && ends.b === b) || (ends.a === b && ends.b === a))
          socket.resetAndDestroy();
    },
    heal: () => {
      held.clear();
      broken.clear();
      for (const pipe of pipes) pipe.flush();
    },
    close: () => {
      for (const server of servers) server.close();
      for (const socket of sockets.keys()) socket.destroy();
    },
  };
}
