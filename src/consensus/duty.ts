/**
 * A leader that should not lead hands over: it is being drained, or it can't do a leader's duty
 * (its disk is full, its content engine is gone, its event loop stalls, it is unhealthy). It does
 * so only towards a voter that says of itself that it is fit; where everybody is as bad it stays
 * and says that it is degraded. The same reasons make a candidate wait: it asks for votes only
 * when nobody better was elected meanwhile, so they never leave a cluster without a leader.
 *
 * No ping-pong: trouble must last, a lead lasts at least the hold time before it is resigned, and
 * whoever resigned does not lead for a while.
 */
import type { Ms } from '../base/brand.ts';
import { type Core, reluctance, stalledMs } from './core.ts';
import type { Lead } from './lead.ts';
import { bestTarget, startHandover } from './transfer.ts';

/** Election timeouts without a leader after which a reluctant node asks for votes, too. */
const lastResortTimeouts = 2;

/** How long whoever resigned does not lead, unless its hand-over fails. */
export function resignationPauseMs(core: Core): Ms {
  const { holdMs, electionMsMax } = core.options.timing;
  return Math.max(holdMs, 4 * electionMsMax);
}

/** A reluctant candidate lets others go first. */
export function waitsForBetter(core: Core): boolean {
  const { lostAtMs } = core.election;
  const patientMs = lastResortTimeouts * core.options.timing.electionMsMax;
  return reluctance(core) !== null && core.now.monoMs - lostAtMs < patientMs;
}

/** Why this leader leads although it should not and had the time to hand over; or null. */
export function degradation(core: Core): string | null {
  const { lead } = core;
  if (!lead || lead.leaseDropped) return null;
  const lastsMs = 2 * core.options.timing.electionMsMax;
  if (stalledMs(core) >= lastsMs) return 'stalled';
  if (lead.reluctantSinceMs === null || core.now.monoMs - lead.reluctantSinceMs < lastsMs)
    return null;
  return reluctance(core);
}

export function noteDegraded(core: Core): void {
  const why = degradation(core);
  if (why === core.degraded) return;
  core.degraded = why;
  core.out.facts.push({ type: 'degraded', term: core.hard.term, reason: why });
}

/** Asked at every tick of a leader that is otherwise well. */
export function driveDuty(core: Core, lead: Lead): void {
  const why = reluctance(core);
  if (why === null) {
    lead.reluctantSinceMs = null;
    return;
  }
  const nowMs = core.now.monoMs;
  lead.reluctantSinceMs ??= nowMs;
  if (lead.handover || lead.leaseDropped || !lead.committedOwn) return;
  const { electionMsMax, holdMs } = core.options.timing;
  if (why !== 'draining') {
    if (nowMs - lead.reluctantSinceMs < electionMsMax) return;
    if (nowMs - lead.sinceMs < holdMs) return;
  }
  const to = bestTarget(core, lead);
  if (to === null) return;
  core.out.facts.push({ type: 'resigned', term: core.hard.term, to, reason: why });
  startHandover(core, lead, to, why === 'draining' ? 'drain' : 'resign', []);
}
