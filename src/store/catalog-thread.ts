/**
 * One worker thread of the catalog as the main thread sees it: ask, and get an answer or an error.
 * When the thread dies, everything that was asked is refused at once and so is whatever comes
 * later: nothing ever waits for a thread that is gone.
 */
import { Worker } from 'node:worker_threads';
import { AgentError } from '../base/error.ts';
import { type Answered, type Request, thrownBy, type WorkerInput } from './catalog-protocol.ts';

/** Requests to one thread that may be unanswered. */
const pendingMax = 256;

/** Bounds of a thread's heap; what SQLite holds is outside of it. */
const resourceLimits = {
  maxOldGenerationSizeMb: 256,
  maxYoungGenerationSizeMb: 8,
  stackSizeMb: 4,
};

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: AgentError) => void;
}

export interface CatalogThread {
  ask(request: Request, transfer?: readonly ArrayBuffer[]): Promise<unknown>;
  pending(): number;
  /** Why the thread is gone, or null while it lives. */
  failure(): AgentError | null;
  /** Lets the thread finish what it was asked and close its database, then ends it. */
  close(): Promise<void>;
  /** Ends the thread wherever it is; what was asked is refused. */
  end(): Promise<void>;
}

/** Source and bundle name the worker's file differently. */
function workerUrl(): URL {
  const name = import.meta.url.endsWith('.ts') ? './catalog-worker.ts' : './catalog-worker.mjs';
  return new URL(name, import.meta.url);
}

/** Starts a thread; it opens its database when it is asked to. */
export function startCatalogThread(input: WorkerInput, url: URL = workerUrl()): CatalogThread {
  const worker = new Worker(url, {
    workerData: input,
    resourceLimits,
    name: `catalog-${input.role}`,
  });
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let gone: AgentError | null = null;

  const refuseAll = (error: AgentError) => {
    gone ??= error;
    for (const { reject } of pending.values()) reject(gone);
    pending.clear();
  };
  worker.on('message', (answer: Answered) => {
    const waiting = pending.get(answer.id);
    pending.delete(answer.id);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(thrownBy(answer));
  });
  worker.on('error', (cause: unknown) => {
    const text = cause instanceof Error ? cause.message : String(cause);
    refuseAll(
      new AgentError('internal', `the catalog's ${input.role} thread failed: ${text}`, { cause }),
    );
  });
  worker.on('exit', (code) => {
    refuseAll(
      new AgentError('internal', `the catalog's ${input.role} thread ended with code ${code}`),
    );
  });

  const ask = (request: Request, transfer: readonly ArrayBuffer[] = []) => {
    if (gone !== null) return Promise.reject(gone);
    if (pending.size >= pendingMax)
      return Promise.reject(
        new AgentError('overloaded', `${pending.size} requests wait for the catalog`),
      );
    return new Promise<unknown>((resolve, reject) => {
      const id = nextId++;
      pending.set(id, { resolve, reject });
      worker.postMessage({ id, request }, transfer);
    });
  };

  return {
    ask,
    pending: () => pending.size,
    failure: () => gone,
    close: async () => {
      try {
        if (gone === null) await ask({ type: 'close' });
      } finally {
        refuseAll(new AgentError('stopped', 'the catalog is closed'));
        await worker.terminate();
      }
    },
    end: async () => {
      refuseAll(new AgentError('stopped', 'the catalog was closed'));
      await worker.terminate();
    },
  };
}
