/**
 * The network between simulated machines: one directed path per ordered pair (cut or not, lossy,
 * slow) and one connection per pair as each of its ends sees it. It behaves as TCP does where that
 * matters to an election: a killed process closes its connections at once and refuses redials, a
 * cut says nothing to anybody, a frame of an old connection is answered by a reset, a dial needs
 * both directions.
 * On top of TCP it may lose, double and reorder frames, which the protocol must bear as well.
 */
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { EventQueue } from './event-queue.ts';

export interface NetworkWeather {
  readonly delayMsMin: Ms;
  readonly delayMsMax: Ms;
  readonly loss: number;
  readonly duplication: number;
  /** Share of frames that overtake or fall behind the others. */
  readonly reordering: number;
}

export type LinkChange = 'opened' | 'closed' | 'redial-failed';

export interface NetworkEnds<P> {
  /** The process can answer a dial: running, stopped by a signal, or not there at all. */
  process(node: number): 'running' | 'stopped' | 'absent';
  onPacket(to: number, from: number, packet: P): void;
  onLink(at: number, peer: number, change: LinkChange): void;
}

export interface Network<P> {
  send(from: number, to: number, packet: P): void;
  /** A bulk transfer beside the frames; `done` hears whether it arrived whole. */
  stream(from: number, to: number, bytes: number, done: (ok: boolean) => void): void;
  setWeather(weather: NetworkWeather): void;
  setCut(from: number, to: number, cut: boolean): void;
  isCut(from: number, to: number): boolean;
  healAll(): void;
  /** Extra delay of everything that `node` sends. */
  setSlow(node: number, delayMs: Ms): void;
  /** Closes a healthy connection on both sides; it will be redialled. */
  reset(a: number, b: number): void;
  /** Opens every connection at once, whatever is cut. */
  connectAll(): void;
  /** A process came up and begins to dial everybody. */
  started(node: number): void;
  /** A process ended (`announced`), or its machine lost power and says nothing. */
  ended(node: number, announced: boolean): void;
  connected(at: number, peer: number): boolean;
  packetsSent(): number;
}

export interface NetworkDeps<P> {
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly ends: NetworkEnds<P>;
  readonly nodes: number;
  /** Whether a connection over a cut path is given up after a while. */
  readonly keepAlive: boolean;
}

/** Gap between redials of one pair: at once, then a little later, then capped. */
const redialMs: readonly Ms[] = [1, 5, 20, 50, 100, 200, 400];
const dialTimeoutMs = 1500;
const lateMsMax: Ms = 3000;
const streamBytesPerMs = 20_000;
/** A silent path closes the connection by keep-alive some time after this. */
const keepAliveMs = 4000;

interface Side {
  /** Connection that this end believes in; 0: none. */
  connection: number;
  dialing: boolean;
  attempts: number;
}

