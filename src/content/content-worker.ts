/**
 * The content thread: answers calls from the main thread with the service, turns ports into byte
 * streams and gathers pin changes into few messages. An error that nobody caught ends the thread;
 * the main thread reports that and starts a new one.
 */
import { setPriority } from 'node:os';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { present } from '../base/assert.ts';
import { AgentError } from '../base/error.ts';
import type { PinStatus } from './api.ts';
import type { RefusedPeer } from './content-host.ts';
import { type ContentService, openContentService } from './content-service.ts';
import { createPartReader, createPartWriter, type PartReader } from './part-stream.ts';
import type { ImportEntry } from './unixfs-import.ts';
import {
  type Call,
  type EmbeddedOptions,
  errorData,
  type FromWorker,
  type OperationHandlers,
} from './worker-protocol.ts';

const port = present(parentPort, 'the port to the main thread');
const pinEventMs = 20;
const strangerEventMs = 500;
const progressMsMin = 100;
/** A little nicer than the thread that beats: with all cores busy, hashing waits and not it. */
const niceness = 5;

// Only on Linux does this mean the calling thread and not the whole process.
if (process.platform === 'linux') setPriority(niceness);

const post = (message: FromWorker): void => port.postMessage(message);

const changed = new Map<string, PinStatus>();
let changesScheduled = false;

function onPinChange(status: PinStatus): void {
  changed.set(status.cid, status);
  if (changesScheduled) return;
  changesScheduled = true;
  setTimeout(() => {
    changesScheduled = false;
    post({ type: 'pins', statuses: [...changed.values()] });
    changed.clear();
  }, pinEventMs);
}

let strangers: { count: number; last: RefusedPeer } | null = null;

function onRefused(last: RefusedPeer): void {
  const scheduled = strangers !== null;
  strangers = { count: (strangers?.count ?? 0) + 1, last };
  if (scheduled) return;
  setTimeout(() => {
    if (strangers !== null) post({ type: 'strangers', ...strangers });
    strangers = null;
  }, strangerEventMs).unref();
}

/** The entries of an add. A file's content must be read to its end before the next entry. */
async function* entriesOf(reader: PartReader): AsyncGenerator<ImportEntry> {
  for (;;) {
    const part = await reader.next();
    if (part === null) return;
    const path = present(part.path, 'the first part of an entry has its path');
    if (part.isDirectory) {
      yield { path, content: null };
      continue;
    }
    if (part.last) {
      yield { path, content: one(part.bytes) };
      continue;
    }
    const content = contentOf(reader, part.bytes);
    yield { path, content: content.parts() };
    if (!(await content.readToEnd)) return; // its import failed, and that is what counts
  }
}

async function* one(bytes: Uint8Array | null): AsyncGenerator<Uint8Array> {
  if (bytes !== null) yield bytes;
}

function contentOf(reader: PartReader, first: Uint8Array | null) {
  const { promise: readToEnd, resolve } = Promise.withResolvers<boolean>();
  async function* parts(): AsyncGenerator<Uint8Array> {
    try {
      if (first !== null) yield first;
      for (;;) {
        const part = await reader.next();
        if (part === null) throw new AgentError('stopped', 'the stream ended inside a file');
        if (part.bytes !== null) yield part.bytes;
        if (part.last) return resolve(true);
      }
    } finally {
      resolve(false); // without effect after the end
    }
  }
  return { readToEnd, parts };
}

/** Sends what `open` yields until it ends, fails, or the reader goes. */
async function sendBytes(
  stream: MessagePort,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): Promise<null> {
  const abort = new AbortController();
  stream.on('close', () => abort.abort(new AgentError('stopped', 'the reader has gone')));
  const writer = createPartWriter(stream, { onProgress: () => undefined });
  try {
    for await (const bytes of open(abort.signal))
      await writer.write({ path: null, isDirectory: false, bytes: owned(bytes), last: false });
    writer.end();
  } catch (thrown) {
    writer.fail(thrown);
  }
  return null;
}

function handlersOf(service: ContentService): OperationHandlers {
  return {
    add: async (stream) => {
      const reader = createPartReader(stream);
      let toldMs = 0;
      const onProgress = (bytes: number): void => {
        if (performance.now() - toldMs < progressMsMin) return;
        toldMs = performance.now();
        reader.progress(bytes);
      };
      try {
        const item = await service.add(entriesOf(reader), onProgress);
        reader.progress(item.bytes);
        return item;
      } finally {
        reader.close();
      }
    },
    cat: (where, timeoutMs, stream) =>
      sendBytes(stream, (signal) => service.cat(where, { timeoutMs, signal })),
    exportCar: (cids, stream) => sendBytes(stream, () => service.exportCar(cids)),
    car: (cid, timeoutMs, stream) =>
      sendBytes(stream, (signal) => service.car(cid, { timeoutMs, signal })),
    ls: (where, timeoutMs) =>
      service.ls(where, { timeoutMs, signal: new AbortController().signal }),
    setProviders: (providers) => done(() => service.setProviders(providers)),
    setNetworkKeys: (keys) => done(() => service.setNetworkKeys(keys)),
    pin: (cids) => done(() => service.pin(cids)),
    unpin: (cid) => service.unpin(cid).then(() => null),
    pins: () => service.pins(),
    prove: (cid, blockIndex, nonce) => service.prove(cid, blockIndex, nonce),
    verify: (cid) => service.verify(cid),
    collectGarbage: () => service.collectGarbage(),
    usage: () => service.usage(),
    stop: () => service.stop().then(() => null),
  };
}

function done(work: () => void): null {
  work();
  return null;
}

/** Bytes in a buffer of their own, which may be moved away. */
function owned(bytes: Uint8Array): Uint8Array {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? bytes : new Uint8Array(bytes);
}

async function answer(handlers: OperationHandlers, { id, op, args }: Call): Promise<void> {
  try {
    const handler = handlers[op] as (...args: readonly unknown[]) => unknown;
    post({ type: 'answer', id, value: await handler(...args) });
  } catch (thrown) {
    post({ type: 'error', id, error: errorData(thrown) });
  }
  if (op === 'stop') port.close();
}

async function run(): Promise<void> {
  try {
    const service = await openContentService(
      { onPinChange, onRefused },
      workerData as EmbeddedOptions,
    );
    const handlers = handlersOf(service);
    port.on('message', (call: Call & { port?: MessagePort }) => void answer(handlers, call));
    post({ type: 'ready', provider: service.provider() });
  } catch (thrown) {
    post({ type: 'refused', error: errorData(thrown) });
    port.close();
  }
}

await run();
