/**
 * A daemon that is ours: carries out what the state machine of `supervise` decides. It feeds the
 * machine with exits, looks and time, and owns the process, its ports and its notes on disk. One
 * action is under way at a time; every action ends in the event that the machine waits for.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import type { Prng } from '../base/prng.ts';
import type {
  SuperviseAction,
  SuperviseEvent,
  SuperviseFact,
  SupervisePolicy,
} from '../supervise/api.ts';
import { createSupervisor } from '../supervise/supervisor.ts';
import type { Daemon, DaemonAdapter, DaemonType, DaemonView, Endpoint, Place } from './api.ts';
import { causeOfExit, failureOf, isCrash, lastWords } from './cause.ts';
import { limitHitBy } from './limits.ts';
import { createLooks, type LookState } from './looks.ts';
import type { DaemonOptions } from './options.ts';
import { createOutputLog } from './output-log.ts';
import { createPlace, homeOf } from './place.ts';
import { findProcesses, oomKills } from './proc.ts';
import { adopt, type DaemonProcess, type ProcessEnd } from './process.ts';
import { startProcess } from './start-process.ts';
import { createSupervisionFile } from './supervision-file.ts';
import { socketExists, viewOf } from './view.ts';

const tickMs = 200;
/** Who starts is looked at more often, so that ready is told when it is. */
const startingCheckMs = 250;
const graceMs = 6000;
/** Who does not answer does not end gracefully either. */
const silentGraceMs = 1500;
const shutdownAskMs = 1500;
const tailLines = 40;
const detailMax = 400;

/** What an event needs besides its kind; both name the daemon. */
export type Tell = (type: string, data: Record<string, unknown>) => void;

