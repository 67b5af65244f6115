/**
 * The reader threads: started when they are needed, one more when a question has waited for busy
 * ones, and ended after a while without work, so that an idle agent stays small (a thread costs
 * 20 MB, and 0.15 s of processor time to start). A thread that died is replaced by the next
 * question; the question it died of is refused.
 */
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Request } from './catalog-protocol.ts';
import { type CatalogThread, startCatalogThread } from './catalog-thread.ts';

/** Questions that may wait for a free reader. */
const waitingMax = 1024;
/** Most questions are answered sooner than this, so nobody is started for their sake. */
const patienceMs: Ms = 50;

export interface CatalogReaders {
  ask(request: Request): Promise<unknown>;
  /** Questions asked from now on see the database at `path`. */
  moveTo(path: string): void;
  close(): Promise<void>;
}

export interface ReadersOptions {
  readonly path: string;
  readonly readersMax: number;
  /** A reader ends after this long without work. */
  readonly idleMs: Ms;
}

interface Reader {
  readonly thread: CatalogThread;
  readonly path: string;
  busy: boolean;
  opening: boolean;
  timer: NodeJS.Timeout | null;
}

interface Waiting {
  readonly request: Request;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

function startReader(path: string): Reader {
  const thread = startCatalogThread({ role: 'reader', path });
  return { thread, path, busy: false, opening: true, timer: null };
}

export function createCatalogReaders(options: ReadersOptions): CatalogReaders {
  let path = options.path;
  let readers: Reader[] = [];
  const waiting: Waiting[] = [];
  const ending = new Set<Promise<void>>();
  let closed = false;
  let impatience: NodeJS.Timeout | null = null;

  const end = (reader: Reader) => {
    if (reader.timer !== null) clearTimeout(reader.timer);
    readers = readers.filter((other) => other !== reader);
    const gone = reader.thread.end();
    ending.add(gone);
    void gone.finally(() => ending.delete(gone));
  };

  const free = (reader: Reader) => {
    reader.busy = false;
    if (reader.path !== path || reader.opening || reader.thread.failure() !== null || closed)
      end(reader);
    else {
      reader.timer = setTimeout(() => end(reader), options.idleMs);
      reader.timer.unref();
    }
    next();
  };

  const start = (): Reader => {
    const reader = startReader(path);
    readers.push(reader);
    return reader;
  };

  const take = (waitedLong: boolean): Reader | null => {
    for (const dead of readers.filter((one) => !one.busy && one.thread.failure() !== null))
      end(dead);
    const idle = readers.find((reader) => !reader.busy && reader.path === path);
    if (idle !== undefined) return idle;
    if (readers.length === 0) return start();
    if (readers.length >= options.readersMax || readers.some(({ opening }) => opening)) return null;
    if (waitedLong) return start();
    impatience ??= setTimeout(() => {
      impatience = null;
      next(true);
    }, patienceMs);
    return null;
  };

  const run = async (reader: Reader, work: Waiting) => {
    try {
      if (reader.opening) await reader.thread.ask({ type: 'open' });
      reader.opening = false;
      next();
      work.resolve(await reader.thread.ask(work.request));
    } catch (thrown) {
      work.reject(thrown);
    }
    free(reader);
  };

  function next(waitedLong = false): void {
    for (let first = true; waiting.length > 0 && !closed; first = false) {
      const reader = take(waitedLong && first);
      if (reader === null) return;
      const work = waiting.shift();
      if (work === undefined) return;
      if (reader.timer !== null) clearTimeout(reader.timer);
      reader.timer = null;
      reader.busy = true;
      void run(reader, work);
    }
  }

  return {
    ask: (request) => {
      if (closed) return Promise.reject(new AgentError('stopped', 'the catalog is closed'));
      if (waiting.length >= waitingMax)
        return Promise.reject(
          new AgentError('overloaded', `${waiting.length} queries wait for the catalog`),
        );
      return new Promise((resolve, reject) => {
        waiting.push({ request, resolve, reject });
        next();
      });
    },
    moveTo: (to) => {
      path = to;
      for (const reader of readers.filter((one) => !one.busy)) end(reader);
      next();
    },
    close: async () => {
      closed = true;
      if (impatience !== null) clearTimeout(impatience);
      const stopped = new AgentError('stopped', 'the catalog is closed');
      for (const { reject } of waiting.splice(0)) reject(stopped);
      for (const reader of readers.filter((one) => !one.busy)) end(reader);
      const busy = readers.map((reader) => reader.thread.end());
      await Promise.allSettled([...busy, ...ending]);
    },
  };
}
