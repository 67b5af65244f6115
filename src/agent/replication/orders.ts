/**
 * Orders between the acting leader and the nodes. An order carries (epoch, term); the node passes
 * it through its fence before it does anything, so an order of a leader that was replaced is
 * refused
 * however late it arrives. Orders are hints and questions: none of them deletes anything.
 */

import { assert } from '../../base/assert.ts';
import type { CidText, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { ActingRight } from '../../consensus/api.ts';
import type { ContentEngine } from '../../content/api.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type Order,
  type OrderAnswer,
  orderAnswerSchema,
  orderSchema,
} from '../../wire/node-message.ts';
import type { AgentMetrics } from '../metrics.ts';

export interface OrdersDeps {
  readonly self: PeerId;
  readonly engine: ContentEngine;
  readonly metrics: AgentMetrics;
  /** The fence: durable before the order may be executed. */
  readonly order: (right: ActingRight) => Promise<{ execute: boolean; fence: number }>;
  readonly mayAct: () => ActingRight | null;
  readonly request: (to: PeerId, body: Uint8Array, timeoutMs: Ms) => Promise<Uint8Array>;
  readonly onHurry: () => void;
  readonly onRefused: (from: PeerId, order: Order, fence: number) => void;
  /** An order passed the fence and is being executed. */
  readonly onExecuted: (from: PeerId, order: Order, fence: number) => void;
}

export interface Orders {
  /** Sends an order as the acting leader; throws `not-leader` when this node may not act now. */
  give(to: PeerId, order: Order['order'], timeoutMs: Ms): Promise<OrderAnswer>;
  /** Executes a peer's order. */
  take(from: PeerId, body: Uint8Array): Promise<Uint8Array>;
}

export function createOrders(deps: OrdersDeps): Orders {
  const { engine, metrics } = deps;

  async function execute(order: Order['order']): Promise<Pick<OrderAnswer, 'proof' | 'blocks'>> {
    switch (order.type) {
      case 'hurry':
        deps.onHurry();
        return { proof: null, blocks: null };
      case 'challenge':
        return {
          proof: await engine.prove(order.cid, order.blockIndex, order.nonce),
          blocks: null,
        };
      case 'verify':
        return { proof: null, blocks: (await engine.verify(order.cid)).blocks };
    }
  }

  async function takeOrder(from: PeerId, order: Order): Promise<OrderAnswer> {
    const { execute: allowed, fence } = await deps.order({ epoch: order.epoch, term: order.term });
    if (!allowed) {
      metrics.count('orders_refused');
      deps.onRefused(from, order, fence);
      return { executed: false, fence, proof: null, blocks: null };
    }
    // The fence has said yes; this is the one place that executes, so it looks once more.
    assert(order.term >= fence, `order of term ${order.term} below the fence ${fence}`);
    metrics.count('orders_executed');
    deps.onExecuted(from, order, fence);
    return { executed: true, fence, ...(await execute(order.order)) };
  }

  return {
    give: async (to, order, timeoutMs) => {
      const right = deps.mayAct();
      if (right === null)
        throw new AgentError('not-leader', 'this node does not act as leader now');
      const full: Order = { ...right, order };
      const answer =
        to === deps.self
          ? await takeOrder(to, full)
          : decodeNodeMessage(
              'order answer',
              orderAnswerSchema,
              await deps.request(to, encodeNodeMessage(full), timeoutMs),
            );
      if (!answer.executed)
        throw new AgentError(
          'not-leader',
          `order of term ${right.term} refused: the fence is ${answer.fence}`,
        );
      return answer;
    },
    take: async (from, body) =>
      encodeNodeMessage(await takeOrder(from, decodeNodeMessage('order', orderSchema, body))),
  };
}

/** One block of a copy, chosen by the leader, and a nonce that nobody could have known. */
export interface Challenge {
  readonly cid: CidText;
  readonly blockIndex: number;
  readonly nonce: string;
}
