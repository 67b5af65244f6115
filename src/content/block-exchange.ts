/**
 * Fetching blocks. A lookup asks all providers who has a root; a fetch then asks one provider at a
 * time, spread by what each has outstanding, and goes on to the next when one doesn't have the
 * block, closes or falls silent. Wants are sent in batches within a window of bytes per provider.
 * Every want ends in a block, in `unavailable` or by its signal, and is cancelled at the provider,
 * which otherwise remembers it and would not answer a second time.
 */
import type { CID } from 'multiformats/cid';
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Provider } from './api.ts';
import { type BlockKey, blockKey, cidText, rawCode } from './cid-text.ts';
import type { ContentHost, HostHandlers } from './content-host.ts';
import { createLookups, type Lookups } from './lookups.ts';
import { createProviderLinks, type ProviderLinks } from './provider-links.ts';
import { createWantOutbox, type WantOutbox } from './want-outbox.ts';

const peerBytesMax = 16 * 1024 * 1024;
const peerBytesLow = 10 * 1024 * 1024;
const peerWantsMax = 256;
const queueMax = 10_000;
const blockBytesGuess = 1024 * 1024;
const nodeBytesGuess = 64 * 1024;
const silentMsMax: Ms = 15_000;
const tickMs: Ms = 250;

/** Who has (part of) one DAG; grows while lookups answer. */
export interface FetchSession {
  readonly peers: Set<string>;
}

export interface BlockExchange {
  setProviders(providers: readonly Provider[]): boolean;
  /** Finds providers of a root; throws `unavailable` when none that can be reached has it. */
  lookup(cid: CID, signal: AbortSignal): Promise<FetchSession>;
  /** A verified block. `bytesHint` is what its parent says of its size. */
  fetch(
    session: FetchSession,
    cid: CID,
    options: { bytesHint: number | null; signal: AbortSignal },
  ): Promise<Uint8Array>;
  readonly handlers: HostHandlers;
  /** Blocks wanted now. */
  load(): number;
  stop(): void;
}

interface Waiter {
  resolve(bytes: Uint8Array): void;
  reject(reason: unknown): void;
}

interface BlockWant {
  readonly cid: CID;
  readonly key: BlockKey;
  readonly bytes: number;
  readonly session: FetchSession;
  readonly tried: Set<string>;
  readonly waiters: Set<Waiter>;
  peer: string | null;
}

interface PeerState {
  readonly wants: Map<BlockKey, BlockWant>;
  bytes: number;
  heardMs: Ms;
  draining: boolean;
}

export interface ExchangeDeps {
  readonly host: ContentHost;
  readonly monoMs: () => Ms;
  readonly random: () => number;
}

