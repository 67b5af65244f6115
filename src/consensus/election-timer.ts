/**
 * When a node tries to be elected: at its election timeout, at once when its link to the leader is
 * gone (in the order of rank), and again as soon as a refusal allows it.
 */
import type { Ms } from '../base/brand.ts';
import { vetoWakeMs } from './ballot.ts';
import { patienceOf } from './ballot-report.ts';
import { type Core, cannotLead, pauseMs, placeOf, reluctance, resetElectionTimer } from './core.ts';
import { waitsForBetter } from './duty.ts';
import { judge, setState, startPreVote } from './election.ts';
import { onLeaderLost } from './forward.ts';
import { goneAtMs } from './links.ts';
import { isVoter } from './quorum.ts';

const never = Number.POSITIVE_INFINITY;

/** The instant at which the closed link to the leader makes this node try, by its place. */
export function fastPathAtMs(core: Core): Ms {
  if (!core.leader || core.leader !== core.election.heard || cannotLead(core)) return never;
  if (reluctance(core)) return never;
  // It was tried, and this node's own promise to somebody else was in the way.
  if (core.election.retryAtMs < never) return never;
  const gone = goneAtMs(core.links, core.leader, core.rttMs);
  if (gone === null) return never;
  return gone + placeOf(core, core.leader) * pauseMs(core);
}

export function electionWakeMs(core: Core): Ms {
  if (core.lead) return never;
  const { deadlineMs, retryAtMs, campaign } = core.election;
  const veto = campaign ? vetoWakeMs(campaign, patienceOf(core)) : never;
  return Math.min(deadlineMs, retryAtMs, veto, fastPathAtMs(core));
}

export function tickElection(core: Core): void {
  if (core.lead) return;
  const nowMs = core.now.monoMs;
  const { deadlineMs, retryAtMs, campaign } = core.election;
  if (fastPathAtMs(core) <= nowMs) {
    startPreVote(core, 'leader-link-gone');
    return;
  }
  if (nowMs >= deadlineMs) {
    const wasLeader = core.leader;
    resetElectionTimer(core);
    if (wasLeader) loseLeader(core, 'election-timeout');
    if (waitsForBetter(core)) return;
    startPreVote(core, 'election-timeout');
    return;
  }
  if (nowMs >= retryAtMs) {
    startPreVote(core, 'retry');
    return;
  }
  if (campaign && campaign.vetoes.size > 0) judge(core);
}

function loseLeader(core: Core, reason: string): void {
  onLeaderLost(core);
  const state = isVoter(core.log.configuration, core.id) ? 'follower' : 'learner';
  setState(core, state, null, reason);
}
