/**
 * Nothing that another node relies on leaves before it is durable: a vote, an acknowledged entry,
 * the length of an acknowledged lease. And what is executed of orders never goes back: not below
 * the highest fence that this machine ever saw, whatever was lost in a crash.
 */
import type { PeerId, Term } from '../base/brand.ts';
import type { HardState, PersistJob } from '../consensus/api.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { Fail } from './log-checks.ts';
import type { SimNode } from './sim-node.ts';

export interface DurabilityChecks {
  onDurable(node: SimNode, job: PersistJob): void;
  onStart(node: SimNode): void;
  onSend(node: SimNode, to: PeerId, message: Message): void;
  onExecuted(node: SimNode, term: Term): void;
}

export function createDurabilityChecks(fail: Fail): DurabilityChecks {
  /** Votes that were durable at some time, per node and term. */
  const votes = new Map<PeerId, Map<Term, PeerId>>();
  const fences = new Map<PeerId, Term>();
  /** Lease length that a heartbeat carried, by leader, term and round. */
  const leases = new Map<string, number>();

  function noteVote(node: SimNode, hardState: HardState): void {
    const { term, vote } = hardState;
    let own = votes.get(node.id);
    if (own === undefined) {
      own = new Map();
      votes.set(node.id, own);
    }
    const before = own.get(term);
    if (vote === null) {
      if (before !== undefined)
        fail('vote-forgotten', `${node.id} forgot its vote of term ${term}`);
      return;
    }
    if (before !== undefined && before !== vote)
      fail('two-votes', `${node.id} voted for ${before} and for ${vote} in term ${term}`);
    own.set(term, vote);
  }

  function onSend(node: SimNode, to: PeerId, message: Message): void {
    const durable = node.disk.durable();
    switch (message.type) {
      case 'vote-reply':
        if (message.granted && votes.get(node.id)?.get(message.asked) !== to)
          fail('vote-not-durable', `${node.id} grants ${to} term ${message.asked}`);
        return;
      case 'append-reply':
        if (message.ok && message.match > node.disk.durableLastIndex())
          fail('append-not-durable', `${node.id} acknowledges ${message.match}`);
        return;
      case 'heartbeat':
        leases.set(`${node.id}:${message.term}:${message.round}`, message.leaseMs);
        return;
      case 'heartbeat-reply': {
        const lease = leases.get(`${to}:${message.term}:${message.round}`) ?? 0;
        if (durable.hardState.leaseMsLongest < lease)
          fail('lease-not-durable', `${node.id} promises ${lease} ms to ${to}`);
        if (message.match > node.disk.durableLastIndex())
          fail('append-not-durable', `${node.id} acknowledges ${message.match} in a heartbeat`);
        return;
      }
      default:
        return;
    }
  }

  return {
    onDurable: (node, job) => {
      if (job.hardState !== null) noteVote(node, job.hardState);
    },
    onStart: (node) => noteVote(node, node.disk.durable().hardState),
    onSend,
    onExecuted: (node, term) => {
      const fence = fences.get(node.id) ?? 0;
      if (term < fence) fail('old-fence', `${node.id} executes term ${term} after ${fence}`);
      if (node.disk.durable().hardState.fence < term)
        fail('fence-not-durable', `${node.id} executes an order of term ${term}`);
      fences.set(node.id, Math.max(fence, term));
    },
  };
}
