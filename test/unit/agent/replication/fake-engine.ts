/** A content engine in memory: what is pinned, what proves, what was asked of it. */
import { createHash } from 'node:crypto';
import { AgentError } from '../../../../src/base/error.ts';
import type { ContentEngine, PinStatus } from '../../../../src/content/api.ts';

export interface FakeEngine extends ContentEngine {
  readonly statuses: Map<string, PinStatus>;
  readonly asked: string[];
  set(cid: string, state: PinStatus['state']): void;
}

export function pinStatus(cid: string, state: PinStatus['state'] = 'pinned'): PinStatus {
  return {
    cid,
    state,
    sinceMs: 0,
    attempts: 1,
    bytesDone: 10,
    bytesTotal: 10,
    blocks: 3,
    lastError: null,
  };
}

/** `secret` stands for the bytes: engines with the same secret hold the same blocks. */
export function createFakeEngine(secret = 'bytes'): FakeEngine {
  const statuses = new Map<string, PinStatus>();
  const asked: string[] = [];
  let listener = (_status: PinStatus): void => undefined;
  const set = (cid: string, state: PinStatus['state']): void => {
    const status = pinStatus(cid, state);
    statuses.set(cid, status);
    listener(status);
  };
  return {
    name: 'embedded',
    statuses,
    asked,
    set,
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    provider: () => ({ peerId: 'content', addresses: [] }),
    setProviders: () => undefined,
    setNetworkKeys: async () => undefined,
    add: async (entries, onProgress) => {
      let bytes = 0;
      let files = 0;
      for await (const entry of entries) {
        files += 1;
        for await (const chunk of entry.content ?? []) bytes += chunk.length;
      }
      onProgress(bytes);
      set('bafyadded', 'pinned');
      return { cid: 'bafyadded', bytes, blocks: 1, files };
    },
    cat: () => {
      throw new AgentError('not-built', 'the fake reads nothing');
    },
    car: () => {
      throw new AgentError('not-built', 'the fake has no blocks');
    },
    ls: () => Promise.resolve([]),
    pin: (cid) => {
      asked.push(`pin ${cid}`);
      set(cid, 'queued');
    },
    unpin: (cid) => {
      asked.push(`unpin ${cid}`);
      statuses.delete(cid);
      return Promise.resolve();
    },
    pins: () => Promise.resolve([...statuses.values()]),
    onPinChange: (next) => {
      listener = next;
    },
    prove: (cid, blockIndex, nonce) => {
      asked.push(`prove ${cid}`);
      if (statuses.get(cid)?.state !== 'pinned')
        return Promise.reject(new AgentError('not-found', `no copy of ${cid}`));
      const text = `${nonce} ${cid} ${blockIndex} ${secret}`;
      return Promise.resolve(createHash('sha256').update(text).digest('hex'));
    },
    verify: (cid) => {
      asked.push(`verify ${cid}`);
      if (secret === 'rotten') return Promise.reject(new AgentError('damaged', `${cid} is rotten`));
      return Promise.resolve({ blocks: 3, bytes: 10 });
    },
    collectGarbage: () => Promise.resolve({ blocks: 0, bytes: 0 }),
    usage: () => Promise.resolve({ bytesStored: 10, bytesFree: 1000, blocks: 3 }),
  };
}