export interface ManagedDeps {
  readonly adapter: DaemonAdapter;
  readonly options: DaemonOptions;
  /** Notes, output and, unless the options name another one, the daemon's own folder. */
  readonly runFolder: string;
  readonly policy: SupervisePolicy;
  readonly checkMs: Ms;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly endpointOf: (type: DaemonType) => Endpoint | null;
  /** Resolves when a daemon that this one needs is ready; throws `dependency-down` otherwise. */
  readonly needed: (type: DaemonType) => Promise<void>;
  /** Belongs to another daemon of this agent. */
  readonly claimed: (port: number) => boolean;
  readonly tell: Tell;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface ManagedDaemon extends Daemon {
  readonly ports: () => Readonly<Record<string, number>>;
}

/** Who answers although it has run into a limit serves those who are connected, and nobody else. */
function withLimit(state: LookState, limit: ReturnType<typeof limitHitBy>): LookState {
  if (limit === null || state.finding === null) return state;
  const problem = { code: limit.cause, text: limit.detail };
  return {
    ...state,
    finding: { ...state.finding, problems: [...state.finding.problems, problem] },
  };
}

export function createManagedDaemon(deps: ManagedDeps): ManagedDaemon {
  const { adapter, options, runFolder, clock, policy } = deps;
  const { type, title } = adapter;
  const file = createSupervisionFile(runFolder, options.autoHeal ?? true, clock);
  const supervisor = createSupervisor(policy, file.restored(), deps.prng);
  const output = createOutputLog(runFolder);
  const aborter = new AbortController();
  const settled = new Set<() => void>();
  let process: DaemonProcess | null = null;
  let place: Place | null = null;
  const looks = createLooks(
    adapter,
    () => place,
    () => clock.wallMs(),
    deps.onFailure,
  );
  let oomBefore: number | null = null;
  let outputFrom = '0:0';
  let unenforced: readonly string[] = [];
  /** What the process has run into, as of the last look. */
  let limit: ReturnType<typeof limitHitBy> = null;
  let notes: readonly string[] = [];
  let timer: NodeJS.Timeout | null = null;
  let checkedMs = Number.NEGATIVE_INFINITY;

  const nowMs = (): Ms => clock.now().monoMs;
  const endpoint = (): Endpoint | null => (place === null ? null : adapter.endpoint(place));

  function tellFact(fact: SuperviseFact): void {
    const { type: kind, ...data } = fact;
    deps.tell(kind, { daemon: type, ...data });
  }

  function post(event: SuperviseEvent): void {
    const actions = supervisor.step(event, nowMs());
    file.save(supervisor.record());
    for (const action of actions) execute(action);
    for (const listener of settled) listener();
  }

  function execute(action: SuperviseAction): void {
    if (action.type === 'tell') tellFact(action.fact);
    else if (action.type === 'start')
      start().catch((thrown: unknown) => post({ type: 'start-failed', ...failureOf(thrown) }));
    else
      end(action.reason).catch((thrown: unknown) =>
        deps.onFailure(`${title} could not be stopped`, thrown),
      );
  }

  async function start(): Promise<void> {
    for (const need of adapter.needs) await deps.needed(need);
    outputFrom = (await output.tail(1)).cursor;
    oomBefore = oomKills();
    const started = await startProcess(deps, aborter.signal);
    place = started.place;
    unenforced = started.unenforced;
    for (const note of started.notes)
      if (!notes.includes(note)) deps.tell('daemon-port', { daemon: type, note });
    notes = started.notes;
    take(started.process);
    post({ type: 'spawned', pid: started.process.pid });
  }

  function take(taken: DaemonProcess): void {
    process = taken;
    checkedMs = Number.NEGATIVE_INFINITY;
    taken.ended
      .then((end) => onEnd(taken, end))
      .catch((thrown: unknown) => deps.onFailure(`${title}: its end was not understood`, thrown));
  }

  async function onEnd(taken: DaemonProcess, { code, signal }: ProcessEnd): Promise<void> {
    // The loop that keeps the output reads what is left in the pipe.
    await wait(50);
    const { lines } = await output.after(outputFrom, 10_000);
    // A program in Go that crashes says why before it prints its stacks, which may be long.
    const crash = lines.findLast(isCrash);
    const tail = [...(crash === undefined ? [] : [crash]), ...lines.slice(-tailLines)];
    const exit = { code, signal, logTail: tail.join('\n') };
    const oomKilled = oomBefore !== null && (oomKills() ?? 0) > oomBefore;
    const known = signal === null ? adapter.classify(exit) : null;
    const cause = known ?? causeOfExit(exit, oomKilled);
    const how = signal ?? (code === null ? 'went away' : `exit code ${code}`);
    const said = crash ?? lastWords(tail);
    const detail = (said === null ? how : `${how}; last said: ${said}`).slice(0, detailMax);
    if (process === taken) process = null;
    limit = null;
    looks.forget();
    post({ type: 'exited', pid: taken.pid, cause, detail });
  }

  /** Its own graceful way first, where it has one and can still hear us. */
  async function end(reason: string): Promise<void> {
    const ending = process;
    if (ending === null) return;
    const silent = reason === 'unresponsive';
    const at = endpoint();
    if (adapter.shutdown !== null && !silent && at !== null) {
      const asked = adapter.shutdown(looks.client(at), AbortSignal.timeout(shutdownAskMs));
      await asked.catch((thrown: unknown) => {
        // It is told by signal next; that it did not listen is worth a line and no more.
        deps.tell('daemon-deaf', { daemon: type, detail: failureOf(thrown).detail });
      });
    }
    await ending.end(silent ? silentGraceMs : graceMs);
  }

  function onTick(): void {
    post({ type: 'tick' });
    const at = endpoint();
    const starting = supervisor.view(nowMs()).state === 'starting';
    const everyMs = starting ? Math.min(deps.checkMs, startingCheckMs) : deps.checkMs;
    if (process === null || at === null || nowMs() - checkedMs < everyMs) return;
    checkedMs = nowMs();
    const { pid } = process;
    looks.lookAside(at, (finding) => {
      const answer = finding === null ? 'silent' : finding.ready ? 'ready' : 'busy';
      limit = limitHitBy(pid, options.limits?.files ?? null);
      post({ type: 'checked', pid, answer, progress: finding?.progress ?? null, limit });
    });
  }

  /** Resolves when `done` says so, looked at after every step, or when the time is over. */
  async function until(done: (view: DaemonView) => boolean, timeoutMs: Ms): Promise<void> {
    if (done(view())) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const listener = (): void => {
      if (done(view())) resolve();
    };
    settled.add(listener);
    const late = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(late);
    settled.delete(listener);
  }

  const view = (): DaemonView =>
    viewOf({
      adapter,
      mode: 'managed',
      supervision: supervisor.view(nowMs()),
      looks: withLimit(looks.state(), limit),
      ports: place?.ports ?? { ...adapter.ports, ...options.ports },
      url: endpoint()?.url ?? null,
      folder: homeOf(options, runFolder),
      binary: place?.binary ?? null,
      unenforced,
      notes,
      wallOffsetMs: clock.wallMs() - nowMs(),
    });

  return {
    type,
    output,
    view,
    endpoint,
    ports: () => place?.ports ?? {},
    start: async () => {
      const { process: found, refused } = await adopt(runFolder);
      if (refused !== null) deps.tell('daemon-refused', { daemon: type, detail: refused });
      if (found !== null) {
        const binary = found.note.argv[0] ?? '';
        place = createPlace({ ...deps, binary, ports: found.note.ports });
        outputFrom = (await output.tail(tailLines)).cursor;
        oomBefore = oomKills();
        take(found);
      }
      post({ type: 'found', pid: found?.pid ?? null });
      timer = setInterval(onTick, tickMs);
    },
    stop: async ({ leave }) => {
      if (!leave) {
        post({ type: 'shutdown' });
        await until(({ state }) => state === 'stopped', graceMs + shutdownAskMs + 3000);
      }
      aborter.abort();
      if (timer !== null) clearInterval(timer);
      looks.forget();
    },
    check: async (timeoutMs) => {
      const at = endpoint();
      if (process !== null && at !== null) await looks.look(at, timeoutMs);
      return view();
    },
    look: async () => {
      const pids = (await findProcesses(adapter.matches)).map(({ pid }) => pid);
      const running = process?.alive() ?? false;
      return {
        pids,
        running,
        socketExists: socketExists(adapter, homeOf(options, runFolder), options),
      };
    },
    ask: async (what, { force, timeoutMs }) => {
      const before = view();
      if (what !== 'stop' && !force && before.cooldownMsRemaining > 0 && before.pid === null)
        throw new AgentError(
          'cooling-down',
          `${title} failed (${before.lastFailure?.cause}) and starts again in ` +
            `${Math.ceil(before.cooldownMsRemaining / 1000)} s; force does it now`,
        );
      post({ type: 'ask', what, force });
      const other = what === 'restart' || (what === 'start' && force);
      await until(({ state, pid }) => {
        if (what === 'stop') return state === 'stopped';
        if (state === 'cooling-down' || state === 'crash-loop') return true;
        return state === 'running' && !(other && pid === before.pid && pid !== null);
      }, timeoutMs);
      return view();
    },
    setAutoHeal: (on) => {
      post({ type: 'auto-heal', on });
      deps.tell('daemon-auto-heal', { daemon: type, on });
      return view();
    },
    suspend: (reason) => post({ type: 'suspend', reason }),
  };
}
