/**
 * Drives pins to `pinned`. Two lanes, fresh and tried, have slots of their own for the cheap
 * question (who has the root?) and for the fetch, so that content that nobody has, or that keeps
 * failing, never holds up content that is there. Failures back off with jitter and never give up;
 * level-triggered: everything is read from the table, so a lost event costs one tick.
 */
import type { CidText, Ms } from '../base/brand.ts';
import { type AgentError, asAgentError } from '../base/error.ts';
import type { PinState, PinStatus } from './api.ts';
import type { BlockExchange } from './block-exchange.ts';
import type { BlockStore } from './block-store.ts';
import { blockKey, parseCid } from './cid-text.ts';
import { listDag } from './dag.ts';
import { type FetchProgress, fetchDag } from './dag-fetch.ts';
import { createLanes } from './lanes.ts';
import { type PinRow, type PinTable, statusOf } from './pin-table.ts';

const lookupsMax = { fresh: 512, tried: 128 };
const fetchesMax = { fresh: 6, tried: 2 };
const progressMsMin: Ms = 250;
const wakeMsMax: Ms = 1000;
const backoffMsMin: Ms = 300;
const hurrySpreadMs: Ms = 500;

type Lane = 'fresh' | 'tried';

export interface PinRunnerOptions {
  readonly stallMs: Ms;
  readonly backoffMsMax: Ms;
}

export interface PinRunnerDeps {
  readonly table: PinTable;
  readonly store: BlockStore;
  readonly exchange: BlockExchange;
  readonly wallMs: () => Ms;
  readonly random: () => number;
  readonly onChange: (status: PinStatus) => void;
  /** Drops the partial blocks of a pin that the disk has no room for. */
  readonly discard: (holder: number) => Promise<void>;
}

export interface PinRunner {
  pin(cids: readonly CidText[]): void;
  /** Ends the pin's attempt, if there is one, and starts none until `work` has ended. */
  exclusively(cid: CidText, work: () => Promise<void>): Promise<void>;
  /** Something that may make unavailable content available: ask again soon. */
  hurry(): void;
  kick(): void;
  stop(): Promise<void>;
}

interface Job {
  readonly row: PinRow;
  readonly abort: AbortController;
  done: Promise<void>;
  progress: FetchProgress;
  state: PinState;
  sinceMs: Ms;
  toldMs: Ms;
}

