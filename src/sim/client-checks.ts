/**
 * What clients may rely on: every request ends once; an acknowledgement is sent after this node's
 * own catalog applied the entry and carries its result; a write takes effect between its start and
 * its answer; a linearizable read sees every write that was acknowledged before it began.
 */
import type { LogIndex, Ms } from '../base/brand.ts';
import type { Outcome, ReadOutcome } from '../consensus/api.ts';
import { decodeResult } from '../wire/command.ts';
import type { ProposeReply } from '../wire/consensus-message.ts';
import type { EventQueue } from './event-queue.ts';
import type { Fail, LogChecks } from './log-checks.ts';
import { keyOf } from './oracle.ts';
import type { SimNode } from './sim-node.ts';

export type Answered = Outcome | ReadOutcome | { readonly type: 'lost' };

export interface Request {
  readonly kind: 'propose' | 'read' | 'reconfigure' | 'transfer';
  readonly node: SimNode;
  /** When this attempt was given to the node. */
  readonly sentMs: Ms;
  /** Highest acknowledged index when the operation began, which may be many attempts ago. */
  readonly floor: LogIndex;
  /** Row that a read asks for. */
  readonly row: { readonly type: string; readonly key: string } | null;
  readonly done: (answer: Answered) => void;
}

export interface ClientChecks {
  /** Registers a request; its number is the `ref` of the event. */
  open(request: Request): number;
  /** A leader answers requests that were forwarded to it. */
  onReply(node: SimNode, reply: ProposeReply): void;
  onOutcome(node: SimNode, ref: number, outcome: Outcome): void;
  onRead(node: SimNode, ref: number, outcome: ReadOutcome): void;
  /** The process ended: its callers see their connections close. */
  onEnd(node: SimNode): void;
  proposals(): number;
  acknowledged(): number;
  reads(): number;
}

export interface ClientCheckDeps {
  readonly queue: EventQueue;
  readonly fail: Fail;
  readonly log: LogChecks;
}

/** Time that a request gets on its node's clock, and what true time may take at most. */
export const requestMs: Ms = 2000;
const outcomeMsMax: Ms = requestMs * 1.06 + 500;

export function createClientChecks(deps: ClientCheckDeps): ClientChecks {
  const { queue, fail, log } = deps;
  const requests = new Map<number, Request>();
  /** Entries that a leader answered for to a node that forwarded the request. */
  const vouched = new Set<LogIndex>();
  let refs = 0;
  let proposals = 0;
  let acknowledged = 0;
  let reads = 0;

  function take(node: SimNode, ref: number): Request | null {
    const request = requests.get(ref);
    if (request === undefined || request.node !== node) {
      fail('outcome-twice', `${node.id} ends request ${ref}, which it does not have`);
      return null;
    }
    requests.delete(ref);
    return request;
  }

  /** Clients react later, never inside the step that answered them. */
  function answer(request: Request, answered: Answered): void {
    queue.in(0.05, () => request.done(answered));
  }

  function checkOwnApply(node: SimNode, index: LogIndex): void {
    const applied = node.catalog.appliedIndex();
    if (applied < index)
      fail(
        'acknowledged-before-apply',
        `${node.id} answers entry ${index}, has applied ${applied}`,
      );
  }

  function checkApplied(request: Request, outcome: Extract<Outcome, { type: 'applied' }>): void {
    const { node, floor, kind } = request;
    const { index, result } = outcome;
    if (kind === 'transfer') return;
    if (kind === 'propose' && !vouched.has(index)) checkOwnApply(node, index);
    const truth = log.resultAt(index);
    if (truth === null || log.entryAt(index)?.term !== outcome.term)
      fail('acknowledged-unknown', `${node.id} answers ${index} of term ${outcome.term}`);
    else if (Buffer.compare(truth, result) !== 0)
      fail('answer', `${node.id} answers entry ${index} otherwise than its catalog did`);
    if (kind === 'propose' && decodeResult(result).index <= floor)
      fail('real-time', `a write that began after ${floor} took effect at or before it`);
    log.onAcknowledged(index, node.term());
    acknowledged += 1;
  }

  return {
    open: (request) => {
      refs += 1;
      const ref = refs;
      requests.set(ref, request);
      if (request.kind === 'propose') proposals += 1;
      const { node } = request;
      queue.in(outcomeMsMax, () => {
        const waiting = requests.get(ref) === request && node.state() === 'running';
        if (waiting && node.awakeSinceMs() <= request.sentMs)
          fail('no-outcome', `${node.id} left request ${ref} (${request.kind}) without an end`);
      });
      return ref;
    },
    onReply: (node, reply) => {
      for (const { status, index, term, result } of reply.answers) {
        // An empty answer is to a change or a transfer.
        if (status !== 'applied' || result.length === 0) continue;
        checkOwnApply(node, index);
        if (log.entryAt(index)?.term !== term)
          fail('acknowledged-unknown', `${node.id} answers ${index} of term ${term}`);
        vouched.add(index);
      }
    },
    onOutcome: (node, ref, outcome) => {
      const request = take(node, ref);
      if (request === null) return;
      if (outcome.type === 'applied') checkApplied(request, outcome);
      answer(request, outcome);
    },
    onRead: (node, ref, outcome) => {
      const request = take(node, ref);
      if (request === null) return;
      if (outcome.type === 'ready') {
        reads += 1;
        const applied = node.catalog.appliedIndex();
        if (applied < request.floor || applied < outcome.index)
          fail('stale-read', `${node.id} reads at ${applied}, ${request.floor} was acknowledged`);
        if (request.row !== null) {
          const { type, key } = request.row;
          const found = node.catalog.versionOf(type, key);
          const truth = log.oracle.versionAt(keyOf(type, key), applied);
          if (found !== truth) fail('read-value', `${key} at ${applied}: ${found}, not ${truth}`);
        }
      }
      answer(request, outcome);
    },
    onEnd: (node) => {
      for (const [ref, request] of requests) {
        if (request.node !== node) continue;
        requests.delete(ref);
        answer(request, { type: 'lost' });
      }
    },
    proposals: () => proposals,
    acknowledged: () => acknowledged,
    reads: () => reads,
  };
}
