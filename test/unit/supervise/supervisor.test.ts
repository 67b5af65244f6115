/**
 * What is done about a daemon, as tables over a virtual clock: the first failure is healed at once,
 * the next waits for the cool-down, a crash loop is probed for ever, a person's stop stays, and no
 * sequence of events breaks the budget or leaves a wanted daemon without a next start.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type {
  Cause,
  SuperviseAction,
  SuperviseEvent,
  SupervisePolicy,
  SuperviseRecord,
} from '../../../src/supervise/api.ts';
import { createSupervisor } from '../../../src/supervise/supervisor.ts';

const policy: SupervisePolicy = {
  coolDownMs: 300_000,
  successMs: 30_000,
  readyMsMax: 60_000,
  silentMsMax: 10_000,
  backoffMsMin: 500,
  backoffMsMax: 30_000,
  failuresMax: 4,
  startsMax: 5,
};

const fresh: SuperviseRecord = {
  desired: 'started',
  autoHeal: true,
  failures: 0,
  restarts: 0,
  lastHealMs: null,
};

/** A machine with a clock of its own and processes that do what the test says. */
function world(record: Partial<SuperviseRecord> = {}, over: Partial<SupervisePolicy> = {}) {
  const machine = createSupervisor({ ...policy, ...over }, { ...fresh, ...record }, createPrng(7));
  let nowMs = 1000;
  let pid = 100;
  const told: string[] = [];
  const done: SuperviseAction[] = [];
  const step = (event: SuperviseEvent): SuperviseAction[] => {
    const actions = machine.step(event, nowMs);
    for (const action of actions)
      if (action.type === 'tell') told.push(action.fact.type);
      else done.push(action);
    return actions;
  };
  const starts = () => done.filter(({ type }) => type === 'start').length;
  return {
    machine,
    told,
    done,
    step,
    starts,
    now: () => nowMs,
    pid: () => pid,
    view: () => machine.view(nowMs),
    spawn: () => step({ type: 'spawned', pid: ++pid }),
    answer: (answer: 'ready' | 'busy' | 'silent' = 'ready', progress: string | null = null) =>
      step({ type: 'checked', pid, answer, progress }),
    exit: (cause: Cause = 'killed') => step({ type: 'exited', pid, cause, detail: cause }),
    /** Time passes in steps of half a second; a healthy daemon answers all the while. */
    pass: (ms: number, answers = true) => {
      const endMs = nowMs + ms;
      while (nowMs < endMs) {
        nowMs = Math.min(nowMs + 500, endMs);
        if (answers && machine.view(nowMs).state === 'running')
          step({ type: 'checked', pid, answer: 'ready', progress: null });
        step({ type: 'tick' });
      }
    },
    /** Ticks until the next start is asked for; how long that took. */
    untilStart: (limitMs: number): number => {
      const from = nowMs;
      const before = starts();
      while (starts() === before) {
        if (nowMs - from > limitMs) throw new Error(`no start within ${limitMs} ms`);
        nowMs += 100;
        step({ type: 'tick' });
      }
      return nowMs - from;
    },
  };
}

function running(record: Partial<SuperviseRecord> = {}) {
  const it = world(record);
  it.step({ type: 'found', pid: null });
  it.spawn();
  it.answer();
  return it;
}

test('a daemon that is wanted starts, gets ready and counts as a success after a while', () => {
  const it = running();
  expect(it.view()).toMatchObject({ state: 'running', restarts: 0, steady: false });
  it.pass(31_000);
  expect(it.view()).toMatchObject({ state: 'running', steady: true, failures: 0 });
  expect(it.told).toEqual(['daemon-starting', 'daemon-ready']);
});

test('the first failure is healed at once, the second within the cool-down waits for its end', () => {
  const it = running();
  it.pass(60_000);
  it.exit();
  expect(it.view().state).toBe('cooling-down');
  expect(it.untilStart(1000)).toBeLessThanOrEqual(600);
  const healedMs = it.now();
  it.spawn();
  it.answer();
  it.exit();
  expect(it.view()).toMatchObject({ state: 'cooling-down', restarts: 1 });
  expect(it.view().cooldownMsRemaining).toBeGreaterThan(policy.coolDownMs - 1000);
  expect(it.told).toContain('daemon-alert');
  it.untilStart(policy.coolDownMs * 1.1 + 1000);
  expect(it.now() - healedMs).toBeGreaterThanOrEqual(policy.coolDownMs);
});

test('the cool-down of an earlier agent still holds', () => {
  const it = running({ lastHealMs: -10_000 });
  it.exit();
  expect(it.view().cooldownMsRemaining).toBeGreaterThan(policy.coolDownMs - 12_000);
});

