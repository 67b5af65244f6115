/**
 * Who has a root? Every connected provider is asked "have"; those still being dialled are waited
 * for. The first yes ends the wait (later ones still join the session); when all have said no, or
 * say nothing for a while, the root is unavailable. A provider that is silent to everything is not
 * waited for again and again: that keeps ten thousand dead roots from holding up live ones.
 */
import type { CID } from 'multiformats/cid';
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { FetchSession } from './block-exchange.ts';
import { type BlockKey, blockKey, cidText } from './cid-text.ts';
import type { ProviderLinks } from './provider-links.ts';
import type { WantOutbox } from './want-outbox.ts';

const silentMsMax: Ms = 3000;
const lookupsMax = 2000;

interface Lookup {
  readonly cid: CID;
  readonly session: FetchSession;
  readonly asked: Set<string>;
  readonly open: Set<string>;
  readonly waiters: Set<{ resolve(session: FetchSession): void; reject(reason: unknown): void }>;
}

export interface Lookups {
  find(cid: CID, signal: AbortSignal): Promise<FetchSession>;
  answer(peer: string, cid: CID, has: boolean): void;
  /** A provider came, went or failed to be dialled. */
  check(): void;
  drop(peer: string): void;
  tick(): void;
  stop(reason: unknown): void;
}

export interface LookupDeps {
  readonly monoMs: () => Ms;
  readonly links: ProviderLinks;
  readonly outbox: WantOutbox;
}

export function createLookups({ monoMs, links, outbox }: LookupDeps): Lookups {
  const lookups = new Map<BlockKey, Lookup>();
  /** Since when a provider owes an answer; absent: it owes none. */
  const owesSinceMs = new Map<string, Ms>();

  function ask(lookup: Lookup, connected: readonly string[]): void {
    for (const peer of connected) {
      if (lookup.asked.has(peer)) continue;
      lookup.asked.add(peer);
      lookup.open.add(peer);
      if (!owesSinceMs.has(peer)) owesSinceMs.set(peer, monoMs());
      outbox.want(peer, lookup.cid, 'have');
    }
  }

  function close(key: BlockKey, lookup: Lookup): void {
    lookups.delete(key);
    for (const peer of lookup.asked) {
      if (!lookup.session.peers.has(peer)) outbox.cancel(peer, lookup.cid);
    }
  }

  const isSilent = (peer: string, nowMs: Ms): boolean => {
    const since = owesSinceMs.get(peer);
    return since !== undefined && nowMs - since > silentMsMax;
  };

  /** Ends the lookup if there is nothing left to wait for. */
  function settle(key: BlockKey, lookup: Lookup, nowMs: Ms, dialing: boolean): void {
    const awaited = [...lookup.open].some((peer) => !isSilent(peer, nowMs));
    if (awaited || (lookup.session.peers.size === 0 && dialing)) return;
    close(key, lookup);
    if (lookup.session.peers.size > 0) return;
    const text = `no provider has ${cidText(lookup.cid)}: ${links.describe()}`;
    for (const waiter of lookup.waiters) waiter.reject(new AgentError('unavailable', text));
  }

  function check(): void {
    if (lookups.size === 0) return;
    const nowMs = monoMs();
    const connected = links.connected();
    const dialing = links.isDialing();
    for (const [key, lookup] of [...lookups]) {
      ask(lookup, connected);
      settle(key, lookup, nowMs, dialing);
    }
  }

  function answer(peer: string, cid: CID, has: boolean): void {
    owesSinceMs.delete(peer);
    const key = blockKey(cid);
    const lookup = lookups.get(key);
    if (lookup === undefined || !lookup.open.delete(peer)) return;
    if (has) {
      lookup.session.peers.add(peer);
      for (const waiter of lookup.waiters) waiter.resolve(lookup.session);
      lookup.waiters.clear();
    }
    settle(key, lookup, monoMs(), links.isDialing());
  }

  function drop(peer: string): void {
    owesSinceMs.delete(peer);
    for (const lookup of lookups.values()) {
      lookup.open.delete(peer);
      lookup.asked.delete(peer);
      lookup.session.peers.delete(peer);
    }
    check();
  }

  function begin(cid: CID): Lookup {
    if (lookups.size >= lookupsMax)
      throw new AgentError('overloaded', `${lookupsMax} lookups are under way`);
    links.connectAll();
    const lookup: Lookup = {
      cid,
      session: { peers: new Set() },
      asked: new Set(),
      open: new Set(),
      waiters: new Set(),
    };
    lookups.set(blockKey(cid), lookup);
    return lookup;
  }

  async function find(cid: CID, signal: AbortSignal): Promise<FetchSession> {
    signal.throwIfAborted();
    const key = blockKey(cid);
    const lookup = lookups.get(key) ?? begin(cid);
    if (lookup.session.peers.size > 0) return lookup.session;
    return new Promise<FetchSession>((resolve, reject) => {
      const abort = (): void => {
        lookup.waiters.delete(waiter);
        if (lookup.waiters.size === 0 && lookups.get(key) === lookup) close(key, lookup);
        reject(signal.reason);
      };
      const done = (): void => signal.removeEventListener('abort', abort);
      const waiter = {
        resolve: (session: FetchSession) => {
          done();
          resolve(session);
        },
        reject: (reason: unknown) => {
          done();
          reject(reason);
        },
      };
      lookup.waiters.add(waiter);
      signal.addEventListener('abort', abort);
      ask(lookup, links.connected());
      settle(key, lookup, monoMs(), links.isDialing());
    });
  }

  function stop(reason: unknown): void {
    for (const lookup of lookups.values())
      for (const waiter of lookup.waiters) waiter.reject(reason);
    lookups.clear();
  }

  return { find, answer, check, drop, tick: check, stop };
}
