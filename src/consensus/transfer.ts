/**
 * Handing the lead over. The leader takes no new proposals for at most 500 ms until the target's
 * durable log equals its own; then it drops its lease for the rest of the term and tells the target
 * to campaign at once. If that fails it steps down: the lease never comes back in that term.
 */

import type { Ms, PeerId } from '../base/brand.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { Refusal } from './api.ts';
import { type Core, header, rankOfPeer, releaseOf, send } from './core.ts';
import { resignationPauseMs } from './duty.ts';
import { startVote } from './election.ts';
import { onLeaderKnown, settleOrigin } from './forward.ts';
import type { Handover, Lead, Origin } from './lead.ts';
import { stepDown } from './leading.ts';
import { votersOf } from './quorum.ts';
import { transferMsMax } from './timing.ts';

type Refused = { code: Refusal; detail: string };

const textOf = (data: Uint8Array): string => Buffer.from(data).toString('utf8');

/** A transfer travels as the UTF-8 id of its target; empty: the best candidate. */
export function encodeTransfer(to: PeerId | null): Uint8Array {
  return Buffer.from(to ?? '', 'utf8');
}

/** Why `peer` can't take the lead, or null. */
function unfit(core: Core, lead: Lead, peer: PeerId): string | null {
  if (peer === core.id) return 'it leads already';
  if (!core.log.configuration.voters.includes(peer)) return 'it is not a voter';
  const progress = lead.progress.get(peer);
  if (!progress || progress.cannotLead === 'unheard') return 'it was not heard yet';
  if (progress.cannotLead !== null) return progress.cannotLead;
  if (core.now.monoMs - progress.lastAckMs > core.options.timing.leaseMs) return 'it is silent';
  if (core.links.get(peer)?.open === false) return 'its link is closed';
  return null;
}

/** The best voter that can take the lead: rank first, then how much of the log it holds. */
export function bestTarget(core: Core, lead: Lead): PeerId | null {
  const rankOf = (peer: PeerId): number => rankOfPeer(core, peer);
  const matchOf = (peer: PeerId): number => lead.progress.get(peer)?.match ?? 0;
  const fit = votersOf(core.log.configuration).filter((peer) => !unfit(core, lead, peer));
  fit.sort((a, b) => rankOf(b) - rankOf(a) || matchOf(b) - matchOf(a) || (a < b ? -1 : 1));
  return fit[0] ?? null;
}

export function askTransfer(
  core: Core,
  lead: Lead,
  origin: Origin,
  data: Uint8Array,
): Refused | null {
  const asked = textOf(data);
  if (lead.handover || lead.leaseDropped)
    return { code: 'conflict', detail: 'a hand-over is under way' };
  if (!lead.committedOwn) return { code: 'conflict', detail: 'the leader has just been elected' };
  const to = asked === '' ? bestTarget(core, lead) : asked;
  if (!to) return { code: 'conflict', detail: 'no other voter can take the lead' };
  const why = unfit(core, lead, to);
  if (why) return { code: 'conflict', detail: `${to} can't take the lead: ${why}` };
  startHandover(core, lead, to, 'asked', [origin]);
  return null;
}

export function startHandover(
  core: Core,
  lead: Lead,
  to: PeerId,
  reason: Handover['reason'],
  waiting: Origin[],
): void {
  lead.handover = { to, startedMs: core.now.monoMs, reason, sentMs: null, waiting };
  driveHandover(core, lead);
}