test('a start that never gets ready is tried again with growing pauses, then probed for ever', () => {
  const it = world();
  it.step({ type: 'found', pid: null });
  const pauses: number[] = [];
  for (let i = 0; i < 3; i++) {
    it.spawn();
    it.exit('exited');
    pauses.push(it.untilStart(40_000));
  }
  expect(pauses[0]).toBeLessThanOrEqual(600);
  expect(pauses[2]).toBeGreaterThan(pauses[0] ?? 0);
  for (let i = 0; i < 20; i++) {
    it.spawn();
    it.exit('exited');
    expect(it.view().state).toBe('crash-loop');
    const waitedMs = it.untilStart(policy.coolDownMs * 1.1 + 1000);
    expect(waitedMs).toBeGreaterThanOrEqual(policy.coolDownMs);
    expect(it.done.at(-1)).toEqual({ type: 'start', reason: 'probe' });
  }
  it.spawn();
  it.answer();
  it.pass(31_000);
  expect(it.view()).toMatchObject({ state: 'running', failures: 0, alertSinceMs: null });
});

test.each<Cause>([
  'port-in-use',
  'bad-config',
  'out-of-memory',
  'disk-full',
  'file-limit',
  'binary-missing',
  'repo-locked',
  'wrong-version',
])('%s is no case for a hot retry', (cause) => {
  const it = running();
  it.pass(60_000);
  it.exit(cause);
  expect(it.view()).toMatchObject({ state: 'cooling-down', lastFailure: { cause } });
  expect(it.view().cooldownMsRemaining).toBeGreaterThanOrEqual(policy.coolDownMs);
  expect(it.told).toContain('daemon-alert');
});

test("a person's stop is done, remembered and not healed", () => {
  const it = running();
  it.step({ type: 'ask', what: 'stop', force: false });
  expect(it.view().state).toBe('stopping');
  it.exit();
  it.pass(3_600_000);
  expect(it.view()).toMatchObject({ state: 'stopped', desired: 'stopped' });
  expect(it.starts()).toBe(1);
  const next = world(it.machine.record());
  next.step({ type: 'found', pid: null });
  next.pass(3_600_000);
  expect(next.starts()).toBe(0);
  next.step({ type: 'ask', what: 'start', force: false });
  expect(next.done).toEqual([{ type: 'start', reason: 'asked' }]);
});

test('a stop while the start is being prepared is kept', () => {
  const it = world();
  it.step({ type: 'found', pid: null });
  it.step({ type: 'ask', what: 'stop', force: false });
  it.spawn();
  expect(it.view().state).toBe('stopping');
  it.exit();
  expect(it.view().state).toBe('stopped');
});

test.each<[string, SuperviseEvent]>([
  ['auto-heal-off', { type: 'auto-heal', on: false }],
  ['paused', { type: 'suspend', reason: 'paused' }],
  ['draining', { type: 'suspend', reason: 'draining' }],
])('%s: nothing is healed, and afterwards it is', (held, event) => {
  const it = running();
  it.pass(60_000);
  it.step(event);
  it.exit();
  it.pass(3_600_000);
  expect(it.view()).toMatchObject({ state: 'stopped', desired: 'started', held });
  expect(it.starts()).toBe(1);
  if (event.type === 'suspend') it.step({ type: 'suspend', reason: null });
  else it.step({ type: 'auto-heal', on: true });
  it.untilStart(1000);
});

test('held back, a silent daemon is told as unresponsive and left alone', () => {
  const it = running();
  it.step({ type: 'auto-heal', on: false });
  it.pass(600_000, false);
  expect(it.view().state).toBe('unresponsive');
  expect(it.done.filter(({ type }) => type === 'stop')).toEqual([]);
  it.answer();
  expect(it.view().state).toBe('running');
});

test('silence makes it unresponsive after its deadline; it is stopped and started again', () => {
  const it = running();
  it.pass(60_000);
  it.pass(10_000, false);
  expect(it.view().state).toBe('running');
  it.pass(500, false);
  expect(it.view().state).toBe('stopping');
  expect(it.told).toContain('daemon-unresponsive');
  expect(it.done.at(-1)).toMatchObject({ type: 'stop', reason: 'unresponsive' });
  it.exit();
  expect(it.view().lastFailure).toMatchObject({ cause: 'unresponsive' });
  expect(it.untilStart(1000)).toBeLessThanOrEqual(600);
});

test('the limit that a silent daemon has run into is its cause; it is healed all the same', () => {
  const it = running();
  it.pass(60_000);
  const limit = { cause: 'file-limit', detail: 'it has 64 of 64 files and sockets open' } as const;
  it.step({ type: 'checked', pid: it.pid(), answer: 'silent', progress: null, limit });
  it.pass(10_500, false);
  expect(it.view().lastFailure).toMatchObject({ cause: 'file-limit' });
  expect(it.done.at(-1)).toMatchObject({ type: 'stop', reason: 'unresponsive' });
  it.exit();
  const { lastFailure, alertSinceMs } = it.view();
  expect(lastFailure).toMatchObject({
    cause: 'file-limit',
    detail: expect.stringMatching(/no answer for \d+ ms; it has 64 of 64 files and sockets open/),
  });
  expect(alertSinceMs).not.toBeNull();
  expect(it.untilStart(1000)).toBeLessThanOrEqual(600);
});

test('silence within the cool-down waits, and an answer meanwhile ends it', () => {
  const it = running({ lastHealMs: 0 });
  it.pass(60_000);
  it.pass(11_000, false);
  expect(it.view().state).toBe('unresponsive');
  expect(it.view().cooldownMsRemaining).toBeGreaterThan(200_000);
  it.answer();
  expect(it.view().state).toBe('running');
  expect(it.told.at(-1)).toBe('daemon-recovered');
});

