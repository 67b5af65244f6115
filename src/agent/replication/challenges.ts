/**
 * The leader's proof that copies are there: a holder must hash a nonce with a block that the leader
 * picks at random, and the answer must equal that of another copy (the leader's own if it has one).
 * Where the two differ, or where there is no other copy, the holder re-reads and hashes every
 * block.
 * A copy counts as verified in this leader's term only.
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { CidText, PeerId, Term } from '../../base/brand.ts';
import { type AgentError, asAgentError } from '../../base/error.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { Observed } from './observed.ts';
import type { Challenge, Orders } from './orders.ts';

const parallelMax = 4;
const queueMax = 10_000;
const proofTimeoutMs = 10_000;
/** Hashing a whole copy again takes as long as its disk needs. */
const verifyTimeoutMs = 600_000;

export interface ChallengesDeps {
  readonly self: PeerId;
  readonly observed: Observed;
  readonly orders: Orders;
  readonly metrics: AgentMetrics;
  readonly nowMs: () => number;
  /** The term in which this node acts, or null. */
  readonly actingTerm: () => Term | null;
  readonly onVerified: (cid: CidText, peer: PeerId) => void;
  readonly onFailed: (cid: CidText, peer: PeerId, detail: string) => void;
}

export interface Challenges {
  /**
   * Queues the copy unless it is queued; beyond the maximum the next round of the plan asks
   * again.
   */
  ask(cid: CidText, peer: PeerId): void;
  clear(): void;
  idle(): Promise<void>;
}

export function createChallenges(deps: ChallengesDeps): Challenges {
  const { observed, orders } = deps;
  const queue = new Map<string, { cid: CidText; peer: PeerId }>();
  const running = new Map<string, Promise<void>>();

  const prove = async (peer: PeerId, challenge: Challenge): Promise<string | null> =>
    (await orders.give(peer, { type: 'challenge', ...challenge }, proofTimeoutMs)).proof;

  /** Another pinned copy to compare with: the leader's own before anybody else's. */
  function reference(cid: CidText, peer: PeerId): PeerId | null {
    const others = observed
      .copiesOf(cid)
      .filter((held) => held.peer !== peer && held.copy.status.state === 'pinned')
      .map((held) => held.peer);
    if (others.includes(deps.self)) return deps.self;
    const verified = others.find((other) => observed.copy(cid, other)?.verifiedTerm !== null);
    return verified ?? others[0] ?? null;
  }

  async function reread(cid: CidText, peer: PeerId): Promise<void> {
    await orders.give(peer, { type: 'verify', cid }, verifyTimeoutMs);
  }

  function passed(cid: CidText, peer: PeerId, term: Term): void {
    const copy = observed.copy(cid, peer);
    if (copy === null || copy.status.state !== 'pinned' || deps.actingTerm() !== term) return;
    copy.verifiedTerm = term;
    copy.verifiedMs = deps.nowMs();
    deps.metrics.count('challenges_passed');
    deps.onVerified(cid, peer);
  }

  async function check(cid: CidText, peer: PeerId): Promise<void> {
    const term = deps.actingTerm();
    const copy = observed.copy(cid, peer);
    if (term === null || copy?.status.state !== 'pinned') return;
    const other = reference(cid, peer);
    if (other === null) {
      await reread(cid, peer);
      passed(cid, peer, term);
      return;
    }
    const challenge: Challenge = {
      cid,
      blockIndex: randomInt(Math.max(1, copy.status.blocks)),
      nonce: randomBytes(16).toString('hex'),
    };
    const [own, its] = await Promise.all([
      prove(peer, challenge),
      prove(other, challenge).catch((thrown: unknown) => asAgentError(thrown)),
    ]);
    if (typeof its !== 'string' || own !== its) await reread(cid, peer);
    passed(cid, peer, term);
  }

  function pump(): void {
    for (const [key, { cid, peer }] of queue) {
      if (running.size >= parallelMax) return;
      queue.delete(key);
      const work = check(cid, peer)
        .catch((thrown: unknown) => failed(cid, peer, asAgentError(thrown)))
        .finally(() => {
          running.delete(key);
          pump();
        });
      running.set(key, work);
    }
  }

  function failed(cid: CidText, peer: PeerId, error: AgentError): void {
    const copy = observed.copy(cid, peer);
    if (copy !== null) copy.verifiedTerm = null;
    // Losing the lead or a link says nothing about the copy; the next round asks again.
    if (error.code === 'not-leader' || error.code === 'timeout' || error.code === 'stopped') return;
    deps.metrics.count('challenges_failed');
    deps.onFailed(cid, peer, `${error.code}: ${error.message}`);
  }

  return {
    ask: (cid, peer) => {
      const key = `${cid} ${peer}`;
      if (running.has(key) || queue.size >= queueMax) return;
      queue.set(key, { cid, peer });
      pump();
    },
    clear: () => queue.clear(),
    idle: async () => {
      await Promise.all(running.values());
    },
  };
}
