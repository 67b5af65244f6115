/**
 * Hands what nodes tell to the checks that want to know it, and keeps the trace. An exception of
 * the code under test passes through here to the runner of the seed.
 */
import type { PeerId } from '../base/brand.ts';
import type { ActingRight } from '../consensus/api.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { ClientChecks } from './client-checks.ts';
import type { ConfigurationChecks } from './configuration-checks.ts';
import type { DurabilityChecks } from './durability-checks.ts';
import type { EventQueue } from './event-queue.ts';
import type { LeadershipChecks } from './leadership-checks.ts';
import type { Fail, LogChecks } from './log-checks.ts';
import type { NodeObserver } from './observer.ts';
import type { SimNode } from './sim-node.ts';
import type { Trace } from './trace.ts';
import { describeEvent, describeFact, describeJob, describeMessage } from './trace-text.ts';

export interface WorldObserverDeps {
  readonly queue: EventQueue;
  readonly trace: Trace;
  readonly log: LogChecks;
  readonly leadership: LeadershipChecks;
  readonly durability: DurabilityChecks;
  readonly configurations: ConfigurationChecks;
  readonly clients: ClientChecks;
  readonly orders: { given: number; executed: number; refused: number };
  readonly tally: Tally;
  readonly fail: Fail;
}

/** What is counted over all epochs. */
export interface Tally {
  snapshots: number;
  newEpochs: number;
  /** Nodes whose disk was damaged on purpose. */
  readonly damaged: Set<PeerId>;
}

export interface WorldObserver extends NodeObserver {
  expectOrder(ref: number, right: ActingRight): void;
  /** Damage that is expected on this node: it must be named, and it is no alarm. */
  expectDamage(id: string): void;
  /** Hears every message as it is sent; for directed scenarios. */
  tap(listener: Tap): void;
}

export type Tap = (node: SimNode, to: PeerId, message: Message) => void;

const eventNumbers = new Map<string, number>();

function eventNumber(type: string): number {
  let known = eventNumbers.get(type);
  if (known === undefined) {
    known = [...type].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 7);
    eventNumbers.set(type, known);
  }
  return known;
}

export function createWorldObserver(deps: WorldObserverDeps): WorldObserver {
  const { queue, trace, log, leadership, durability, clients, orders, fail } = deps;
  const { configurations } = deps;
  const expected = new Map<number, ActingRight>();
  const { damaged } = deps.tally;
  const taps: Tap[] = [];

  return {
    expectOrder: (ref, right) => {
      expected.set(ref, right);
    },
    expectDamage: (id) => {
      damaged.add(id);
    },
    tap: (listener) => {
      taps.push(listener);
    },
    onStart: (node) => {
      trace.line(queue.nowMs(), () => `${node.id} starts`);
      durability.onStart(node);
      log.onStart(node);
      configurations.onStart(node);
    },
    onEnd: (node, how) => {
      trace.line(queue.nowMs(), () => `${node.id} ends: ${how}`);
      clients.onEnd(node);
    },
    onDamage: (node, what) => {
      trace.line(queue.nowMs(), () => `${node.id} refuses to start: ${what}`);
      if (!damaged.has(node.id)) fail('false-damage', `${node.id}: ${what}`);
    },
    onStep: (node, event) => {
      trace.mix(queue.nowMs(), node.number, eventNumber(event.type));
      trace.line(queue.nowMs(), () => `${node.id} <- ${describeEvent(event)}`);
    },
    afterStep: (node) => leadership.afterStep(node),
    onSend: (node, to, message, frame) => {
      trace.mixBytes(frame);
      trace.line(queue.nowMs(), () => `${node.id} -> ${to} ${describeMessage(message)}`);
      for (const tap of taps) tap(node, to, message);
      leadership.onSend(node, to, message);
      durability.onSend(node, to, message);
      if (message.type === 'propose-reply') clients.onReply(node, message);
    },
    onPersist: (node, job) => {
      log.onPersist(node, job);
      configurations.onPersist(node, job);
      trace.line(queue.nowMs(), () => `${node.id} writes ${describeJob(job)}`);
    },
    onDurable: (node, job) => durability.onDurable(node, job),
    onInstalled: (node, index) => {
      trace.line(queue.nowMs(), () => `${node.id} installed the snapshot of ${index}`);
      deps.tally.snapshots += 1;
      log.onInstalled(node, index);
    },
    onApplied: (node, entries, results) => log.onApplied(node, entries, results),
    onFact: (node, fact) => {
      trace.line(queue.nowMs(), () => `${node.id} fact ${describeFact(fact)}`);
      if (fact.type === 'state-changed' && fact.state === 'leader') {
        leadership.onLeader(node, fact.term);
        log.onLeader(node, fact.term);
      }
      if (fact.type === 'corruption' && damaged.size === 0)
        fail('false-damage', `${node.id}: ${fact.detail}`);
    },
    onOutcome: (node, ref, outcome) => {
      trace.line(queue.nowMs(), () => `${node.id} request ${ref}: ${outcome.type}`);
      clients.onOutcome(node, ref, outcome);
    },
    onRead: (node, ref, outcome) => {
      trace.line(queue.nowMs(), () => `${node.id} read ${ref}: ${outcome.type}`);
      clients.onRead(node, ref, outcome);
    },
    onOrder: (node, answer) => {
      const right = expected.get(answer.ref);
      expected.delete(answer.ref);
      if (right === undefined) {
        fail('order-unknown', `${node.id} answers order ${answer.ref}`);
        return;
      }
      if (answer.execute) {
        orders.executed += 1;
        if (right.epoch !== node.epoch)
          fail('order-of-another-epoch', `${node.id} executes what a leader of another epoch said`);
        durability.onExecuted(node, right.term);
      } else orders.refused += 1;
    },
  };
}
