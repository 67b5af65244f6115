/**
 * Becoming a candidate: when to try, whom to ask, what the answers mean, when to try again. A
 * pre-vote raises no term; the real vote is sent only after this node's own vote is durable.
 *
 * A refusal tells what to do next: a running promise or a vote that went elsewhere is asked again
 * soon, a log that is behind is completed from the refuser, everything else waits for the timeout.
 */
import type { Ms, PeerId, Term } from '../base/brand.ts';
import type { PreVoteReply, Release, VoteReply } from '../wire/consensus-message.ts';
import type { NodeState } from './api.ts';
import { type Campaign, count, isHopeless, noteReply } from './ballot.ts';
import { patienceOf, reportBallot } from './ballot-report.ts';
import {
  type Core,
  cannotLead,
  header,
  pauseMs,
  placeOf,
  rankOfPeer,
  resetElectionTimer,
  saveHardState,
  send,
  votePauseMs,
} from './core.ts';
import { onLeaderLost } from './forward.ts';
import { endLead } from './lead-end.ts';
import { becomeLeader } from './leading.ts';
import { isGone } from './links.ts';
import { isVoter, votersOf } from './quorum.ts';
import { askSuffix } from './suffix.ts';
import { onConsentedPreVoteWon } from './takeover.ts';
import { promiseLengthMs } from './timing.ts';

const never = Number.POSITIVE_INFINITY;

export function setState(
  core: Core,
  state: NodeState,
  leader: PeerId | null,
  reason: string,
): void {
  if (core.state === state && core.leader === leader) return;
  if (core.leader && !leader) {
    core.election.lostAtMs = core.now.monoMs;
    if (core.leader !== core.id) core.election.lostLeader = core.leader;
  }
  if (leader) {
    core.election.lostLeader = null;
    core.election.attempts = 0;
  }
  core.state = state;
  core.leader = leader;
  core.out.facts.push({ type: 'state-changed', state, term: core.hard.term, leader, reason });
}

/** Follows `leader` (or nobody yet) in `term`; a higher term is made durable. */
export function becomeFollower(
  core: Core,
  term: Term,
  leader: PeerId | null,
  reason: string,
): void {
  const newTerm = term > core.hard.term;
  if (core.lead) endLead(core);
  if (newTerm) saveHardState(core, { term, vote: null });
  if (newTerm || leader !== core.leader) {
    endCampaign(core, false);
    // Whatever is committed is in the log of every later leader.
    core.matched = core.commit;
    core.election.suffix = null;
    core.learning.direct = null;
  }
  const state = isVoter(core.log.configuration, core.id) ? 'follower' : 'learner';
  setState(core, state, leader, reason);
  resetElectionTimer(core);
}

export function endCampaign(core: Core, won: boolean): void {
  const { campaign } = core.election;
  if (!campaign) return;
  core.election.campaign = null;
  reportBallot(core, campaign, won);
}

/** This node's own answer counts like everybody's: its promises bind it, too. */
function isBoundItself(core: Core, release: Release | null): boolean {
  return core.promises
    .running(core.id, release, core.now.monoMs)
    .some((item) => !item.leader || !isGone(core.links, item.leader, core.rttMs, core.now.monoMs));
}

function newCampaign(
  core: Core,
  kind: Campaign['kind'],
  release: Release | null,
  selfJob: number,
): Campaign {
  core.election.round += 1;
  const nowMs = core.now.monoMs;
  const campaign: Campaign = {
    kind,
    term: kind === 'vote' ? core.hard.term : core.hard.term + 1,
    round: core.election.round,
    startedMs: nowMs,
    lastTerm: core.log.lastTerm,
    lastIndex: core.log.lastIndex,
    release,
    answers: new Map(),
    vetoes: new Map(),
    selfJob,
    promiseUntilMs: nowMs + core.promises.remainingMs(core.id, release, nowMs),
    ended: false,
  };
  core.election.campaign = campaign;
  return campaign;
}

function grantSelf(core: Core, campaign: Campaign): void {
  const { lastTerm, lastIndex } = campaign;
  const rank = rankOfPeer(core, core.id);
  campaign.answers.set(core.id, {
    from: core.id,
    granted: true,
    code: 'granted',
    rank,
    lastTerm,
    lastIndex,
    cannotLead: null,
  });
}

/** Asks whether it could win; `consent` keeps this node a follower of the leader that gave it. */
export function startPreVote(core: Core, reason: string, consent: Release | null = null): void {
  core.election.retryAtMs = never;
  if (cannotLead(core) || core.lead) return;
  if (isBoundItself(core, consent)) {
    core.election.retryAtMs = core.now.monoMs + 2 * pauseMs(core);
    return;
  }
  if (!consent) {
    if (core.leader) onLeaderLost(core);
    setState(core, 'candidate', null, reason);
  }
  endCampaign(core, false);
  const campaign = newCampaign(core, 'pre-vote', consent, core.out.durableJob);
  grantSelf(core, campaign);
  core.election.preVoteSentMs = core.now.monoMs;
  for (const to of votersOf(core.log.configuration)) {
    if (to === core.id) continue;
    send(core, to, {
      type: 'pre-vote',
      ...header(core),
      term: campaign.term,
      round: campaign.round,
      lastTerm: campaign.lastTerm,
      lastIndex: campaign.lastIndex,
      rank: rankOfPeer(core, core.id),
      consent,
    });
  }
  judge(core);
}

