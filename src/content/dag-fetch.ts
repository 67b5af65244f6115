/**
 * Brings a whole DAG here: a walk with many blocks under way, depth first, skipping what is here
 * already. Blocks arrive verified, are put into the store under the pin's hold and are durable when
 * this resolves. The time limit counts from the last progress, never from the start.
 */
import type { CID } from 'multiformats/cid';
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { BlockExchange, FetchSession } from './block-exchange.ts';
import type { BlockStore } from './block-store.ts';
import { type BlockKey, blockKey, cidText, rawCode } from './cid-text.ts';
import { type DagLink, linksOf } from './dag.ts';

const underWayMax = 128;
const visitedMax = 50_000_000;

export interface FetchProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly blocks: number;
}

export interface DagFetchDeps {
  readonly store: BlockStore;
  readonly exchange: BlockExchange;
}

export interface DagFetchOptions {
  readonly holder: number;
  readonly session: FetchSession;
  readonly stallMs: Ms;
  readonly signal: AbortSignal;
  onProgress(progress: FetchProgress): void;
}

/** An abort signal that fires when nothing has moved for `stallMs`. */
function createStallGuard(cid: CID, stallMs: Ms, outer: AbortSignal) {
  const controller = new AbortController();
  const onOuter = (): void => controller.abort(outer.reason);
  const expire = (): void => {
    const text = `nothing of ${cidText(cid)} arrived for ${stallMs} ms`;
    controller.abort(new AgentError('timeout', text));
  };
  let timer = setTimeout(expire, stallMs);
  if (outer.aborted) onOuter();
  outer.addEventListener('abort', onOuter);
  return {
    controller,
    moved: () => {
      clearTimeout(timer);
      timer = setTimeout(expire, stallMs);
    },
    end: () => {
      clearTimeout(timer);
      outer.removeEventListener('abort', onOuter);
    },
  };
}

/** Bytes of the whole DAG as its root claims. */
function claimedTotal(root: Uint8Array, links: readonly DagLink[]): number | null {
  let total = root.length;
  for (const link of links) {
    if (link.bytes === null) return null;
    total += link.bytes;
  }
  return total;
}

type Guard = ReturnType<typeof createStallGuard>;

/** The walk: what is known and not visited yet, and what is under way. */
function createWalk({ store, exchange }: DagFetchDeps, options: DagFetchOptions, guard: Guard) {
  const { signal } = guard.controller;
  const visited = new Set<BlockKey>();
  const stack: DagLink[] = [];
  const active = new Set<Promise<void>>();
  let [bytesDone, blocks] = [0, 0];
  let bytesTotal: number | null = null;
  let failure: { readonly error: unknown } | null = null;

  function follow(cid: CID, bytes: Uint8Array): void {
    const links = linksOf(cid, bytes);
    if (blocks === 0) {
      bytesTotal = claimedTotal(bytes, links);
      if (bytesTotal !== null) store.ensureRoom(missingBytes(store, bytesTotal, links));
    }
    for (let i = links.length - 1; i >= 0; i--) {
      const link = links[i];
      if (link !== undefined) stack.push(link);
    }
  }

  function count(bytes: number): void {
    blocks += 1;
    bytesDone += bytes;
    guard.moved();
    options.onProgress({ bytesDone, bytesTotal, blocks });
  }

  async function visit(link: DagLink, key: BlockKey): Promise<void> {
    const { cid } = link;
    const known = store.bytesOf(key);
    if (known !== null) {
      store.hold(options.holder, key);
      if (cid.code !== rawCode) follow(cid, await store.get(key));
      return count(known);
    }
    const hint = { bytesHint: link.bytes, signal };
    const bytes = await exchange.fetch(options.session, cid, hint);
    follow(cid, bytes);
    await store.put(options.holder, key, bytes);
    count(bytes.length);
  }

  function launch(): void {
    while (active.size < underWayMax) {
      const link = stack.pop();
      if (link === undefined) return;
      const key = blockKey(link.cid);
      if (visited.has(key)) continue;
      if (visited.size >= visitedMax)
        throw new AgentError('too-large', `a DAG of more than ${visitedMax} blocks`);
      visited.add(key);
      const work: Promise<void> = visit(link, key)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => active.delete(work));
      active.add(work);
    }
  }

  async function run(root: CID): Promise<void> {
    stack.push({ cid: root, bytes: null });
    for (launch(); active.size > 0; launch()) {
      await Promise.race(active);
      // Several may have ended at once; none of their failures may be lost.
      if (failure !== null) throw failure.error;
      signal.throwIfAborted();
    }
  }

  return { run, ended: () => Promise.all(active) };
}

export async function fetchDag(
  deps: DagFetchDeps,
  root: CID,
  options: DagFetchOptions,
): Promise<void> {
  const guard = createStallGuard(root, options.stallMs, options.signal);
  const walk = createWalk(deps, options, guard);
  try {
    await walk.run(root);
    await deps.store.flush(options.holder);
  } catch (thrown) {
    guard.controller.abort(thrown);
    await walk.ended();
    throw thrown;
  } finally {
    guard.end();
  }
}

/** What is still to come at most: links whose blocks are here count as here with all below them. */
function missingBytes(store: BlockStore, total: number, links: readonly DagLink[]): number {
  const here = links.filter((link) => store.has(blockKey(link.cid)));
  return total - here.reduce((sum, link) => sum + (link.bytes ?? 0), 0);
}
