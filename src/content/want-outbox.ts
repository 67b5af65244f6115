/**
 * Wants on their way to providers, gathered for one turn of the event loop so that many share one
 * message. A cancel alone waits for company or the next tick: it only tidies the provider's memory.
 */
import type { CID } from 'multiformats/cid';
import { type BlockKey, blockKey } from './cid-text.ts';
import type { ContentHost, Want } from './content-host.ts';

const pendingMax = 4096;

export interface WantOutbox {
  want(peer: string, cid: CID, kind: 'have' | 'block'): void;
  cancel(peer: string, cid: CID): void;
  flush(): void;
  /** The connection is gone, and with it what the provider remembered. */
  drop(peer: string): void;
}

export interface OutboxDeps {
  readonly host: Pick<ContentHost, 'send' | 'connected'>;
  readonly onFailed: (peer: string) => void;
}

export function createWantOutbox(deps: OutboxDeps): WantOutbox {
  const pending = new Map<string, Map<BlockKey, Want>>();
  let scheduled = false;

  function listOf(peer: string): Map<BlockKey, Want> {
    let list = pending.get(peer);
    if (list === undefined) {
      list = new Map();
      pending.set(peer, list);
    }
    return list;
  }

  function send(peer: string): void {
    const list = pending.get(peer);
    pending.delete(peer);
    if (list === undefined || list.size === 0 || !deps.host.connected(peer)) return;
    deps.host.send(peer, [...list.values()]).catch(() => deps.onFailed(peer));
  }

  function flush(): void {
    scheduled = false;
    for (const peer of [...pending.keys()]) send(peer);
  }

  function want(peer: string, cid: CID, kind: 'have' | 'block'): void {
    const key = blockKey(cid);
    // A cancel and a new want in one message would merge into a want that looks like the old one.
    if (listOf(peer).get(key)?.kind === 'cancel') send(peer);
    listOf(peer).set(key, { cid, kind });
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  function cancel(peer: string, cid: CID): void {
    if (!deps.host.connected(peer)) return;
    const list = listOf(peer);
    list.set(blockKey(cid), { cid, kind: 'cancel' });
    if (list.size >= pendingMax) send(peer);
  }

  return { want, cancel, flush, drop: (peer) => void pending.delete(peer) };
}
