/**
 * The state machine behind one daemon (the face is in `api.ts`). The first failure after a healthy
 * time is healed at once, a further one within the cool-down waits for its end; a start that never
 * got ready is tried again with a growing, jittered pause, and after `failuresMax` in a row it is
 * a crash loop that is probed once per cool-down. Nobody waits for a person who never comes.
 */
import { assert } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import {
  type Cause,
  type Desired,
  isCold,
  type StartReason,
  type StopReason,
  type SuperviseAction,
  type SuperviseEvent,
  type SuperviseFact,
  type SupervisePolicy,
  type SuperviseRecord,
  type Supervision,
} from './api.ts';
import { type Phase, remainingMs, stateOf } from './phase.ts';
import { createRetryBudget } from './retry-budget.ts';

export interface Supervisor {
  step(event: SuperviseEvent, nowMs: Ms): SuperviseAction[];
  view(nowMs: Ms): Supervision;
  record(): SuperviseRecord;
}

export function createSupervisor(
  policy: SupervisePolicy,
  restored: SuperviseRecord,
  prng: Prng,
): Supervisor {
  let desired: Desired = restored.desired;
  let { autoHeal } = restored;
  const budget = createRetryBudget(policy, restored, prng);
  let phase: Phase = { type: 'new' };
  let pid: number | null = null;
  let adopted = false;
  let suspended: string | null = null;
  let ending = false;
  let healthySinceMs: Ms | null = null;
  let steady = false;
  let lastFailure: Supervision['lastFailure'] = null;
  let alertSinceMs: Ms | null = null;
  /** What the process has run into, as of the last look. */
  let limitHit: { readonly cause: Cause; readonly detail: string } | null = null;
  let actions: SuperviseAction[] = [];

  const tell = (fact: SuperviseFact): void => {
    actions.push({ type: 'tell', fact });
  };
  const held = (): string | null => suspended ?? (autoHeal ? null : 'auto-heal-off');
  const mayHeal = (): boolean => desired === 'started' && held() === null && !ending;

  function start(reason: StartReason): void {
    phase = { type: 'preparing' };
    adopted = false;
    actions.push({ type: 'start', reason });
    tell({ type: 'daemon-starting', reason });
  }

  function startByItself(reason: 'heal' | 'probe', nowMs: Ms): void {
    budget.spend(nowMs);
    start(reason);
  }

  function stop(reason: StopReason, next: 'rest' | 'start' | 'failed', detail = ''): void {
    assert(pid !== null, 'only a process that is there is stopped');
    const healing = reason === 'unresponsive';
    const cause: Cause = healing ? (lastFailure?.cause ?? 'unresponsive') : 'not-ready';
    phase = { type: 'stopping', next, cause, detail, healing };
    actions.push({ type: 'stop', pid, reason });
    tell({ type: 'daemon-stopped', pid, reason });
  }

  function alert(cause: Cause, detail: string, nowMs: Ms): void {
    if (alertSinceMs !== null) return;
    alertSinceMs = nowMs;
    tell({ type: 'daemon-alert', cause, detail });
  }

  /** `healing`: the process was ended in order to be started again, and the waiting is over. */
  function failed(cause: Cause, detail: string, nowMs: Ms, healing = false): void {
    const wasReady = healthySinceMs !== null;
    budget.failed(steady);
    forgetProcess();
    lastFailure = { cause, detail, atMs: nowMs };
    const untilMs = healing ? nowMs : budget.dueAtMs(cause, wasReady, nowMs);
    const loop = budget.loops();
    const { failures } = budget.kept();
    phase = { type: 'waiting', untilMs, loop };
    const retryInMs = mayHeal() ? untilMs - nowMs : null;
    tell({ type: 'daemon-failed', cause, detail, failures, retryInMs, held: held() });
    // Whoever waits for more than the first short pause was not helped by healing.
    const long = untilMs - nowMs > policy.backoffMsMin;
    if (loop || long || isCold(cause) || !mayHeal()) alert(cause, detail, nowMs);
  }

  function forgetProcess(): void {
    pid = null;
    adopted = false;
    healthySinceMs = null;
    steady = false;
    limitHit = null;
  }

  function rest(): void {
    forgetProcess();
    phase = { type: 'stopped' };
  }

  function ready(nowMs: Ms): void {
    assert(pid !== null, 'who answers has a process');
    if (phase.type === 'starting')
      tell({ type: 'daemon-ready', pid, afterMs: nowMs - phase.sinceMs });
    else tell({ type: 'daemon-recovered', pid });
    phase = { type: 'running', answeredMs: nowMs };
    healthySinceMs = nowMs;
    alertSinceMs = null;
  }

  function onFound(foundPid: number | null, nowMs: Ms): void {
    assert(phase.type === 'new', 'what was left behind is looked up once');
    phase = { type: 'stopped' };
    if (foundPid === null) {
      if (desired === 'started') start('wanted');
      return;
    }
    pid = foundPid;
    adopted = true;
    tell({ type: 'daemon-adopted', pid });
    if (desired === 'stopped') stop('asked', 'rest');
    else phase = startingAt(nowMs);
  }

  const startingAt = (nowMs: Ms): Phase => ({
    type: 'starting',
    sinceMs: nowMs,
    progress: null,
    deadlineMs: nowMs + policy.readyMsMax,
  });

  function onAsk(event: Extract<SuperviseEvent, { type: 'ask' }>): void {
    const cools = phase.type === 'waiting' && mayHeal() && !event.force;
    desired = event.what === 'stop' ? 'stopped' : 'started';
    // The cool-down holds for everybody who does not force.
    if (cools && event.what !== 'stop') return;
    const again = event.what === 'restart' || event.force;
    if (event.what !== 'stop') {
      budget.forgive();
      alertSinceMs = null;
    }
    if (phase.type === 'preparing' || phase.type === 'new') return;
    if (phase.type === 'stopping') {
      phase.next = event.what === 'stop' ? 'rest' : 'start';
      return;
    }
    if (event.what === 'stop') {
      alertSinceMs = null;
      if (pid === null) rest();
      else stop('asked', 'rest');
      return;
    }
    if (pid === null) start('asked');
    else if (again) stop('restart', 'start');
  }

  function onSpawned(spawnedPid: number, nowMs: Ms): void {
    assert(phase.type === 'preparing', 'a process is announced after a start');
    pid = spawnedPid;
    phase = startingAt(nowMs);
    // Somebody changed their mind while it was being prepared.
    if (ending) stop('shutdown', 'rest');
    else if (desired === 'stopped') stop('asked', 'rest');
  }

  function onStartFailed(cause: Cause, detail: string, nowMs: Ms): void {
    assert(phase.type === 'preparing', 'a start fails after a start');
    if (ending || desired === 'stopped') rest();
    else failed(cause, detail, nowMs);
  }

  function onExited(event: Extract<SuperviseEvent, { type: 'exited' }>, nowMs: Ms): void {
    if (event.pid !== pid) return;
    if (phase.type !== 'stopping') {
      if (desired === 'stopped' || ending) rest();
      else failed(event.cause, event.detail, nowMs);
      return;
    }
    const { next, cause, detail, healing } = phase;
    if (next === 'failed') {
      failed(cause, detail, nowMs, healing);
      return;
    }
    rest();
    if (next === 'start' && desired === 'started' && !ending) start('asked');
  }

  function onChecked(event: Extract<SuperviseEvent, { type: 'checked' }>, nowMs: Ms): void {
    if (event.pid !== pid) return;
    limitHit = event.answer === 'silent' ? (event.limit ?? null) : null;
    if (event.answer === 'silent') return;
    if (phase.type === 'running') {
      phase.answeredMs = nowMs;
      return;
    }
    if (phase.type !== 'starting' && phase.type !== 'unresponsive') return;
    if (phase.type === 'unresponsive' || event.answer === 'ready') {
      ready(nowMs);
      return;
    }
    if (event.progress === phase.progress) return;
    phase.progress = event.progress;
    phase.deadlineMs = nowMs + policy.readyMsMax;
  }

  function tickRunning(answeredMs: Ms, nowMs: Ms): void {
    assert(pid !== null && healthySinceMs !== null, 'who runs has a process and was ready');
    const silentMs = nowMs - answeredMs;
    if (silentMs <= policy.silentMsMax) {
      if (steady || answeredMs - healthySinceMs < policy.successMs) return;
      steady = true;
      budget.forgive();
      return;
    }
    const healAtMs = budget.healAtMs(nowMs);
    phase = { type: 'unresponsive', healAtMs };
    const cause = limitHit?.cause ?? 'unresponsive';
    const why = limitHit === null ? '' : `; ${limitHit.detail}`;
    const detail = `no answer for ${Math.round(silentMs)} ms${why}`;
    lastFailure = { cause, detail, atMs: nowMs };
    tell({ type: 'daemon-unresponsive', pid, silentMs, cause });
    if (healAtMs > nowMs || !mayHeal()) alert(cause, detail, nowMs);
  }

  function onTick(nowMs: Ms): void {
    if (phase.type === 'running') tickRunning(phase.answeredMs, nowMs);
    if (phase.type === 'waiting' && nowMs >= phase.untilMs && mayHeal()) {
      if (budget.affordable(nowMs)) startByItself(phase.loop ? 'probe' : 'heal', nowMs);
    } else if (phase.type === 'starting' && nowMs >= phase.deadlineMs && mayHeal()) {
      stop('not-ready', 'failed', `not ready within ${Math.round(nowMs - phase.sinceMs)} ms`);
    } else if (phase.type === 'unresponsive' && nowMs >= phase.healAtMs && mayHeal()) {
      if (!budget.affordable(nowMs)) return;
      stop('unresponsive', 'failed', lastFailure?.detail ?? 'no answer');
    }
  }

  function onShutdown(): void {
    ending = true;
    if (phase.type === 'preparing') return;
    if (phase.type === 'stopping') phase.next = 'rest';
    else if (pid !== null) stop('shutdown', 'rest');
    else rest();
  }

  function react(event: SuperviseEvent, nowMs: Ms): void {
    if (event.type === 'found') onFound(event.pid, nowMs);
    else if (event.type === 'ask') onAsk(event);
    else if (event.type === 'spawned') onSpawned(event.pid, nowMs);
    else if (event.type === 'start-failed') onStartFailed(event.cause, event.detail, nowMs);
    else if (event.type === 'exited') onExited(event, nowMs);
    else if (event.type === 'checked') onChecked(event, nowMs);
    else if (event.type === 'auto-heal') autoHeal = event.on;
    else if (event.type === 'suspend') suspended = event.reason;
    else if (event.type === 'shutdown') onShutdown();
    else onTick(nowMs);
  }

  return {
    step: (event, nowMs) => {
      actions = [];
      react(event, nowMs);
      return actions;
    },
    view: (nowMs) => ({
      desired,
      autoHeal,
      state: stateOf(phase, mayHeal()),
      pid,
      adopted,
      ...budget.kept(),
      cooldownMsRemaining: remainingMs(phase, mayHeal(), nowMs),
      held: held(),
      lastFailure,
      steady,
      alertSinceMs,
    }),
    record: () => ({ desired, autoHeal, ...budget.kept() }),
  };
}
