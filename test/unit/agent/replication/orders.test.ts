import { afterEach, expect, test } from 'vitest';
import { type AgentMetrics, createMetrics } from '../../../../src/agent/metrics.ts';
import { createOrders } from '../../../../src/agent/replication/orders.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  orderAnswerSchema,
} from '../../../../src/wire/node-message.ts';
import { createFakeEngine } from './fake-engine.ts';

const epoch = 'e'.repeat(32);
let metrics: AgentMetrics | null = null;
afterEach(() => metrics?.stop());

/** A node whose fence stands at `fence`; `broken` says yes to everything. */
function setUp(fence: number, broken = false) {
  const engine = createFakeEngine();
  engine.set('bafkreiabcdefgh', 'pinned');
  const refused: number[] = [];
  const executed: number[] = [];
  const own = createMetrics();
  metrics = own;
  const orders = createOrders({
    self: 'me',
    engine,
    metrics: own,
    order: ({ term }) => Promise.resolve({ execute: broken || term >= fence, fence }),
    mayAct: () => null,
    request: () => Promise.reject(new Error('nobody is asked')),
    onHurry: () => undefined,
    onRefused: (_from, order) => refused.push(order.term),
    onExecuted: (_from, order) => executed.push(order.term),
  });
  const take = (term: number) =>
    orders.take(
      'leader',
      encodeNodeMessage({
        epoch,
        term,
        order: { type: 'challenge', cid: 'bafkreiabcdefgh', blockIndex: 0, nonce: 'n'.repeat(16) },
      }),
    );
  return { engine, orders, refused, executed, take };
}

test('an order below the fence is refused, told, and does nothing', async () => {
  const { engine, refused, executed, take } = setUp(5);
  const answer = decodeNodeMessage('answer', orderAnswerSchema, await take(4));
  expect(answer).toMatchObject({ executed: false, fence: 5, proof: null });
  expect(engine.asked).toEqual([]);
  expect(refused).toEqual([4]);
  expect(executed).toEqual([]);
});

test('an order at the fence is executed', async () => {
  const { engine, executed, take } = setUp(5);
  const answer = decodeNodeMessage('answer', orderAnswerSchema, await take(5));
  expect(answer.executed).toBe(true);
  expect(executed).toEqual([5]);
  expect(answer.proof).toMatch(/^[0-9a-f]{64}$/);
  expect(engine.asked).toEqual(['prove bafkreiabcdefgh']);
});

test('the place that executes doesn’t trust a fence that says yes to everything', async () => {
  const { engine, take } = setUp(5, true);
  await expect(take(4)).rejects.toThrow('below the fence');
  expect(engine.asked).toEqual([]);
});

test('whoever may not act gives no orders', async () => {
  const { orders } = setUp(5);
  await expect(orders.give('other', { type: 'hurry', cids: [] }, 100)).rejects.toMatchObject({
    code: 'not-leader',
  });
});