test('a start that answers and gets on is not cut off; one that stands still is', () => {
  const it = world();
  it.step({ type: 'found', pid: null });
  it.spawn();
  for (let i = 0; i < 20; i++) {
    it.answer('busy', `${i} of 20`);
    it.pass(50_000);
    expect(it.view().state).toBe('starting');
  }
  it.pass(20_000);
  expect(it.done.at(-1)).toMatchObject({ type: 'stop', reason: 'not-ready' });
});

test('an adopted process keeps its pid; one that a person had stopped is ended', () => {
  const it = world();
  it.step({ type: 'found', pid: 42 });
  expect(it.view()).toMatchObject({ state: 'starting', pid: 42, adopted: true });
  it.step({ type: 'checked', pid: 42, answer: 'ready', progress: null });
  expect(it.view()).toMatchObject({ state: 'running', pid: 42, adopted: true, restarts: 0 });
  const stopped = world({ desired: 'stopped' });
  stopped.step({ type: 'found', pid: 42 });
  expect(stopped.done).toEqual([{ type: 'stop', pid: 42, reason: 'asked' }]);
});

test('force does not wait for a cool-down, and nobody else gets past it', () => {
  const it = running({ lastHealMs: 0 });
  it.exit();
  it.step({ type: 'ask', what: 'start', force: false });
  it.step({ type: 'ask', what: 'restart', force: false });
  expect(it.starts()).toBe(1);
  it.step({ type: 'ask', what: 'start', force: true });
  expect(it.starts()).toBe(2);
});

test('the end of the agent ends the daemon and leaves what is wanted as it was', () => {
  const it = running();
  it.step({ type: 'shutdown' });
  expect(it.done.at(-1)).toMatchObject({ type: 'stop', reason: 'shutdown' });
  it.exit();
  it.pass(600_000);
  expect(it.starts()).toBe(1);
  expect(it.machine.record()).toMatchObject({ desired: 'started' });
});

test('news of a process that is gone change nothing', () => {
  const it = running();
  const old = it.pid();
  it.exit();
  it.untilStart(1000);
  it.spawn();
  it.step({ type: 'exited', pid: old, cause: 'killed', detail: '' });
  it.step({ type: 'checked', pid: old, answer: 'ready', progress: null });
  expect(it.view().state).toBe('starting');
});

test('whatever happens, starts stay within their budget and a wanted daemon has a next one', () => {
  const happening = fc.oneof(
    fc.record({ what: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 400_000 }) }),
    fc.record({ what: fc.constantFrom('spawn', 'fail', 'exit', 'ready', 'busy') }),
    fc.record({ what: fc.constantFrom('silence', 'pause', 'resume', 'heal-on', 'heal-off') }),
  );
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 120 }), (happenings) => {
      const it = world();
      const automatic: number[] = [];
      const act = (event: SuperviseEvent): void => {
        for (const action of it.step(event))
          if (action.type === 'start' && action.reason !== 'wanted') automatic.push(it.now());
      };
      it.step({ type: 'found', pid: null });
      const passTicking = (ms: number, answers: boolean): void => {
        for (let left = ms; left > 0; left -= 5000) {
          const before = it.starts();
          it.pass(Math.min(left, 5000), answers);
          if (it.starts() > before) automatic.push(it.now());
        }
      };
      for (const each of happenings) {
        const { state } = it.view();
        const preparing = state === 'starting' && it.view().pid === null;
        if (each.what === 'pass') passTicking('ms' in each ? each.ms : 0, true);
        if (each.what === 'silence') passTicking(15_000, false);
        if (each.what === 'spawn' && preparing) it.spawn();
        if (each.what === 'fail' && preparing)
          act({ type: 'start-failed', cause: 'failed', detail: '' });
        if (each.what === 'exit') it.exit('exited');
        if (each.what === 'ready') it.answer();
        if (each.what === 'busy') it.answer('busy', String(it.now()));
        if (each.what === 'pause') act({ type: 'suspend', reason: 'paused' });
        if (each.what === 'resume') act({ type: 'suspend', reason: null });
        if (each.what === 'heal-on') act({ type: 'auto-heal', on: true });
        if (each.what === 'heal-off') act({ type: 'auto-heal', on: false });
      }
      for (const atMs of automatic) {
        const within = automatic.filter(
          (other) => other >= atMs && other < atMs + policy.coolDownMs - 5000,
        );
        expect(within.length).toBeLessThanOrEqual(policy.startsMax);
      }
      // Left alone and allowed to be healed, it is running or has started again before long.
      act({ type: 'suspend', reason: null });
      act({ type: 'auto-heal', on: true });
      if (it.view().state === 'stopping') it.exit();
      if (['cooling-down', 'crash-loop'].includes(it.view().state))
        it.untilStart(policy.coolDownMs * 1.1 + 5000);
      expect(it.view().state).not.toBe('stopped');
    }),
    { numRuns: 300 },
  );
});
