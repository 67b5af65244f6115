/**
 * The leader's lease and the right to act. The lease counts from before the heartbeat that a
 * majority (of each half) acknowledged was sent, on the leader's own clock, shortened by the
 * clock-rate bound; a machine that was suspended since has none. A leader acts only while its lease
 * is valid, every promise to an earlier leader has run out, and it has applied all of its past.
 */
import type { Ms } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import type { Core } from './core.ts';
import type { Lead } from './lead.ts';
import { reached } from './quorum.ts';
import { leaseLengthMs, skippedMsMax } from './timing.ts';

/** The newest heartbeat round that a majority has acknowledged. */
export function quorumRound(core: Core, lead: Lead): number {
  return reached(core.log.configuration, (peer) =>
    peer === core.id ? lead.round : (lead.progress.get(peer)?.ackedRound ?? 0),
  );
}

/** When the lease ends on this clock; -Infinity without one. */
export function leaseUntilMs(core: Core, now: Now): Ms {
  const { lead } = core;
  if (!lead || lead.leaseDropped) return Number.NEGATIVE_INFINITY;
  const round = quorumRound(core, lead);
  // Alone, the leader is its own majority: the lease is as fresh as the question.
  const sent = round === lead.round && isAlone(core) ? now : lead.rounds.sentAt(round);
  // Wall time set back may hide a suspension: a change in either direction voids the lease.
  const skippedMs = sent ? Math.abs(now.skippedMs - sent.skippedMs) : 0;
  if (!sent || skippedMs > skippedMsMax) return Number.NEGATIVE_INFINITY;
  return sent.monoMs + leaseLengthMs(core.options.timing.leaseMs);
}

function isAlone(core: Core): boolean {
  const { voters, outgoing } = core.log.configuration;
  return voters.length === 1 && voters[0] === core.id && !outgoing;
}

export function leaseValid(core: Core, now: Now): boolean {
  return now.monoMs < leaseUntilMs(core, now);
}

/** Why this node may not act, or null. */
export function whyNotActing(core: Core, now: Now): string | null {
  const { lead } = core;
  if (!lead) return 'not-leader';
  if (core.broken) return core.broken;
  if (lead.leaseDropped) return 'lease-dropped';
  if (!leaseValid(core, now)) return 'no-lease';
  if (now.monoMs < lead.actAfterMs) return 'older-promise-runs';
  if (!lead.committedOwn || core.applied < lead.termStart) return 'not-caught-up';
  return null;
}
