/**
 * Makes this node hold what its own applied catalog says, and nothing that a committed entry took
 * away. Level-triggered: each round starts from the catalog and the engine as they are.
 *
 * A copy is forgotten only because of a committed entry: the pin's removal (its tombstone), or an
 * allocation that doesn't name this node and names the verified copies it relied on; and for the
 * latter only while the leader says, too, that they are there. Absence proves nothing.
 */
import type { CidText, Ms, PeerId } from '../../base/brand.ts';
import { mayDrop, type PinRecord } from '../../catalog/query-pins.ts';
import type { ContentEngine } from '../../content/api.ts';
import { createRounds } from './rounds.ts';

const collectAfterMs = 30_000;
const pageLimit = 1000;
const releasedMax = 100_000;

export interface HoldingsDeps {
  readonly self: PeerId;
  readonly engine: ContentEngine;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  /** Adds under way: their copies are not in the catalog yet. */
  readonly adding: () => number;
  /** While the cluster is paused nothing is forgotten. */
  readonly paused: () => boolean;
  readonly onForgotten: (cid: CidText, reason: string) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Holdings {
  start(): void;
  stop(): Promise<void>;
  /** The catalog may have changed. */
  poke(): void;
  /** The leader says that these have their verified copies elsewhere. */
  release(cids: readonly CidText[]): void;
}

export function createHoldings(deps: HoldingsDeps): Holdings {
  const { self, engine } = deps;
  const released = new Set<CidText>();
  let collectTimer: NodeJS.Timeout | null = null;
  let running = false;
  const rounds = createRounds({
    periodMs: 5000,
    gatherMs: 20,
    apartMs: 200,
    run: reconcile,
    onFailure: (error) => deps.onFailure('holdings were not reconciled', error),
  });

  async function allocatedHere(): Promise<Set<CidText>> {
    const cids = new Set<CidText>();
    let after: string | null = null;
    do {
      const page = (await deps.query('allocations.forPeer', {
        peer: self,
        after,
        limit: pageLimit,
      })) as { pins: PinRecord[]; next: string | null };
      for (const pin of page.pins) cids.add(pin.cid);
      after = page.next;
    } while (after !== null);
    return cids;
  }

  /** The committed entry by which this node may forget the copy, or null. */
  async function licence(cid: CidText): Promise<string | null> {
    const pin = (await deps.query('pins.get', { cid })) as PinRecord | null;
    if (pin === null) {
      const tombstone = await deps.query('tombstones.get', { cid });
      return tombstone === null ? null : 'removed';
    }
    return mayDrop(pin, self) && released.has(cid) ? 'allocated-elsewhere' : null;
  }

  async function reconcile(): Promise<Ms> {
    const begunMs = performance.now();
    const wanted = await allocatedHere();
    const held = new Map((await engine.pins()).map((status) => [status.cid, status]));
    for (const cid of wanted) if (!held.has(cid)) engine.pin(cid);
    let forgotten = 0;
    for (const cid of held.keys()) {
      if (wanted.has(cid)) {
        released.delete(cid);
        continue;
      }
      if (deps.paused()) continue;
      const reason = await licence(cid);
      // An add stores its blocks before its pin is committed: an old tombstone must not take them.
      if (reason === null || (reason === 'removed' && deps.adding() > 0)) continue;
      await engine.unpin(cid);
      released.delete(cid);
      forgotten += 1;
      deps.onForgotten(cid, reason);
    }
    if (forgotten > 0) collectLater();
    return performance.now() - begunMs;
  }

  function collectLater(): void {
    if (collectTimer !== null || !running) return;
    collectTimer = setTimeout(() => {
      collectTimer = null;
      engine
        .collectGarbage()
        .catch((error: unknown) => deps.onFailure('garbage was not collected', error));
    }, collectAfterMs);
  }

  return {
    start: () => {
      running = true;
      rounds.start();
    },
    stop: async () => {
      running = false;
      if (collectTimer !== null) clearTimeout(collectTimer);
      await rounds.stop();
    },
    poke: rounds.poke,
    release: (cids) => {
      if (released.size + cids.length > releasedMax) released.clear();
      for (const cid of cids) released.add(cid);
      if (cids.length > 0) rounds.poke();
    },
  };
}
