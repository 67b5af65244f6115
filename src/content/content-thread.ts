/**
 * Starts the content thread with a heap for its kind of work. Its objects are few and its blocks
 * many and outside of the heap; by default V8 collects the whole heap for every 64 MB of them that
 * come by, which took a third of the processor time of a replication.
 */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { EmbeddedOptions } from './worker-protocol.ts';

/** Heap and blocks together may grow to about this before the first whole collection, MB. */
const heapMbFirst = 64;

function workerUrl(): URL {
  const fromSource = import.meta.url.endsWith('.ts');
  return new URL(fromSource ? './content-worker.ts' : './content-worker.mjs', import.meta.url);
}

export function spawnContentWorker(options: EmbeddedOptions): Worker {
  // Read when a thread makes its heap: that of the main thread was made long ago.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  setFlagsFromString(`--initial-heap-size=${heapMbFirst}`);
  return new Worker(workerUrl(), {
    workerData: options,
    name: 'content',
    execArgv: [],
    // A small nursery: blocks are large and outside the heap, and it saves 35 MB when idle.
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
}
