import { afterEach, describe, expect, test, vi } from 'vitest';
import { createEventLoop, type EventLoopDeps } from '../../../src/agent/event-loop.ts';
import { createMetrics } from '../../../src/agent/metrics.ts';
import type { StorageQueues } from '../../../src/agent/storage-queues.ts';
import { InvariantError } from '../../../src/base/assert.ts';
import type { Consensus, Event, Ready } from '../../../src/consensus/api.ts';

const nothing: Ready = {
  persist: [],
  messages: [],
  apply: [],
  applySoon: false,
  outcomes: [],
  reads: [],
  orders: [],
  sendSnapshots: [],
  compactTo: null,
  facts: [],
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const metrics = createMetrics();

/** A loop around a step machine whose `ready` the test decides. */
function setUp(options: { ready?: () => Ready; wakeMs?: () => number } = {}) {
  const steps: Event[][] = [];
  let current: Event[] = [];
  const told: string[] = [];
  const completions: {
    persisted: (id: number, last: number | null) => void;
    applied: (index: number, results: []) => void;
  } = { persisted: () => undefined, applied: () => undefined };
  const consensus = {
    step: (_now: unknown, event: Event) => {
      current.push(event);
    },
    ready: () => {
      steps.push(current);
      current = [];
      return options.ready?.() ?? nothing;
    },
    nextWakeMs: () => options.wakeMs?.() ?? performance.now() + 60_000,
    snapshotMeta: (index: number) => ({ index }),
  } as unknown as Consensus;
  const storage = {
    persist: (job: { id: number }) => told.push(`persist ${job.id}`),
    apply: (entries: unknown[]) => told.push(`apply ${entries.length}`),
    compact: (meta: { index: number }) => told.push(`compact ${meta.index}`),
    onPersisted: (listener: typeof completions.persisted) => {
      completions.persisted = listener;
    },
    onApplied: (listener: typeof completions.applied) => {
      completions.applied = listener;
    },
    onFailed: () => undefined,
  } as unknown as StorageQueues;
  const deps: EventLoopDeps = {
    consensus,
    clock: { now: () => ({ monoMs: performance.now(), skippedMs: 0 }), wallMs: () => 0 },
    storage,
    metrics,
    send: (to) => told.push(`send ${to}`) > 0,
    onFact: (fact) => told.push(`fact ${fact.type}`),
    onOutcome: (ref) => told.push(`outcome ${ref}`),
    onRead: (ref) => told.push(`read ${ref}`),
    onOrder: (ref) => told.push(`order ${ref}`),
    onSnapshotWanted: (want) => told.push(`snapshot ${want.to}`),
    onApplied: (index) => told.push(`applied ${index}`),
    onStoreFailed: (detail) => told.push(detail),
    onFatal: (error) => told.push(`fatal ${(error as Error).message}`),
  };
  const loop = createEventLoop(deps);
  return { loop, steps, told, completions };
}

const propose = (ref: number): Event => ({
  type: 'propose',
  ref,
  data: new Uint8Array(0),
  deadlineMs: 0,
});

let stop = (): void => undefined;
afterEach(() => stop());

describe('event loop', () => {
  test('what arrives in one turn is stepped together, before one look at ready', async () => {
    const { loop, steps } = setUp();
    stop = loop.stop;
    loop.start();
    for (const ref of [1, 2, 3]) loop.post(propose(ref));
    expect(steps).toEqual([]);
    await turn();
    expect(steps.map((events) => events.map((event) => event.type))).toEqual([
      ['tick', 'propose', 'propose', 'propose'],
    ]);
  });

  test('messages leave before the writes of the same turn are begun', async () => {
    const message = {
      type: 'timeout-now' as const,
      v: 1,
      cluster: 'c',
      epoch: 'e',
      term: 1,
    };
    const job = { id: 7, hardState: null, cutBackTo: null, append: [], installSnapshot: null };
    const entry = { index: 1, term: 1, kind: 'empty' as const, data: new Uint8Array(0), hash: '' };
    const readies: Ready[] = [
      {
        ...nothing,
        messages: [{ to: 'b', message }],
        persist: [job],
        apply: [entry],
        outcomes: [{ ref: 4, outcome: { type: 'unknown' } }],
        reads: [{ ref: 5, outcome: { type: 'ready', index: 1 } }],
        orders: [{ ref: 6, execute: true, fence: 1 }],
        sendSnapshots: [{ to: 'c', requestId: 1, atLeast: 1 }],
        compactTo: 9,
        facts: [{ type: 'corruption', detail: '' }],
      },
    ];
    const { loop, told } = setUp({ ready: () => readies.shift() ?? nothing });
    stop = loop.stop;
    loop.start();
    await turn();
    expect(told).toEqual([
      'send b',
      'fact corruption',
      'persist 7',
      'apply 1',
      'outcome 4',
      'read 5',
      'order 6',
      'snapshot c',
      'compact 9',
    ]);
  });

  test('completions come back as events', async () => {
    const { loop, steps, completions, told } = setUp();
    stop = loop.stop;
    loop.start();
    await turn();
    completions.persisted(3, 12);
    completions.applied(12, []);
    await turn();
    expect(steps[1]).toEqual([
      { type: 'persisted', id: 3 },
      { type: 'applied', index: 12, results: [] },
    ]);
    expect(told).toEqual(['applied 12']);
  });

  test('a tick comes by the instant that the machine asked for', async () => {
    const askedMs = performance.now() + 20;
    let asked = askedMs;
    const { loop, steps } = setUp({ wakeMs: () => asked });
    stop = loop.stop;
    loop.start();
    await turn();
    asked = performance.now() + 60_000;
    await vi.waitFor(() => expect(steps).toHaveLength(2));
    expect(steps[1]).toEqual([{ type: 'tick' }]);
  });

  test('a broken invariant ends the loop: told once, and nothing leaves any more', async () => {
    const { loop, told, steps } = setUp({
      ready: () => {
        throw new InvariantError('broken');
      },
    });
    stop = loop.stop;
    loop.start();
    await turn();
    loop.post(propose(1));
    await turn();
    expect(told).toEqual(['fatal broken']);
    expect(steps).toHaveLength(1);
  });

  test('a full queue drops frames of peers and keeps everything else', async () => {
    const { loop, steps } = setUp();
    stop = loop.stop;
    loop.start();
    const message = { type: 'message', from: 'b', certificate: null } as unknown as Event;
    for (let i = 0; i < 70_000; i++) loop.post(message);
    loop.post(propose(1));
    expect(loop.waiting()).toBe(65_537);
    await turn();
    expect(steps[0]?.at(-1)?.type).toBe('propose');
  });
});