export function createPinRunner(deps: PinRunnerDeps, options: PinRunnerOptions): PinRunner {
  const { table, store, exchange, wallMs } = deps;
  const jobs = new Map<CidText, Job>();
  const claims = new Map<CidText, Promise<void>>();
  const running = { fresh: 0, tried: 0 };
  const fetchLanes = {
    fresh: createLanes(fetchesMax.fresh),
    tried: createLanes(fetchesMax.tried),
  };
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;

  function tell(job: Job, attempts: number, lastError: string | null): void {
    job.toldMs = wallMs();
    const { cid } = job.row;
    const { state, sinceMs } = job;
    deps.onChange({ cid, state, sinceMs, attempts, ...job.progress, lastError });
  }

  function save(job: Job, state: PinState, attempts: number, error: AgentError | null): void {
    job.state = state;
    job.sinceMs = wallMs();
    const wait = Math.min(options.backoffMsMax, backoffMsMin * 2 ** Math.min(attempts, 20));
    const nextTryMs = error === null ? 0 : job.sinceMs + wait * (0.5 + deps.random());
    const lastError = error === null ? null : `${error.code}: ${error.message}`;
    table.update(job.row.id, {
      state,
      sinceMs: job.sinceMs,
      attempts,
      nextTryMs,
      ...job.progress,
      lastError,
    });
    tell(job, attempts, lastError);
  }

  async function fetchAll(job: Job): Promise<void> {
    const { row, abort } = job;
    const root = parseCid(row.cid, 'cid');
    const here = store.has(blockKey(root));
    const session = here ? { peers: new Set<string>() } : await exchange.lookup(root, abort.signal);
    await fetchLanes[laneOf(row)].run(async () => {
      abort.signal.throwIfAborted();
      save(job, 'fetching', row.attempts, null);
      await fetchDag({ store, exchange }, root, {
        holder: row.id,
        session,
        stallMs: options.stallMs,
        signal: abort.signal,
        onProgress: (progress) => {
          job.progress = progress;
          if (wallMs() - job.toldMs >= progressMsMin) tell(job, row.attempts, null);
        },
      });
      const list = await listDag(root, store);
      abort.signal.throwIfAborted();
      await table.complete(row.id, list.keys, list.bytes, wallMs());
    });
    store.release(row.id);
    const done = table.find(row.cid);
    if (done !== null) deps.onChange(statusOf(done));
  }

  async function attempt(job: Job): Promise<void> {
    try {
      await fetchAll(job);
    } catch (thrown) {
      if (job.abort.signal.aborted) return; // unpinned or stopping; the table says what is next
      const error = asAgentError(thrown);
      if (error.code === 'disk-full') await deps.discard(job.row.id);
      const state = error.code === 'unavailable' ? 'unavailable' : 'failed';
      save(job, state, job.row.attempts + 1, error);
    }
  }

  function launch(row: PinRow, lane: Lane): void {
    const { sinceMs, bytesDone, bytesTotal, blocks, state } = row;
    const progress = { bytesDone, bytesTotal, blocks };
    const abort = new AbortController();
    const done = Promise.resolve();
    const job: Job = { row, abort, done, progress, state, sinceMs, toldMs: 0 };
    running[lane] += 1;
    jobs.set(row.cid, job);
    job.done = attempt(job).then(
      () => leave(job, lane),
      (thrown: unknown) => {
        // The table could not be written: told, and tried again after a pause.
        job.state = 'failed';
        tell(job, row.attempts + 1, asAgentError(thrown).message);
        leave(job, lane);
      },
    );
  }

  function leave(job: Job, lane: Lane): void {
    running[lane] -= 1;
    jobs.delete(job.row.cid);
    if (job.state === 'failed') timer ??= setTimeout(run, wakeMsMax);
    else kick();
  }

  function fill(lane: Lane): void {
    const room = lookupsMax[lane] - running[lane];
    if (room <= 0) return;
    // Rows under way are still due by the table, so ask for that many more.
    for (const row of table.due(lane, wallMs(), room + running[lane])) {
      if (running[lane] >= lookupsMax[lane]) return;
      if (!jobs.has(row.cid) && !claims.has(row.cid)) launch(row, lane);
    }
  }

  function run(): void {
    timer = null;
    if (stopped) return;
    fill('fresh');
    fill('tried');
    const dueMs = table.nextDueMs();
    if (dueMs === null || timer !== null) return;
    // A due pin that found no slot waits for one to end, which kicks.
    timer = setTimeout(run, Math.min(wakeMsMax, Math.max(20, dueMs - wallMs())));
  }

  let kicked = false;
  function kick(): void {
    if (kicked || stopped) return;
    kicked = true;
    setImmediate(() => {
      kicked = false;
      if (timer !== null) clearTimeout(timer);
      run();
    });
  }

  async function exclusively(cid: CidText, work: () => Promise<void>): Promise<void> {
    const before = claims.get(cid);
    const claim = (async () => {
      await before?.catch(() => undefined); // its own caller is told
      const job = jobs.get(cid);
      job?.abort.abort(new Error('the pin is being changed'));
      await job?.done;
      await work();
    })();
    claims.set(cid, claim);
    try {
      await claim;
    } finally {
      if (claims.get(cid) === claim) claims.delete(cid);
      kick();
    }
  }

  return {
    pin: (cids) => {
      for (const row of table.ensure(cids, wallMs()))
        if (!jobs.has(row.cid)) deps.onChange(statusOf(row));
      kick();
    },
    exclusively,
    hurry: () => {
      table.hurry(wallMs(), hurrySpreadMs);
      kick();
    },
    kick,
    stop: async () => {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      for (const job of jobs.values()) job.abort.abort(new Error('content is stopping'));
      await Promise.all([...jobs.values()].map((job) => job.done));
    },
  };
}

const laneOf = (row: PinRow): Lane => (row.attempts === 0 ? 'fresh' : 'tried');
