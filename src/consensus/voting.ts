/**
 * Answering vote requests. What counts is the candidate's certificate and log, this node's promises
 * and, for a pre-vote only, its rank; never its own idea of the configuration, because a promoted
 * standby may not have heard of its promotion yet.
 *
 * A real vote that is refused because of a promise changes nothing here, not even the term.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { PreVote, Release, Vote, VoteCode } from '../wire/consensus-message.ts';
import type { Certificate } from '../wire/member.ts';
import {
  type Core,
  cannotLead,
  certificateOf,
  header,
  pauseMs,
  rankOfPeer,
  reluctance,
  saveHardState,
} from './core.ts';
import { becomeFollower, noteFollowed, startPreVote } from './election.ts';
import { leaseValid } from './lease.ts';
import { isGone, type LinkChange } from './links.ts';

/** Candidates that may wait for a corrected answer; there are at most 7 voters in each half. */
const earlyMax = 16;

/** Rights and bonds, which come before any question of term or log. */
function bound(
  core: Core,
  from: PeerId,
  shown: Certificate | null,
  release: Release | null,
  kind: 'pre-vote' | 'vote',
): VoteCode | null {
  if (core.broken === 'corrupt') return 'corrupt';
  if (core.broken || !core.certificate.votes) return 'not-a-voter';
  const candidate = certificateOf(core, from, shown);
  if (!candidate?.votes || !candidate.leads) return 'not-a-candidate';
  const { monoMs } = core.now;
  const own = release && release.leader === core.id && release.term === core.hard.term;
  if (core.lead && leaseValid(core, core.now)) {
    // A consent goes to whoever asked for it, the vote only to the target of our own transfer;
    // by then the lease is dropped anyhow.
    if (!own || kind === 'vote') return 'leader';
  }
  for (const promise of core.promises.running(from, release, monoMs)) {
    if (!promise.leader) return 'promise';
    if (!isGone(core.links, promise.leader, core.rttMs, monoMs)) return 'promise';
  }
  return null;
}

interface Verdict {
  readonly code: VoteCode;
  readonly promiseMs: Ms;
}

function reply(core: Core, to: PeerId, asked: PreVote | Vote, verdict: Verdict): void {
  const { code, promiseMs } = verdict;
  const body = {
    ...header(core),
    asked: asked.term,
    granted: code === 'granted',
    code,
    rank: rankOfPeer(core, core.id),
    promiseMs,
    lastTerm: core.log.lastTerm,
    lastIndex: core.log.lastIndex,
    cannotLead: cannotLead(core) ?? reluctance(core),
  };
  // What a reply says of term and vote must be durable first; a pre-vote changes neither.
  if (asked.type === 'pre-vote')
    core.out.send(to, { type: 'pre-vote-reply', ...body, round: asked.round });
  else core.out.sendAfter(core.out.hardStateJob, to, { type: 'vote-reply', ...body });
}

/** A higher rank asks first; an equal one only while it asks already and has the better id. */
function vetoes(core: Core, from: PeerId, candidateRank: number): boolean {
  if (!core.election.mayVeto || cannotLead(core) || reluctance(core) || core.lead) return false;
  const rank = rankOfPeer(core, core.id);
  if (rank > candidateRank) return true;
  const preVoting = core.election.campaign?.kind === 'pre-vote';
  return rank === candidateRank && preVoting && core.id < from;
}

export function onPreVote(
  core: Core,
  from: PeerId,
  message: PreVote,
  shown: Certificate | null,
): void {
  noteFollowed(core, from);
  core.early.delete(from);
  const code = answerPreVote(core, from, message, shown);
  if (code === 'promise' && core.early.size < earlyMax && isLinkClosing(core))
    core.early.set(from, { message, shown });
}

/** The link to somebody whom this node promised has closed; it may not count as gone yet. */
function isLinkClosing(core: Core): boolean {
  return core.promises.list.some(({ leader }) => leader && core.links.get(leader)?.open === false);
}

/**
 * A link's fate became known. Whoever asked a moment too early, while this node's own link to the
 * leader had closed and was being redialled, need not ask again: its answer is corrected.
 */
export function answerEarly(core: Core, change: LinkChange): void {
  // The leader may be alive after all: whoever asked asks again by itself.
  if (change === 'opened') core.early.clear();
  for (const [from, { message, shown }] of core.early) {
    if (bound(core, from, shown, message.consent, 'pre-vote') === 'promise') continue;
    core.early.delete(from);
    answerPreVote(core, from, message, shown);
  }
}

function answerPreVote(
  core: Core,
  from: PeerId,
  message: PreVote,
  shown: Certificate | null,
): VoteCode {
  const code = judgePreVote(core, from, message, shown);
  const promiseMs = core.promises.remainingMs(from, message.consent, core.now.monoMs);
  reply(core, from, message, { code, promiseMs });
  if (code !== 'veto') return code;
  const { preVoteSentMs, campaign } = core.election;
  const asking = campaign?.kind === 'pre-vote' && !campaign.ended;
  const fresh = core.now.monoMs - preVoteSentMs < pauseMs(core);
  if (!(asking && fresh)) startPreVote(core, 'veto');
  return code;
}

function judgePreVote(
  core: Core,
  from: PeerId,
  message: PreVote,
  shown: Certificate | null,
): VoteCode {
  const refused = bound(core, from, shown, message.consent, 'pre-vote');
  if (refused) return refused;
  if (message.term < core.hard.term) return 'stale-term';
  const taken = core.hard.vote === null ? core.leader !== null : core.hard.vote !== from;
  if (message.term === core.hard.term && taken) return 'stale-term';
  // Under consent only reach is asked: the transfer itself waits until the logs are equal.
  if (message.consent) return 'granted';
  if (!core.log.covers(message.lastTerm, message.lastIndex)) return 'log';
  if (vetoes(core, from, rankOfPeer(core, from, shown))) return 'veto';
  return 'granted';
}

export function onVote(core: Core, from: PeerId, message: Vote, shown: Certificate | null): void {
  const promiseMs = core.promises.remainingMs(from, message.transfer, core.now.monoMs);
  const refused = bound(core, from, shown, message.transfer, 'vote');
  if (refused) {
    reply(core, from, message, { code: refused, promiseMs });
    return;
  }
  if (message.term > core.hard.term) becomeFollower(core, message.term, null, 'vote-request');
  const code = judgeVote(core, from, message);
  if (code === 'granted' && core.hard.vote !== from) {
    saveHardState(core, { vote: from });
  }
  if (code === 'granted') core.election.deadlineMs = grantedUntilMs(core);
  reply(core, from, message, { code, promiseMs });
}

/** Whoever gave its vote waits a full timeout before it asks for itself. */
function grantedUntilMs(core: Core): Ms {
  return Math.max(core.election.deadlineMs, core.now.monoMs + core.options.timing.electionMsMin);
}

function judgeVote(core: Core, from: PeerId, message: Vote): VoteCode {
  if (message.term < core.hard.term) return 'stale-term';
  if (core.hard.vote !== null && core.hard.vote !== from) return 'voted';
  if (core.lead || core.leader) return 'voted';
  if (!core.log.covers(message.lastTerm, message.lastIndex)) return 'log';
  return 'granted';
}
