/**
 * The fast lane of the status port: plain writes of index entries are read from their socket and
 * answered there, at a fraction of what the whole machinery of a request costs; it is the same
 * agent, the same access, the same answers. The first request that is anything else takes its
 * connection over to the HTTP server, with every byte that was read, and the lane forgets it.
 */
import { type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Agent } from '../agent/api.ts';
import type { CommandResult } from '../wire/command.ts';
import type { Access } from './access.ts';
import { type FastWrite, fastWriteOf } from './fast-index.ts';
import { type FastHead, readFastHead } from './fast-request.ts';
import { refusalOf, timeoutMsDefault } from './fields.ts';
import { type Problem, problemAnswer, problemOf } from './problem.ts';

/** A connection without a request is closed after this long. */
const idleMs = 72_000;
/** A request must be whole by then. */
const requestMsMax = 60_000;

export interface FastLaneDeps {
  readonly agent: Agent;
  readonly access: Access;
  readonly bodyBytesMax: number;
  readonly observe: (route: string, status: number, seconds: number) => void;
  readonly onBug: (error: unknown, request: string) => void;
}

export interface FastLane {
  /** Ends the connections that are in the lane. */
  close(): void;
}

/** The date line, made anew once a second at most. */
function createDateLine(): () => string {
  let madeMs = 0;
  let line = '';
  return () => {
    const nowMs = Date.now();
    if (nowMs - madeMs >= 1000 || nowMs < madeMs) {
      madeMs = nowMs;
      line = `date: ${new Date(nowMs).toUTCString()}\r\nconnection: keep-alive\r\n\r\n`;
    }
    return line;
  };
}

const dateLine = createDateLine();

function answerText(status: number, headers: string, body: string): string {
  const length = Buffer.byteLength(body, 'utf8');
  const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${headers}`;
  return `${start}content-length: ${length}\r\n${dateLine()}${body}`;
}

const jsonType = 'content-type: application/json; charset=utf-8\r\n';

function problemText(problem: Problem): string {
  const { headers, body } = problemAnswer(problem);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return answerText(problem.status, lines.join(''), body);
}

/** Status and text of the answer to a write that was applied, refused there or not. */
function outcomeOf(write: FastWrite, result: CommandResult): [number, string] {
  if (result.ok) return [200, answerText(200, jsonType, write.answerOf(result))];
  const problem = problemOf(refusalOf(result));
  return [problem.status, problemText(problem)];
}

interface Lane extends FastLaneDeps {
  /** The socket is closed, or is about to be handed over. */
  readonly onLeft: (socket: Socket) => void;
  readonly handOver: (socket: Socket) => void;
}

/** One connection for as long as it is in the lane; it has one request at a time. */
function openConnection(socket: Socket, lane: Lane): void {
  let parts: Buffer[] = [];
  let bytesCame = 0;
  let head: FastHead | null = null;
  let startedMs = 0;
  let busy = false;
  let ended = false;
  let left = false;

  const allowed = (wanted: FastHead): boolean =>
    lane.agent.role !== 'leecher' && lane.access.allowsProgram(wanted, socket.localAddress);

  /** To the usual way, with all that was read and not answered. */
  function leave(bytes: Buffer): void {
    left = true;
    for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
    socket.setTimeout(0);
    lane.onLeft(socket);
    socket.pause();
    if (bytes.length > 0) socket.unshift(bytes);
    lane.handOver(socket);
    socket.resume();
  }

  function joined(): Buffer {
    const [first] = parts;
    return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
  }

  function answer(text: string): void {
    busy = false;
    if (left || socket.destroyed) return;
    socket.write(text, 'utf8');
    if (bytesCame > 0) read();
    else if (ended) socket.end();
    if (socket.isPaused()) socket.resume();
  }

  function serve(write: FastWrite): void {
    busy = true;
    const done = (status: number, text: string): void => {
      lane.observe(write.route, status, (performance.now() - startedMs) / 1000);
      answer(text);
    };
    lane.agent.propose(write.command, { idempotency: null, timeoutMs: timeoutMsDefault }).then(
      (result) => done(...outcomeOf(write, result)),
      (thrown: unknown) => {
        const problem = problemOf(thrown);
        if (problem.code === 'internal') lane.onBug(thrown, write.route);
        done(problem.status, problemText(problem));
      },
    );
  }

  /** Takes one request from what has come, or gives the connection away. */
  function read(): void {
    if (head !== null && bytesCame < head.bodyTo) return;
    const bytes = joined();
    if (head === null) {
      startedMs = performance.now();
      head = readFastHead(bytes, lane.bodyBytesMax);
      if (head === null || !allowed(head)) {
        leave(bytes);
        return;
      }
      if (bytesCame < head.bodyTo) return;
    }
    const write = fastWriteOf(head, bytes.toString('utf8', head.bodyFrom, head.bodyTo));
    if (write === null) {
      leave(bytes);
      return;
    }
    bytesCame -= head.bodyTo;
    parts = bytesCame > 0 ? [bytes.subarray(head.bodyTo)] : [];
    head = null;
    serve(write);
  }

  const listeners = {
    data: (chunk: Buffer) => {
      parts.push(chunk);
      bytesCame += chunk.length;
      if (busy) socket.pause();
      else if (head !== null && performance.now() - startedMs > requestMsMax) socket.destroy();
      else read();
    },
    end: () => {
      ended = true;
      if (!busy) socket.end();
    },
    error: () => {
      socket.destroy();
    },
    timeout: () => {
      if (!busy) socket.destroy();
    },
    close: () => lane.onLeft(socket),
  };
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
  socket.setTimeout(idleMs);
  socket.setNoDelay(true);
}

/** Puts the lane before the server's own way of taking connections. */
export function createFastLane(server: Server, deps: FastLaneDeps): FastLane {
  const inLane = new Set<Socket>();
  const usual = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const lane: Lane = {
    ...deps,
    onLeft: (socket) => inLane.delete(socket),
    handOver: (socket) => {
      for (const listener of usual) listener.call(server, socket);
    },
  };
  server.on('connection', (socket: Socket) => {
    inLane.add(socket);
    openConnection(socket, lane);
  });
  return {
    close: () => {
      for (const socket of inLane) socket.destroy();
    },
  };
}