/** The real vote, in a new term; `transfer` when the leader asked for it. */
export function startVote(core: Core, transfer: Release | null): void {
  if (cannotLead(core) || core.lead) return;
  if (isBoundItself(core, transfer)) {
    core.election.retryAtMs = core.now.monoMs + 2 * pauseMs(core);
    return;
  }
  if (core.leader) onLeaderLost(core);
  core.election.attempts += 1;
  endCampaign(core, core.election.campaign?.kind === 'pre-vote' && !transfer);
  const job = saveHardState(core, { term: core.hard.term + 1, vote: core.id });
  core.matched = core.commit;
  core.election.suffix = null;
  setState(core, 'candidate', null, transfer ? 'transfer' : 'pre-vote-won');
  resetElectionTimer(core);
  const campaign = newCampaign(core, 'vote', transfer, job);
  for (const to of votersOf(core.log.configuration)) {
    if (to === core.id) continue;
    core.out.sendAfter(job, to, {
      type: 'vote',
      ...header(core),
      lastTerm: campaign.lastTerm,
      lastIndex: campaign.lastIndex,
      rank: rankOfPeer(core, core.id),
      transfer,
    });
  }
}

/** Called after every completed persist job: the own vote counts once it is durable. */
export function onOwnVoteDurable(core: Core): void {
  const { campaign } = core.election;
  if (campaign?.kind !== 'vote' || campaign.answers.has(core.id)) return;
  if (core.out.durableJob < campaign.selfJob) return;
  grantSelf(core, campaign);
  judge(core);
}

export function onVoteReply(core: Core, from: PeerId, reply: PreVoteReply | VoteReply): void {
  const { campaign } = core.election;
  if (!reply.granted && reply.term > core.hard.term) {
    // Only our own term was too low: follow it and ask again soon.
    becomeFollower(core, reply.term, null, 'higher-term');
    core.election.attempts += 1;
    scheduleRetry(core, (1 + placeOf(core, null)) * votePauseMs(core));
    return;
  }
  const kind = reply.type === 'vote-reply' ? 'vote' : 'pre-vote';
  if (!campaign || campaign.kind !== kind || reply.asked !== campaign.term) return;
  if (reply.type === 'pre-vote-reply' && reply.round !== campaign.round) return;
  noteReply(campaign, from, reply, core.now.monoMs);
  if (reply.code === 'veto') core.election.firstVetoMs ??= core.now.monoMs;
  if (reply.code === 'log') askSuffix(core, from, reply);
  judge(core);
}

/** Counts, and acts on a decision. */
export function judge(core: Core): void {
  const { campaign } = core.election;
  if (!campaign) return;
  const patience = patienceOf(core);
  const verdict = count(campaign, core.log.configuration, patience);
  if (verdict === 'lost') reportBallot(core, campaign, false);
  if (verdict !== 'won') {
    if (isHopeless(campaign, core.log.configuration, patience)) onLost(core, campaign);
    return;
  }
  if (campaign.kind === 'vote') {
    endCampaign(core, true);
    becomeLeader(core, campaign);
  } else if (campaign.release) {
    endCampaign(core, true);
    onConsentedPreVoteWon(core, campaign.release);
  } else startVote(core, null);
}

/** Two quick attempts are free; after that each doubles the pause, so that duels end. */
function scheduleRetry(core: Core, inMs: Ms): void {
  const factor = 2 ** Math.min(6, Math.max(0, core.election.attempts - 2));
  const atMs = core.now.monoMs + inMs * factor;
  core.election.retryAtMs = Math.min(core.election.retryAtMs, atMs);
}

/** The campaign stays open for late answers until the next attempt. */
function onLost(core: Core, campaign: Campaign): void {
  const codes = new Set<string>();
  for (const answer of campaign.answers.values()) if (!answer.granted) codes.add(answer.code);
  if (campaign.release && campaign.kind === 'pre-vote') {
    endCampaign(core, false);
    return;
  }
  if (codes.has('voted')) {
    scheduleRetry(core, (1 + placeOf(core, core.election.lostLeader)) * votePauseMs(core));
  } else if (codes.has('promise') || codes.has('leader')) repeatWhileGone(core);
}

/** A refusal by promise is asked again as long as the old leader's link stays gone. */
function repeatWhileGone(core: Core): void {
  const { monoMs } = core.now;
  const { lostLeader, lostAtMs } = core.election;
  // A dead leader's promises end; whoever is refused for longer is cut off from a living one.
  if (!lostLeader || monoMs > lostAtMs + 2 * promiseLengthMs(core.leaseMsHeard)) return;
  if (isGone(core.links, lostLeader, core.rttMs, monoMs)) scheduleRetry(core, 2 * pauseMs(core));
}

/** A vetoer's own pre-vote arrived: its veto holds for as long as the budget lasts. */
export function noteFollowed(core: Core, from: PeerId): void {
  const veto = core.election.campaign?.vetoes.get(from);
  if (veto) veto.followed = true;
}
