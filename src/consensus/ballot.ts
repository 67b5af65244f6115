/**
 * One attempt to be elected and what it collects: answers, vetoes, and the longest promise among
 * those who granted. It ends as a ballot, a record from which `why` recomputes the outcome.
 *
 * A veto counts as a grant when its budget is used up, or when no pre-vote of the vetoer, sent at
 * or after the veto, arrives within two round trips.
 */
import type { EpochId, Ms, PeerId, Term } from '../base/brand.ts';
import type { PreVoteReply, Release, VoteReply } from '../wire/consensus-message.ts';
import type { Ballot, Configuration } from './api.ts';
import { type Verdict, verdict } from './quorum.ts';

type Reply = PreVoteReply | VoteReply;

export interface Veto {
  readonly atMs: Ms;
  /** The vetoer has sent a pre-vote of its own since. */
  followed: boolean;
}

export interface Campaign {
  readonly kind: 'pre-vote' | 'vote';
  readonly term: Term;
  readonly round: number;
  readonly startedMs: Ms;
  readonly lastTerm: Term;
  readonly lastIndex: number;
  readonly release: Release | null;
  readonly answers: Map<PeerId, Ballot['answers'][number]>;
  readonly vetoes: Map<PeerId, Veto>;
  /** Persist job after which this node's own vote counts. */
  readonly selfJob: number;
  /** This node's clock: when the longest promise of those who granted has run out. */
  promiseUntilMs: Ms;
  ended: boolean;
}

export interface Patience {
  readonly nowMs: Ms;
  readonly firstVetoMs: Ms | null;
  readonly patienceMs: Ms;
  /** After this long a veto that was not followed by a pre-vote is void. */
  readonly voidAfterMs: Ms;
  /** Peers whose link is closed: an answer from there is not waited for. */
  readonly silent: (peer: PeerId) => boolean;
}

function vetoCounts(veto: Veto, patience: Patience): boolean {
  const { nowMs, firstVetoMs, patienceMs, voidAfterMs } = patience;
  if (firstVetoMs !== null && nowMs >= firstVetoMs + patienceMs) return true;
  return !veto.followed && nowMs >= veto.atMs + voidAfterMs;
}

type Counted = Pick<Campaign, 'answers'> & { readonly vetoes: ReadonlyMap<PeerId, Veto> };
type Halves = Pick<Configuration, 'voters' | 'outgoing'>;

/** yes, no or open (null) of one voter. */
function answerOf(campaign: Counted, peer: PeerId, patience: Patience): boolean | null {
  const answer = campaign.answers.get(peer);
  if (!answer) return null;
  if (answer.granted) return true;
  const veto = campaign.vetoes.get(peer);
  if (answer.code !== 'veto' || !veto) return false;
  return vetoCounts(veto, patience) ? true : null;
}

export function count(campaign: Counted, configuration: Halves, patience: Patience): Verdict {
  return verdict(configuration, (peer) => answerOf(campaign, peer, patience));
}

/** Lost already, unless somebody answers whose link is closed. */
export function isHopeless(
  campaign: Campaign,
  configuration: Configuration,
  patience: Patience,
): boolean {
  const answer = (peer: PeerId): boolean | null =>
    answerOf(campaign, peer, patience) ??
    (patience.silent(peer) && !campaign.answers.has(peer) ? false : null);
  return verdict(configuration, answer) === 'lost';
}

/** When the next veto stops counting by time alone. */
export function vetoWakeMs(campaign: Campaign, patience: Patience): Ms {
  let wake = Number.POSITIVE_INFINITY;
  for (const veto of campaign.vetoes.values()) {
    if (vetoCounts(veto, patience)) continue;
    if (patience.firstVetoMs !== null)
      wake = Math.min(wake, patience.firstVetoMs + patience.patienceMs);
    if (!veto.followed) wake = Math.min(wake, veto.atMs + patience.voidAfterMs);
  }
  return wake;
}

export function noteReply(campaign: Campaign, from: PeerId, reply: Reply, nowMs: Ms): void {
  const { granted, code, rank, lastTerm, lastIndex, cannotLead = null } = reply;
  campaign.answers.set(from, { from, granted, code, rank, lastTerm, lastIndex, cannotLead });
  if (granted) campaign.promiseUntilMs = Math.max(campaign.promiseUntilMs, nowMs + reply.promiseMs);
  if (code === 'veto' && !campaign.vetoes.has(from))
    campaign.vetoes.set(from, { atMs: nowMs, followed: false });
}

export interface BallotContext {
  readonly epoch: EpochId;
  readonly candidate: PeerId;
  readonly rank: number;
  readonly health: number | null;
  readonly linksClosed: readonly PeerId[];
  readonly configuration: Configuration;
  readonly won: boolean;
  readonly standings: Ballot['standings'];
  readonly patience: Patience;
}

export function ballotOf(campaign: Campaign, context: BallotContext): Ballot {
  const { epoch, candidate, rank, health, linksClosed, configuration, won, patience } = context;
  const { nowMs, firstVetoMs, patienceMs, voidAfterMs } = patience;
  return {
    term: campaign.term,
    epoch,
    candidate,
    kind: campaign.kind,
    won,
    startedMs: campaign.startedMs,
    endedMs: nowMs,
    candidateRank: rank,
    health,
    linksClosed,
    lastTerm: campaign.lastTerm,
    lastIndex: campaign.lastIndex,
    voters: configuration.voters,
    outgoing: configuration.outgoing,
    answers: [...campaign.answers.values()],
    transfer: campaign.release !== null,
    heldBack: !won && count(campaign, configuration, patience) === 'won',
    standings: context.standings,
    vetoes: [...campaign.vetoes].map(([from, veto]) => ({ from, ...veto })),
    patience: { firstVetoMs, patienceMs, voidAfterMs },
  };
}