export function driveHandover(core: Core, lead: Lead): void {
  const { handover } = lead;
  if (!handover) return;
  const nowMs = core.now.monoMs;
  if (handover.sentMs !== null) {
    if (nowMs < handover.sentMs + core.options.timing.electionMsMin) return;
    core.election.pausedUntilMs = nowMs + core.options.timing.electionMsMax;
    stepDown(core, 'transfer-failed');
    return;
  }
  const { paused } = core.local;
  if (handover.reason === 'takeover' && (paused || !isSteady(core, lead, handover.to))) {
    cancel(core, lead, handover, paused ? 'paused' : 'not-steady');
    return;
  }
  const { configuration, index } = core.log.configured;
  const settled = configuration.outgoing === null && index <= core.commit;
  const match = lead.progress.get(handover.to)?.match ?? 0;
  if (settled && match === core.log.lastIndex && core.log.durable === match) {
    // The order matters: no instant with both the lease and the request out.
    lead.leaseDropped = true;
    handover.sentMs = nowMs;
    if (handover.reason === 'resign')
      core.election.pausedUntilMs = nowMs + resignationPauseMs(core);
    send(core, handover.to, { type: 'timeout-now', ...header(core) });
    return;
  }
  if (nowMs < handover.startedMs + transferMsMax) return;
  cancel(core, lead, handover, 'not-caught-up');
}

/** The right to a take-over is asked for again at every step until the request leaves. */
function isSteady(core: Core, lead: Lead, peer: PeerId): boolean {
  const since = lead.progress.get(peer)?.steadySinceMs ?? null;
  return since !== null && core.now.monoMs - since >= core.options.timing.holdMs;
}

/** The lead stays here, lease intact; what waited is taken again. */
function cancel(core: Core, lead: Lead, handover: Handover, result: string): void {
  lead.handover = null;
  const detail = `${handover.to} did not catch up within ${transferMsMax} ms`;
  for (const origin of handover.waiting)
    settleOrigin(core, origin, { type: 'refused', code: 'conflict', detail });
  if (handover.reason === 'takeover') reportTakeover(core, handover.to, result);
  onLeaderKnown(core);
}

export function reportTakeover(core: Core, to: PeerId, result: string): void {
  core.out.facts.push({ type: 'takeover', from: core.id, to, result });
}

/** When the hand-over needs attention by time alone. */
export function handoverWakeMs(core: Core, lead: Lead): Ms {
  const { handover } = lead;
  if (!handover) return Number.POSITIVE_INFINITY;
  return handover.sentMs === null
    ? handover.startedMs + transferMsMax
    : handover.sentMs + core.options.timing.electionMsMin;
}

/** The leader asks this node to take over now. */
export function onTimeoutNow(core: Core, from: PeerId, message: Message): void {
  if (message.term !== core.hard.term || core.leader !== from) return;
  startVote(core, releaseOf(from, message.term));
}

/** fsync or apply stands still: resign, unless no other voter reports itself better. */
export function resignStalled(core: Core, lead: Lead): void {
  if (lead.handover || lead.leaseDropped) return;
  const better = votersOf(core.log.configuration).filter(
    (peer) => !unfit(core, lead, peer) && lead.progress.get(peer)?.stalled === false,
  );
  if (better.length === 0) return;
  core.election.pausedUntilMs = core.now.monoMs + 4 * core.options.timing.electionMsMax;
  const to = better.find((peer) => lead.progress.get(peer)?.match === core.log.lastIndex);
  core.out.facts.push({
    type: 'resigned',
    term: core.hard.term,
    to: to ?? null,
    reason: 'stalled',
  });
  lead.leaseDropped = true;
  if (to) send(core, to, { type: 'timeout-now', ...header(core) });
  stepDown(core, 'stalled');
}

/** The lead ended while a hand-over was under way: who waits learns how it ended. */
export interface EndedHandover {
  readonly to: PeerId;
  readonly reason: Handover['reason'];
  readonly waiting: readonly Origin[];
}

export function settleHandover(core: Core, ended: EndedHandover, leader: PeerId): void {
  const done = leader === ended.to;
  if (ended.reason === 'takeover') reportTakeover(core, ended.to, done ? 'done' : 'another-leader');
  for (const origin of ended.waiting) {
    if (done) {
      const { term } = core.hard;
      const result = new Uint8Array();
      settleOrigin(core, origin, { type: 'applied', index: core.commit, term, result });
    } else {
      const detail = `${leader} leads instead of ${ended.to}`;
      settleOrigin(core, origin, { type: 'refused', code: 'conflict', detail });
    }
  }
}
