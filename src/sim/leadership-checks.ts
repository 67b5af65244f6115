/**
 * Who leads, and who may act. Whatever speaks as a leader of a term is its leader: there is one.
 * At no instant of true time do two nodes hold the right to act, whatever their terms and clocks.
 * Rights are rights: no vote without `votes`, no lead without `leads`. And nobody gets the lead
 * for its rank before it was steady for the hold time and the cool-down was over.
 */
import type { Ms, PeerId, Term } from '../base/brand.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { EventQueue } from './event-queue.ts';
import type { Fail } from './log-checks.ts';
import { clockRateErrorMax } from './node-clock.ts';
import type { SimNode } from './sim-node.ts';

export interface LeadershipChecks {
  onSend(node: SimNode, to: PeerId, message: Message): void;
  /** After every step of a node, and in between while two believe that they lead. */
  afterStep(node: SimNode): void;
  checkActing(): void;
  onLeader(node: SimNode, term: Term): void;
  /** Somebody asked for a hand-over, or the leader has a reason of its own to leave. */
  excuseHandOver(untilMs: Ms): void;
  leaderTerms(): number;
  handOvers(): number;
}

export interface LeadershipDeps {
  readonly queue: EventQueue;
  readonly fail: Fail;
  readonly nodes: () => readonly SimNode[];
  /** Reasons of the leader itself: draining, a bad disk. */
  readonly mustLeave: (node: SimNode) => boolean;
}

const leaderSpeech = new Set<Message['type']>(['heartbeat', 'append', 'timeout-now']);
const candidateSpeech = new Set<Message['type']>(['pre-vote', 'vote']);
const probeMs = 1;
/** The longest way of a message, a slow sender's too. */
const unheardMs: Ms = 1000;
/** Terms from here on come only from frames of another epoch, which must not be heard. */
export const foreignTerm: Term = 100_000;

export function createLeadershipChecks(deps: LeadershipDeps): LeadershipChecks {
  const { queue, fail, nodes } = deps;
  const leaders = new Map<Term, PeerId>();
  let excusedUntilMs: Ms = -1;
  let lastHandOverMs: Ms = Number.NEGATIVE_INFINITY;
  /** A hand-over that was begun; it counts when the heir leads the next term. */
  let pending: { readonly to: PeerId; readonly term: Term } | null = null;
  let handOvers = 0;
  let probing = false;

  function claim(node: SimNode, term: Term): void {
    if (term >= foreignTerm) fail('foreign-epoch', `${node.id} took term ${term} from outside`);
    const known = leaders.get(term);
    if (known === undefined) leaders.set(term, node.id);
    else if (known !== node.id) fail('two-leaders', `${known} and ${node.id} lead term ${term}`);
    if (!node.certificate.leads || !node.certificate.votes)
      fail('no-right-to-lead', `${node.id} (${node.certificate.role}) leads term ${term}`);
  }

  /** With fewer than two that believe to lead, nobody but them may act, nobody collides. */
  function afterStep(node: SimNode): void {
    if (!node.leads() && node.core()?.mayAct(node.now()) != null)
      fail('acts-without-lead', `${node.id} may act and does not say that it leads`);
    if (believers() >= 2) checkActing();
  }

  function believers(): number {
    let count = 0;
    for (const node of nodes()) if (node.leads()) count += 1;
    return count;
  }

  function checkActing(): void {
    let holder: SimNode | null = null;
    let claims = 0;
    for (const node of nodes()) {
      const core = node.core();
      if (core === null) continue;
      const right = core.mayAct(node.now());
      if (right === null) continue;
      claims += 1;
      if (holder !== null)
        fail('two-acting', `${holder.id} and ${node.id} (term ${right.term}) may both act`);
      holder = node;
    }
    if (claims > 0 && !probing) probeLater();
  }

  /** The right to act begins and ends with time alone, so somebody must look between events. */
  function probeLater(): void {
    if (believers() < 2) return;
    probing = true;
    queue.in(probeMs, () => {
      probing = false;
      checkActing();
    });
  }

  function checkHandOver(from: SimNode, to: PeerId): void {
    const heir = nodes().find((node) => node.id === to);
    if (heir === undefined || heir.certificate.rank <= from.certificate.rank) return;
    const nowMs = queue.nowMs();
    if (nowMs <= excusedUntilMs || deps.mustLeave(from)) return;
    if (from.standing().paused) fail('paused-lead', `${from.id} hands over to ${to} while paused`);
    const { holdMs, takeoverCooldownMs } = from.timing;
    const shortest = 1 - clockRateErrorMax * 1.1;
    const lifeMs = nowMs - heir.startedMs();
    // Of a restart just now the leader can't have heard: it goes by the life before.
    const steadyMs = lifeMs < unheardMs ? Math.max(lifeMs, heir.lastLifeMs()) : lifeMs;
    if (steadyMs < holdMs * shortest)
      fail('hold', `${from.id} hands over to ${to}, which runs for less than the hold time`);
    if (nowMs - lastHandOverMs < takeoverCooldownMs * shortest)
      fail(
        'cool-down',
        `${from.id} hands over to ${to} ${nowMs - lastHandOverMs} ms after the last`,
      );
    pending = { to, term: from.term() + 1 };
  }

  return {
    onSend: (node, to, message) => {
      if (leaderSpeech.has(message.type)) claim(node, message.term);
      if (candidateSpeech.has(message.type) && !node.certificate.leads)
        fail('no-right-to-lead', `${node.id} asks for votes`);
      const grants =
        (message.type === 'vote-reply' || message.type === 'pre-vote-reply') && message.granted;
      if (grants && !node.certificate.votes)
        fail('no-right-to-vote', `${node.id} (${node.certificate.role}) grants ${message.type}`);
      if (message.type === 'timeout-now') checkHandOver(node, to);
    },
    afterStep,
    checkActing,
    onLeader: (node, term) => {
      claim(node, term);
      if (pending?.to !== node.id || pending.term !== term) return;
      pending = null;
      handOvers += 1;
      lastHandOverMs = queue.nowMs();
    },
    excuseHandOver: (untilMs) => {
      excusedUntilMs = Math.max(excusedUntilMs, untilMs);
    },
    leaderTerms: () => leaders.size,
    handOvers: () => handOvers,
  };
}