export function createNetwork<P>(deps: NetworkDeps<P>): Network<P> {
  const { queue, prng, ends, nodes } = deps;
  const at = (from: number, to: number): number => from * nodes + to;
  const cuts: boolean[] = new Array(nodes * nodes).fill(false);
  const arrivals: number[] = new Array(nodes * nodes).fill(0);
  const slow: Ms[] = new Array(nodes).fill(0);
  const sides: Side[] = Array.from({ length: nodes * nodes }, () => ({
    connection: 0,
    dialing: false,
    attempts: 0,
  }));
  let weather: NetworkWeather = {
    ...{ delayMsMin: 0.2, delayMsMax: 1 },
    ...{ loss: 0, duplication: 0, reordering: 0 },
  };
  let connections = 0;
  let packets = 0;

  const side = (end: number, peer: number): Side => sides[at(end, peer)] as Side;
  const delay = (from: number): Ms =>
    prng.range(weather.delayMsMin, weather.delayMsMax) + (slow[from] as Ms);
  const bothWays = (a: number, b: number): boolean => !cuts[at(a, b)] && !cuts[at(b, a)];

  function close(end: number, peer: number): void {
    const own = side(end, peer);
    if (own.connection === 0) return;
    own.connection = 0;
    own.attempts = 0;
    if (ends.process(end) === 'absent') return;
    ends.onLink(end, peer, 'closed');
    dialLater(end, peer);
  }

  function dialLater(end: number, peer: number): void {
    const own = side(end, peer);
    if (own.dialing) return;
    own.dialing = true;
    const gap = redialMs[Math.min(own.attempts, redialMs.length - 1)] as Ms;
    own.attempts += 1;
    queue.in(gap * prng.range(0.75, 1.25), () => dial(end, peer));
  }

  function dialEnded(end: number, peer: number, failed: boolean): void {
    const own = side(end, peer);
    own.dialing = false;
    if (ends.process(end) === 'absent') return;
    if (own.connection !== 0) return;
    if (failed) ends.onLink(end, peer, 'redial-failed');
    dialLater(end, peer);
  }

  function dial(end: number, peer: number): void {
    const own = side(end, peer);
    const state = ends.process(end);
    if (state === 'absent' || own.connection !== 0) {
      own.dialing = false;
      return;
    }
    const roundTrip = delay(end) + delay(peer);
    if (state === 'stopped' || !bothWays(end, peer)) {
      queue.in(dialTimeoutMs, () => dialEnded(end, peer, state !== 'stopped'));
      return;
    }
    queue.in(roundTrip, () => answer(end, peer, roundTrip));
  }

  /** The dial reached the other machine (or not): accepted, refused, or nobody answers. */
  function answer(end: number, peer: number, roundTrip: Ms): void {
    const there = ends.process(peer);
    if (!bothWays(end, peer) || there === 'stopped') {
      queue.in(dialTimeoutMs, () => dialEnded(end, peer, true));
      return;
    }
    if (there === 'absent') {
      dialEnded(end, peer, true);
      return;
    }
    // Two more round trips for the handshakes.
    queue.in(roundTrip * 2, () => {
      if (!bothWays(end, peer) || ends.process(peer) !== 'running') dialEnded(end, peer, true);
      else establish(end, peer);
    });
  }

  function establish(end: number, peer: number): void {
    const own = side(end, peer);
    own.dialing = false;
    if (ends.process(end) === 'absent' || own.connection !== 0) return;
    const other = side(peer, end);
    if (other.connection !== 0) {
      other.connection = 0;
      ends.onLink(peer, end, 'closed');
    }
    connections += 1;
    own.connection = connections;
    other.connection = connections;
    own.attempts = 0;
    other.attempts = 0;
    ends.onLink(end, peer, 'opened');
    if (side(peer, end).connection === connections) ends.onLink(peer, end, 'opened');
  }

  function arrive(from: number, to: number, connection: number, packet: P): void {
    if (ends.process(to) === 'absent') {
      bounce(from, to, connection);
      return;
    }
    if (side(to, from).connection === connection) ends.onPacket(to, from, packet);
    else bounce(from, to, connection);
  }

  /** The far end does not know this connection: its kernel answers with a reset. */
  function bounce(from: number, to: number, connection: number): void {
    if (cuts[at(to, from)]) return;
    queue.in(delay(to), () => {
      if (side(from, to).connection === connection) close(from, to);
    });
  }

  function deliver(from: number, to: number, connection: number, packet: P): void {
    const path = at(from, to);
    let arrival = queue.nowMs() + delay(from);
    if (weather.reordering > 0 && prng.chance(weather.reordering))
      arrival += prng.range(0, weather.delayMsMax * 3);
    else arrival = Math.max(arrival, arrivals[path] as number);
    arrivals[path] = Math.max(arrivals[path] as number, arrival);
    queue.at(arrival, () => arrive(from, to, connection, packet));
  }

  function send(from: number, to: number, packet: P): void {
    const { connection } = side(from, to);
    if (connection === 0) return;
    packets += 1;
    if (cuts[at(from, to)]) return;
    if (weather.loss > 0 && prng.chance(weather.loss)) return;
    deliver(from, to, connection, packet);
    if (weather.duplication > 0 && prng.chance(weather.duplication)) {
      // Some doubles come so late that the world has moved on.
      const lateMs = prng.chance(0.1) ? prng.range(0, lateMsMax) : 0;
      queue.in(lateMs, () => deliver(from, to, connection, packet));
    }
  }

  function ended(node: number, announced: boolean): void {
    for (let peer = 0; peer < nodes; peer++) {
      if (peer === node) continue;
      const own = side(node, peer);
      own.connection = 0;
      own.attempts = 0;
      if (!announced || cuts[at(node, peer)]) continue;
      const { connection } = side(peer, node);
      if (connection === 0) continue;
      queue.in(delay(node), () => {
        if (side(peer, node).connection === connection) close(peer, node);
      });
    }
  }

  /** A connection over a cut path is given up after a while, by either end for itself. */
  function watchCut(from: number, to: number): void {
    for (const [end, peer] of [
      [from, to],
      [to, from],
    ] as const) {
      const { connection } = side(end, peer);
      if (connection === 0) continue;
      queue.in(keepAliveMs * prng.range(0.5, 2), () => {
        if (side(end, peer).connection === connection && !bothWays(end, peer)) close(end, peer);
      });
    }
  }

  return {
    send,
    stream: (from, to, bytes, done) => {
      const { connection } = side(from, to);
      const lasts = delay(from) * 4 + bytes / streamBytesPerMs;
      queue.in(lasts, () => {
        const whole =
          connection !== 0 &&
          side(from, to).connection === connection &&
          side(to, from).connection === connection &&
          bothWays(from, to);
        done(whole);
      });
    },
    setWeather: (next) => {
      weather = next;
    },
    setCut: (from, to, cut) => {
      if (cuts[at(from, to)] === cut) return;
      cuts[at(from, to)] = cut;
      if (cut && deps.keepAlive) watchCut(from, to);
    },
    isCut: (from, to) => cuts[at(from, to)] === true,
    healAll: () => {
      cuts.fill(false);
      slow.fill(0);
    },
    setSlow: (node, delayMs) => {
      slow[node] = delayMs;
    },
    reset: (a, b) => {
      close(a, b);
      queue.in(delay(a), () => close(b, a));
    },
    connectAll: () => {
      for (let a = 0; a < nodes; a++) for (let b = a + 1; b < nodes; b++) establish(a, b);
    },
    started: (node) => {
      for (let peer = 0; peer < nodes; peer++) if (peer !== node) dialLater(node, peer);
    },
    ended,
    connected: (end, peer) => side(end, peer).connection !== 0,
    packetsSent: () => packets,
  };
}
