/**
 * The embedded engine as the main thread sees it. Hashing, disk and bitswap happen in one worker
 * thread; here are only calls, byte windows and the watch over the thread: when it dies, everything
 * pending is rejected, the death is reported, and a new thread starts, ever more slowly.
 */
import {
  MessageChannel,
  type MessagePort,
  type Transferable,
  type Worker,
} from 'node:worker_threads';
import { present } from '../base/assert.ts';
import type { CidText, Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { AddEntry, AddedItem, ContentEngine, PinStatus, Provider } from './api.ts';
import { cidText, parseCid } from './cid-text.ts';
import type { RefusedPeer } from './content-host.ts';
import { spawnContentWorker } from './content-thread.ts';
import {
  createChunker,
  createPartReader,
  createPartWriter,
  type PartWriter,
} from './part-stream.ts';
import {
  type Call,
  type EmbeddedOptions,
  errorFrom,
  type FromWorker,
  type OperationName,
  type Operations,
} from './worker-protocol.ts';

const pendingMax = 10_000;
const deathWindowMs: Ms = 600_000;
const restartPauseMsMin: Ms = 500;
const restartPauseMsMax: Ms = 300_000;
const stopMsMax: Ms = 10_000;

export type EngineEvent =
  | { readonly type: 'content-died'; readonly error: string; readonly restartInMs: Ms }
  | { readonly type: 'content-refused'; readonly error: string }
  | { readonly type: 'content-stranger'; readonly count: number; readonly last: RefusedPeer }
  | { readonly type: 'content-restarted'; readonly provider: Provider };

export interface EngineDeps {
  readonly report: (event: EngineEvent) => void;
  /** Makes the content thread; tests hand in one that they can end. */
  readonly spawn?: (options: EmbeddedOptions) => Worker;
}

interface Pending {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** Sends the entries one after the other; a file's bytes are read to the end before the next. */
async function sendEntries(writer: PartWriter, entries: AsyncIterable<AddEntry>): Promise<void> {
  const chunks = createChunker();
  for await (const { path, content } of entries) {
    if (content === null) {
      await writer.write({ path, isDirectory: true, bytes: null, last: true });
      continue;
    }
    let waiting: Uint8Array | null = null;
    let first = true;
    for await (const chunk of chunks(content)) {
      if (waiting !== null) {
        const name = first ? path : null;
        await writer.write({ path: name, isDirectory: false, bytes: waiting, last: false });
        first = false;
      }
      waiting = chunk;
    }
    const name = first ? path : null;
    await writer.write({ path: name, isDirectory: false, bytes: waiting, last: true });
  }
}

export function createEmbeddedEngine(deps: EngineDeps, options: EmbeddedOptions): ContentEngine {
  const pending = new Map<number, Pending>();
  const listeners = new Set<(status: PinStatus) => void>();
  const deathsMs: Ms[] = [];
  const toPin = new Set<CidText>();
  let worker: Worker | null = null;
  let ready: Promise<void> | null = null;
  let provider: Provider | null = null;
  let providers: readonly Provider[] = [];
  let { networkKey } = options;
  let lastId = 0;
  let stopping = false;
  let refusal: AgentError | null = null;
  let restartTimer: NodeJS.Timeout | null = null;

  function call<K extends OperationName>(
    op: K,
    args: Parameters<Operations[K]>,
    moved: readonly Transferable[] = [],
  ): Promise<ReturnType<Operations[K]>> {
    return new Promise((resolve, reject) => {
      const target = worker;
      if (target === null || provider === null)
        return reject(
          new AgentError(stopping ? 'stopped' : 'unavailable', 'content is not running'),
        );
      if (pending.size >= pendingMax)
        return reject(new AgentError('overloaded', `${pendingMax} content calls are pending`));
      lastId += 1;
      pending.set(lastId, { resolve: resolve as (value: unknown) => void, reject });
      target.postMessage({ id: lastId, op, args } satisfies Call, moved);
    });
  }

  function onMessage(message: FromWorker, opened: Pending): void {
    if (message.type === 'pins') {
      for (const status of message.statuses) for (const listener of listeners) listener(status);
    } else if (message.type === 'strangers') {
      deps.report({ ...message, type: 'content-stranger' });
    } else if (message.type === 'ready') {
      opened.resolve(message.provider);
    } else if (message.type === 'refused') {
      refusal = errorFrom(message.error);
      opened.reject(refusal);
    } else {
      const waiter = pending.get(message.id);
      pending.delete(message.id);
      if (message.type === 'answer') waiter?.resolve(message.value);
      else waiter?.reject(errorFrom(message.error));
    }
  }

  function onDeath(why: string): void {
    const error = refusal?.message ?? why;
    worker = null;
    provider = null;
    const lost = new AgentError('unavailable', `the content thread ended: ${error}`);
    for (const waiter of pending.values()) waiter.reject(lost);
    pending.clear();
    // What is configured wrongly stays so until the agent starts anew.
    if (stopping || refusal?.code === 'bad-request') return;
    const nowMs = performance.now();
    while (nowMs - (deathsMs[0] ?? nowMs) > deathWindowMs) deathsMs.shift();
    const restartInMs = Math.min(restartPauseMsMax, restartPauseMsMin * 2 ** deathsMs.length);
    deathsMs.push(nowMs);
    deps.report({ type: 'content-died', error, restartInMs });
    restartTimer = setTimeout(() => {
      ready = open().then(() => {
        deps.report({ type: 'content-restarted', provider: present(provider, 'provider') });
      });
      // A start that failed is a death of its own and was reported as one.
      ready.catch(() => undefined);
    }, restartInMs);
  }

  async function open(): Promise<void> {
    const made = (deps.spawn ?? spawnContentWorker)({ ...options, networkKey });
    let died = false;
    refusal = null;
    const dead = (why: string): void => {
      if (died) return;
      died = true;
      onDeath(why);
    };
    provider = await new Promise<Provider>((resolve, reject) => {
      const opened = { resolve: resolve as (value: unknown) => void, reject };
      made.on('message', (message: FromWorker) => onMessage(message, opened));
      made.on('error', (error) => {
        reject(error);
        dead(error instanceof Error ? error.message : String(error));
      });
      made.on('exit', (code) => {
        reject(new AgentError('unavailable', `the content thread exited with ${code}`));
        dead(`exit code ${code}`);
      });
      worker = made;
    });
    if (providers.length > 0) await call('setProviders', [providers]);
  }

  async function stop(): Promise<void> {
    stopping = true;
    if (restartTimer !== null) clearTimeout(restartTimer);
    const target = worker;
    if (target === null) return;
    const exited = new Promise<void>((resolve) => target.once('exit', () => resolve()));
    const late = setTimeout(() => void target.terminate(), stopMsMax);
    await call('stop', []).catch(() => target.terminate()); // it was ending by itself
    await exited;
    clearTimeout(late);
  }

  async function add(
    entries: AsyncIterable<AddEntry>,
    onProgress: (bytes: number) => void,
  ): Promise<AddedItem> {
    const { port1, port2 } = new MessageChannel();
    const writer = createPartWriter(port1, { onProgress });
    const result = call('add', [port2], [port2]);
    const sent = sendEntries(writer, entries).then(
      () => writer.end(),
      (thrown: unknown) => {
        writer.fail(thrown);
        throw thrown;
      },
    );
    // The worker's answer says more than "the reader has gone", which a refusal causes here.
    const [answered, sending] = await Promise.allSettled([result, sent]);
    port1.close();
    if (answered.status === 'rejected') throw answered.reason;
    if (sending.status === 'rejected') throw sending.reason;
    return answered.value;
  }

  /** The bytes that the content thread sends through the port it is handed. */
  async function* received(
    ask: (port: MessagePort) => Promise<unknown>,
  ): AsyncGenerator<Uint8Array> {
    const { port1, port2 } = new MessageChannel();
    const reader = createPartReader(port1);
    const failed = ask(port2).catch((thrown: unknown) => {
      port1.close();
      return thrown;
    });
    try {
      for (let part = await reader.next(); part !== null; part = await reader.next())
        if (part.bytes !== null) yield part.bytes;
    } catch (thrown) {
      throw (await Promise.race([failed, null])) ?? thrown;
    } finally {
      port1.close();
    }
  }

  function pin(cid: CidText): void {
    const text = cidText(parseCid(cid, 'cid'));
    toPin.add(text);
    if (toPin.size > 1) return;
    setImmediate(() => {
      const cids = [...toPin];
      toPin.clear();
      // Level-triggered: whoever wants it pinned asks again after the restart.
      call('pin', [cids]).catch((thrown: unknown) => tellUnpinned(cids, thrown));
    });
  }

  function tellUnpinned(cids: readonly CidText[], thrown: unknown): void {
    const lastError = thrown instanceof Error ? thrown.message : String(thrown);
    const none = { attempts: 0, bytesDone: 0, bytesTotal: null, blocks: 0 };
    for (const cid of cids) {
      const status: PinStatus = { cid, state: 'failed', sinceMs: Date.now(), ...none, lastError };
      for (const listener of listeners) listener(status);
    }
  }

  return {
    name: 'embedded',
    start: () => {
      ready ??= open();
      return ready;
    },
    stop,
    provider: () => {
      if (provider === null) throw new AgentError('unavailable', 'content is not running');
      return provider;
    },
    setProviders: (list) => {
      providers = list;
      if (provider === null) return; // sent when the thread is up
      call('setProviders', [list]).catch((thrown: unknown) => {
        const error = thrown instanceof Error ? thrown.message : String(thrown);
        deps.report({ type: 'content-refused', error });
      });
    },
    setNetworkKeys: async (keys) => {
      networkKey = keys;
      const target = worker;
      if (target === null) return; // the next thread begins with them
      // A thread that dies is followed by one that begins with them.
      await Promise.allSettled([ready]);
      if (worker === target) await Promise.allSettled([call('setNetworkKeys', [keys])]);
    },
    add,
    cat: (cid, path, { timeoutMs }) =>
      received((port) => call('cat', [{ cid, path }, timeoutMs, port], [port])),
    exportCar: (cids) => received((port) => call('exportCar', [cids, port], [port])),
    car: (cid, { timeoutMs }) => received((port) => call('car', [cid, timeoutMs, port], [port])),
    ls: (cid, path, read) => call('ls', [{ cid, path }, read.timeoutMs]),
    pin,
    unpin: async (cid) => void (await call('unpin', [cid])),
    pins: () => call('pins', []),
    onPinChange: (listener) => void listeners.add(listener),
    prove: (cid, blockIndex, nonce) => call('prove', [cid, blockIndex, nonce]),
    verify: (cid) => call('verify', [cid]),
    collectGarbage: () => call('collectGarbage', []),
    usage: () => call('usage', []),
  };
}