export function createBlockExchange(deps: ExchangeDeps): BlockExchange {
  const { host, monoMs } = deps;
  const wants = new Map<BlockKey, BlockWant>();
  const waiting = new Set<BlockWant>();
  const peers = new Map<string, PeerState>();
  const links: ProviderLinks = createProviderLinks({ ...deps, onSettled: settled });
  const outbox: WantOutbox = createWantOutbox({ host, onFailed: dropPeer });
  const lookups: Lookups = createLookups({ monoMs, links, outbox });
  const timer = setInterval(tick, tickMs);
  timer.unref();

  function settled(): void {
    lookups.check();
    pump();
  }

  function stateOf(peer: string): PeerState {
    let state = peers.get(peer);
    if (state === undefined) {
      state = { wants: new Map(), bytes: 0, heardMs: monoMs(), draining: false };
      peers.set(peer, state);
    }
    return state;
  }

  function finish(want: BlockWant): void {
    wants.delete(want.key);
    waiting.delete(want);
    unassign(want, false);
  }

  /** Takes the want from its provider; `failed` remembers not to ask that one again. */
  function unassign(want: BlockWant, failed: boolean): void {
    if (want.peer === null) return;
    const state = stateOf(want.peer);
    if (state.wants.delete(want.key)) state.bytes -= want.bytes;
    if (state.bytes <= peerBytesLow) state.draining = false;
    if (failed) want.tried.add(want.peer);
    outbox.cancel(want.peer, want.cid);
    want.peer = null;
  }

  function retry(want: BlockWant): void {
    unassign(want, true);
    waiting.add(want);
  }

  function fail(want: BlockWant, error: unknown): void {
    finish(want);
    for (const waiter of want.waiters) waiter.reject(error);
  }

  function assign(want: BlockWant, peer: string): void {
    const state = stateOf(peer);
    if (state.wants.size === 0) state.heardMs = monoMs();
    state.wants.set(want.key, want);
    state.bytes += want.bytes;
    if (state.bytes >= peerBytesMax || state.wants.size >= peerWantsMax) state.draining = true;
    want.peer = peer;
    waiting.delete(want);
    outbox.want(peer, want.cid, 'block');
  }

  /** The least loaded untried provider, one with the DAG before the others; null: all are busy. */
  function choose(want: BlockWant, connected: readonly string[]): string | null | 'none' {
    const untried = connected.filter((peer) => !want.tried.has(peer));
    if (untried.length === 0) return 'none';
    const likely = untried.filter((peer) => want.session.peers.has(peer));
    let best: string | null = null;
    for (const peer of likely.length > 0 ? likely : untried) {
      const state = stateOf(peer);
      if (state.draining) continue;
      if (best === null || state.bytes < stateOf(best).bytes) best = peer;
    }
    return best;
  }

  function pump(): void {
    if (waiting.size === 0) return;
    const connected = links.connected();
    for (const want of [...waiting]) {
      const peer = choose(want, connected);
      if (peer === null) continue;
      if (peer !== 'none') assign(want, peer);
      else if (!links.isDialing()) {
        const text = `block ${cidText(want.cid)} is with no provider: ${links.describe()}`;
        fail(want, new AgentError('unavailable', text));
      }
    }
  }

  function dropPeer(peer: string): void {
    const state = peers.get(peer);
    if (state !== undefined) for (const want of [...state.wants.values()]) retry(want);
    lookups.drop(peer);
    pump();
  }

  function tick(): void {
    const nowMs = monoMs();
    for (const [peer, state] of peers) {
      if (state.wants.size > 0 && nowMs - state.heardMs > silentMsMax) dropPeer(peer);
    }
    lookups.tick();
    outbox.flush();
    pump();
  }

  const handlers: HostHandlers = {
    onBlock: (from, cid, bytes) => {
      const state = stateOf(from);
      state.heardMs = monoMs();
      lookups.answer(from, cid, true);
      const want = wants.get(blockKey(cid));
      if (want === undefined) return;
      finish(want);
      for (const waiter of want.waiters) waiter.resolve(bytes);
      pump();
    },
    onPresence: (from, cid, has) => {
      stateOf(from).heardMs = monoMs();
      lookups.answer(from, cid, has);
      const want = wants.get(blockKey(cid));
      if (has || want?.peer !== from) return;
      retry(want);
      pump();
    },
    onLink: (peer, connected) => {
      if (connected) {
        lookups.check();
        pump();
      } else {
        outbox.drop(peer);
        dropPeer(peer);
        peers.delete(peer);
      }
    },
  };

  function begin(session: FetchSession, cid: CID, bytesHint: number | null): BlockWant {
    const key = blockKey(cid);
    const guess = cid.code === rawCode ? blockBytesGuess : nodeBytesGuess;
    const bytes = Math.min(bytesHint ?? guess, guess);
    const waiters = new Set<Waiter>();
    const want = { cid, key, bytes, session, tried: new Set<string>(), waiters, peer: null };
    wants.set(key, want);
    waiting.add(want);
    links.connectAll();
    return want;
  }

  function fetch(
    session: FetchSession,
    cid: CID,
    { bytesHint, signal }: { bytesHint: number | null; signal: AbortSignal },
  ): Promise<Uint8Array> {
    if (wants.size >= queueMax)
      return Promise.reject(new AgentError('overloaded', `${queueMax} blocks are being fetched`));
    const want = wants.get(blockKey(cid)) ?? begin(session, cid, bytesHint);
    return new Promise<Uint8Array>((resolve, reject) => {
      const abort = (): void => {
        want.waiters.delete(waiter);
        if (want.waiters.size === 0) finish(want);
        reject(signal.reason);
        pump();
      };
      const done = (): void => signal.removeEventListener('abort', abort);
      const waiter: Waiter = {
        resolve: (bytes) => {
          done();
          resolve(bytes);
        },
        reject: (reason) => {
          done();
          reject(reason);
        },
      };
      want.waiters.add(waiter);
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort);
      pump();
    });
  }

  return {
    setProviders: (providers) => links.set(providers),
    lookup: (cid, signal) => lookups.find(cid, signal),
    fetch,
    handlers,
    load: () => wants.size,
    stop: () => {
      clearInterval(timer);
      const stopped = new AgentError('stopped', 'content is stopping');
      for (const want of [...wants.values()]) fail(want, stopped);
      lookups.stop(stopped);
    },
  };
}
