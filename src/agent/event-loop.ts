/**
 * The one queue and the one consumer around the step machine: events in, persist, send and apply
 * work out, completions back in as events. Between `step` and `ready` nothing is awaited, and
 * heartbeats depend on neither disk nor database: they leave while a write or an apply is running.
 * Whatever arrived in one turn of the event loop is stepped together and persisted as one batch.
 * An exception of the step machine is a broken invariant: `onFatal` is told once, and nothing
 * leaves this node any more.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { Consensus, Event, Fact, Outcome, ReadOutcome, Ready } from '../consensus/api.ts';
import { encodeMessage, type Message } from '../wire/consensus-message.ts';
import type { AgentMetrics } from './metrics.ts';
import { createStageTimings } from './stage-timings.ts';
import type { StorageQueues } from './storage-queues.ts';

/** Events that may wait; beyond it the newest frames of peers are dropped (they are sent again). */
const eventsMax = 65_536;
const timerMsMax = 60_000;

export interface EventLoopDeps {
  readonly consensus: Consensus;
  readonly clock: Clock;
  readonly storage: StorageQueues;
  readonly metrics: AgentMetrics;
  readonly send: (to: PeerId, frame: Uint8Array) => boolean;
  readonly onFact: (fact: Fact) => void;
  readonly onOutcome: (ref: number, outcome: Outcome) => void;
  readonly onRead: (ref: number, outcome: ReadOutcome) => void;
  readonly onOrder: (ref: number, answer: { execute: boolean; fence: number }) => void;
  readonly onSnapshotWanted: (want: Ready['sendSnapshots'][number]) => void;
  readonly onApplied: (index: LogIndex) => void;
  readonly onStoreFailed: (detail: string) => void;
  readonly onFatal: (error: unknown) => void;
}

export interface EventLoop {
  post(event: Event): void;
  start(): void;
  /** Takes no further events; what is being written is finished by the storage queues. */
  stop(): void;
  waiting(): number;
}

export function createEventLoop(deps: EventLoopDeps): EventLoop {
  const { consensus, clock, storage, metrics } = deps;
  const timings = createStageTimings(metrics);
  let queue: Event[] = [];
  let oldestPostedMs = 0;
  let turn: NodeJS.Immediate | null = null;
  let timer: NodeJS.Timeout | null = null;
  let running = false;

  const post = (event: Event): void => {
    if (!running) return;
    if (queue.length >= eventsMax && event.type === 'message') {
      metrics.count('frames_dropped');
      return;
    }
    if (queue.length === 0) oldestPostedMs = performance.now();
    queue.push(event);
    turn ??= setImmediate(consume);
  };

  storage.onPersisted((id, lastIndex) => {
    if (lastIndex !== null) timings.persisted(lastIndex, performance.now());
    post({ type: 'persisted', id });
  });
  storage.onApplied((index, results) => {
    timings.applied(index, performance.now());
    post({ type: 'applied', index, results });
    deps.onApplied(index);
  });
  storage.onFailed((detail) => {
    post({ type: 'store-failed', detail });
    deps.onStoreFailed(detail);
  });

  function stop(): void {
    running = false;
    queue = [];
    if (turn !== null) clearImmediate(turn);
    if (timer !== null) clearTimeout(timer);
    turn = null;
    timer = null;
  }

  function consume(): void {
    turn = null;
    const events = queue;
    queue = [];
    try {
      if (events.length > 0) metrics.stage('queue', performance.now() - oldestPostedMs);
      for (const event of events) consensus.step(clock.now(), event);
      take(consensus.ready());
    } catch (error) {
      stop();
      deps.onFatal(error);
      return;
    }
    arm();
  }

  function take(ready: Ready): void {
    let last: Message | null = null;
    let frame: Uint8Array = new Uint8Array(0);
    for (const { to, message } of ready.messages) {
      // The same append goes to several peers, one after the other.
      if (message !== last) frame = encodeMessage(message);
      last = message;
      const sent = deps.send(to, frame);
      metrics.count(sent ? 'frames_sent' : 'frames_dropped');
    }
    for (const fact of ready.facts) deps.onFact(fact);
    const nowMs = performance.now();
    for (const job of ready.persist) {
      const last = job.append.at(-1);
      if (last !== undefined) timings.appended(last.index, nowMs);
      storage.persist(job);
    }
    const lastApply = ready.apply.at(-1);
    if (lastApply !== undefined) timings.committed(lastApply.index, nowMs);
    if (lastApply !== undefined || ready.applySoon) storage.apply(ready.apply, ready.applySoon);
    for (const { ref, outcome } of ready.outcomes) deps.onOutcome(ref, outcome);
    for (const { ref, outcome } of ready.reads) deps.onRead(ref, outcome);
    for (const { ref, execute, fence } of ready.orders) deps.onOrder(ref, { execute, fence });
    for (const want of ready.sendSnapshots) deps.onSnapshotWanted(want);
    if (ready.compactTo !== null) {
      const meta = consensus.snapshotMeta(ready.compactTo);
      if (meta !== null) storage.compact(meta);
    }
  }

  /** Node's timers are late, never early, so one more turn at the instant itself is cheap. */
  function arm(): void {
    if (!running) return;
    if (timer !== null) clearTimeout(timer);
    const inMs = Math.max(0, consensus.nextWakeMs() - clock.now().monoMs);
    timer = setTimeout(() => post({ type: 'tick' }), Math.min(inMs, timerMsMax));
  }

  return {
    post,
    start: () => {
      running = true;
      post({ type: 'tick' });
    },
    stop,
    waiting: () => queue.length,
  };
}
