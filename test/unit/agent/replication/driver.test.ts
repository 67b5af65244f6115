/**
 * The safe branch: whatever goes wrong while a leader looks at what there is, and however little it
 * is known, it decides nothing; and a right to act that was lost meanwhile stops what was planned.
 */
import { afterEach, expect, test } from 'vitest';
import { createMetrics } from '../../../../src/agent/metrics.ts';
import type { Challenges } from '../../../../src/agent/replication/challenges.ts';
import { createDriver, type DriverDeps } from '../../../../src/agent/replication/driver.ts';
import { createObserved } from '../../../../src/agent/replication/observed.ts';
import { createPrng } from '../../../../src/base/prng.ts';
import { createRepairBudget } from '../../../../src/plan/repair-budget.ts';
import type { Command } from '../../../../src/wire/command.ts';

const metrics = createMetrics();
afterEach(() => metrics.stop());

const cid = 'bafkreihdlwsafjmtwsuce4tvyq2mauev5ac7ozoyrue4wngijikj3o2xdq';
const pin = {
  cid,
  name: 'a',
  bytes: 10,
  blocks: 1,
  min: 1,
  max: 1,
  labels: {},
  expiresAtMs: null,
  version: 5,
  createdIndex: 5,
  createdAtMs: 1,
  allocation: { peers: [], version: 0, reliesOn: [], term: 0, reason: '' },
};
const right = { epoch: 'e', term: 3 };

function setUp(change: Partial<DriverDeps>) {
  const proposed: Command[] = [];
  const orders: string[] = [];
  const observed = createObserved();
  observed.accept(
    'p1',
    {
      epoch: '0'.repeat(32),
      incarnation: 1,
      seq: 1,
      full: true,
      more: false,
      pins: [],
      gone: [],
      usage: { bytesStored: 0, bytesFree: 1e12, blocks: 0 },
      holdsContent: true,
    },
    1000,
  );
  const driver = createDriver({
    observed,
    challenges: { ask: () => orders.push('challenge') } as unknown as Challenges,
    budget: createRepairBudget({ bytesPerSecond: 1e9, burstSeconds: 1 }),
    metrics,
    prng: createPrng(1),
    repairGraceMs: 1000,
    nowMs: () => 1000,
    wallMs: () => 1000,
    leadsSinceMs: () => 0,
    healthOf: () => 'healthy',
    mayAct: () => right,
    mayChange: () => right,
    isDraining: () => false,
    members: () => [
      {
        peerId: 'p1',
        name: 'm1',
        role: 'master',
        rank: 3000,
        zone: 'z',
        votes: true,
        leads: true,
      },
    ],
    query: async () => ({ pins: [pin], next: null }),
    propose: async (command) => {
      proposed.push(command);
      return { ok: true, index: 9, version: 9, value: null };
    },
    give: async () => orders.push('order'),
    event: () => undefined,
    onFailure: () => undefined,
    ...change,
  });
  return { driver, proposed, orders };
}

test('a leader that may act allocates', async () => {
  const { driver, proposed } = setUp({});
  await driver.round();
  expect(proposed).toMatchObject([{ type: 'allocation.set', cid, peers: ['p1'] }]);
});

test.each([
  ['an error of no known class', new Error('something')],
  ['not even an error', 'text'],
])('%s half-way through the pins decides nothing', async (_, thrown) => {
  let pages = 0;
  const { driver, proposed, orders } = setUp({
    query: async () => {
      pages += 1;
      if (pages > 1) throw thrown;
      return { pins: [pin], next: cid };
    },
  });
  await expect(driver.round()).rejects.toBe(thrown);
  expect(pages).toBe(2);
  expect([proposed, orders]).toEqual([[], []]);
});

test('without a member of known health nothing is decided either', async () => {
  const { driver, proposed } = setUp({
    healthOf: () => {
      throw new TypeError('no score');
    },
  });
  await expect(driver.round()).rejects.toThrow('no score');
  expect(proposed).toEqual([]);
});

test('a right to act that ended while it planned carries nothing out', async () => {
  let asked = 0;
  const { driver, proposed } = setUp({
    mayChange: () => {
      asked += 1;
      return null;
    },
  });
  await driver.round();
  expect(asked).toBeGreaterThan(0);
  expect(proposed).toEqual([]);
});
