import { afterEach, expect, test, vi } from 'vitest';
import { createHoldings, type Holdings } from '../../../../src/agent/replication/holdings.ts';
import type { PinRecord } from '../../../../src/catalog/query-pins.ts';
import { createFakeEngine } from './fake-engine.ts';

let running: Holdings | null = null;
afterEach(async () => {
  await running?.stop();
});

function pin(cid: string, peers: readonly string[], reliesOn: readonly string[] = []): PinRecord {
  return {
    cid,
    name: cid,
    bytes: 10,
    blocks: 3,
    min: 2,
    max: 3,
    labels: {},
    expiresAtMs: null,
    version: 5,
    createdIndex: 5,
    createdAtMs: 0,
    allocation: {
      peers,
      version: peers.length === 0 ? 0 : 7,
      term: 1,
      reason: 'new-pin',
      reliesOn,
    },
  };
}

function setUp(catalog: { pins: PinRecord[]; tombstones: string[]; adding?: number }) {
  const engine = createFakeEngine();
  const forgotten: string[] = [];
  const failures: unknown[] = [];
  let rounds = 0;
  const holdings = createHoldings({
    self: 'me',
    engine,
    paused: () => false,
    adding: () => catalog.adding ?? 0,
    query: async (name, args) => {
      const { cid } = args as { cid: string };
      switch (name) {
        case 'allocations.forPeer':
          rounds += 1;
          return {
            pins: catalog.pins.filter((one) => one.allocation.peers.includes('me')),
            next: null,
          };
        case 'pins.get':
          return catalog.pins.find((one) => one.cid === cid) ?? null;
        case 'tombstones.get':
          return catalog.tombstones.includes(cid) ? { cid } : null;
        default:
          throw new Error(`query ${name}`);
      }
    },
    onForgotten: (cid, reason) => forgotten.push(`${cid} ${reason}`),
    onFailure: (_text, error) => failures.push(error),
  });
  running = holdings;
  const afterRounds = async (count: number) => {
    const until = rounds + count;
    await vi.waitFor(
      () => {
        holdings.poke();
        expect(rounds).toBeGreaterThanOrEqual(until);
      },
      { timeout: 10_000, interval: 20 },
    );
  };
  return { engine, holdings, forgotten, failures, afterRounds };
}

test('what the catalog allocates here is pinned', async () => {
  const { engine, holdings, afterRounds } = setUp({
    pins: [pin('a', ['me', 'b'])],
    tombstones: [],
  });
  holdings.start();
  await afterRounds(2);
  expect(engine.asked).toEqual(['pin a']);
});

test('a removed pin is forgotten, because of its tombstone', async () => {
  const { engine, holdings, forgotten, afterRounds } = setUp({ pins: [], tombstones: ['a'] });
  engine.set('a', 'pinned');
  holdings.start();
  await afterRounds(2);
  expect(forgotten).toEqual(['a removed']);
});

test('absence alone forgets nothing', async () => {
  const { engine, holdings, forgotten, afterRounds } = setUp({ pins: [], tombstones: [] });
  engine.set('a', 'pinned');
  holdings.start();
  holdings.release(['a']);
  await afterRounds(3);
  expect(forgotten).toEqual([]);
  expect(engine.statuses.has('a')).toBe(true);
});

test('a surplus copy waits for an allocation that names what it relies on', async () => {
  const catalog = { pins: [pin('a', [])], tombstones: [] };
  const { engine, holdings, forgotten, afterRounds } = setUp(catalog);
  engine.set('a', 'pinned');
  holdings.start();
  await afterRounds(2);
  expect(forgotten).toEqual([]);
  catalog.pins = [pin('a', ['b', 'c'])];
  holdings.release(['a']);
  await afterRounds(2);
  expect(forgotten).toEqual([]);
  catalog.pins = [pin('a', ['b', 'c'], ['b', 'c'])];
  await afterRounds(2);
  expect(forgotten).toEqual(['a allocated-elsewhere']);
});

test('the word of the leader alone forgets nothing that is allocated here', async () => {
  const { engine, holdings, forgotten, afterRounds } = setUp({
    pins: [pin('a', ['me', 'b'])],
    tombstones: [],
  });
  engine.set('a', 'pinned');
  holdings.start();
  holdings.release(['a']);
  await afterRounds(3);
  expect(forgotten).toEqual([]);
});

test('an old tombstone takes nothing while an add is under way', async () => {
  const catalog = { pins: [], tombstones: ['a'], adding: 1 };
  const { engine, holdings, forgotten, afterRounds } = setUp(catalog);
  engine.set('a', 'pinned');
  holdings.start();
  await afterRounds(2);
  expect(forgotten).toEqual([]);
  catalog.adding = 0;
  await afterRounds(2);
  expect(forgotten).toEqual(['a removed']);
});
