/**
 * What a simulated node tells about itself; the checks listen here. The order of calls is the
 * order of events: `onStep` before an event is stepped, then everything it caused, then
 * `afterStep`.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { AppliedResult } from '../catalog/api.ts';
import type { Event, Fact, Outcome, PersistJob, ReadOutcome, Ready } from '../consensus/api.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import type { SimNode } from './sim-node.ts';

export interface NodeObserver {
  onStart(node: SimNode): void;
  onEnd(node: SimNode, how: string): void;
  onDamage(node: SimNode, what: string): void;
  onStep(node: SimNode, event: Event): void;
  afterStep(node: SimNode): void;
  onSend(node: SimNode, to: PeerId, message: Message, frame: Uint8Array): void;
  onPersist(node: SimNode, job: PersistJob): void;
  onDurable(node: SimNode, job: PersistJob): void;
  onInstalled(node: SimNode, index: LogIndex): void;
  onApplied(node: SimNode, entries: readonly Entry[], results: readonly AppliedResult[]): void;
  onFact(node: SimNode, fact: Fact): void;
  onOutcome(node: SimNode, ref: number, outcome: Outcome): void;
  onRead(node: SimNode, ref: number, outcome: ReadOutcome): void;
  onOrder(node: SimNode, answer: Ready['orders'][number]): void;
}
