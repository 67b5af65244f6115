/**
 * Why somebody leads and others don't, computed anew from a stored ballot: the votes are counted
 * again by the rule that counted them then, and each voter's disqualifier follows from what the
 * candidate knew of it. Nothing here narrates; every answer is a code.
 */
import type { PeerId, Term } from '../base/brand.ts';
import { count } from './ballot.ts';
import type { Ballot } from './fact.ts';
import { isVoter, type Verdict, votersOf } from './quorum.ts';

/** The counting once more, over what the ballot recorded. */
export function recount(ballot: Ballot): Verdict {
  const { voters, outgoing, answers, vetoes, patience, endedMs } = ballot;
  const campaign = {
    answers: new Map(answers.map((answer) => [answer.from, answer])),
    vetoes: new Map(vetoes.map(({ from, atMs, followed }) => [from, { atMs, followed }])),
  };
  const then = { ...patience, nowMs: endedMs, silent: () => false };
  return count(campaign, { voters, outgoing }, then);
}

/** `won`: it did; other codes of its own word (`draining`, `disk-full`, ...) stand as they are. */
export type WhyNotCode =
  | 'won'
  | 'lost' // it asked, and did not get a majority
  | 'role' // it may never lead
  | 'not-a-voter'
  | 'unreachable' // its link to the winner was closed
  | 'silent' // it had not answered when the majority was there
  | 'log' // it lacked entries
  | 'rank' // the winner's is higher
  | 'peer-id' // equal rank, the winner's id comes first
  | 'veto-void' // it wanted to go first and did not follow in time
  | 'handed-over' // the leader of before chose the winner
  | 'asked-later' // as good as the winner, which asked first
  | (string & {});

export interface WhyNot {
  readonly peer: PeerId;
  readonly term: Term;
  readonly winner: PeerId;
  readonly code: WhyNotCode;
}

const isBehind = (a: Pick<Ballot, 'lastTerm' | 'lastIndex'>, b: typeof a): boolean =>
  a.lastTerm < b.lastTerm || (a.lastTerm === b.lastTerm && a.lastIndex < b.lastIndex);

/** Why `peer` did not win this ballot; `mayLead` is what its record says today. */
export function whyNotIn(ballot: Ballot, peer: PeerId, mayLead: boolean): WhyNotCode {
  const { candidate, candidateRank, standings } = ballot;
  if (peer === candidate) return ballot.won ? 'won' : 'lost';
  const standing = standings.find((one) => one.peer === peer);
  if (!(standing?.leads ?? mayLead)) return 'role';
  if (!isVoter(ballot, peer)) return 'not-a-voter';
  const answer = ballot.answers.find((one) => one.from === peer);
  if (!answer && ballot.linksClosed.includes(peer)) return 'unreachable';
  if (answer?.cannotLead) return answer.cannotLead;
  if (answer && isBehind(answer, ballot)) return 'log';
  const rank = standing?.rank ?? answer?.rank ?? 0;
  if (rank < candidateRank) return 'rank';
  if (ballot.transfer) return 'handed-over';
  if (!answer) return 'silent';
  if (rank === candidateRank && candidate < peer) return 'peer-id';
  return answer.code === 'veto' ? 'veto-void' : 'asked-later';
}

export interface ElectionAccount {
  readonly ballot: Ballot;
  /** What counting again says; `agrees`: it is what happened. */
  readonly recount: Verdict;
  readonly agrees: boolean;
  readonly granted: readonly PeerId[];
  readonly refused: readonly { readonly peer: PeerId; readonly code: string }[];
  readonly others: readonly WhyNot[];
}

export function accountOf(ballot: Ballot): ElectionAccount {
  const again = recount(ballot);
  const { term, candidate } = ballot;
  const others = votersOf(ballot)
    .filter((peer) => peer !== candidate)
    .map((peer) => ({ peer, term, winner: candidate, code: whyNotIn(ballot, peer, true) }));
  return {
    ...{ ballot, others, recount: again },
    agrees: ballot.won ? again === 'won' : again !== 'won' || ballot.heldBack,
    granted: ballot.answers.flatMap(({ from, granted }) => (granted ? [from] : [])),
    refused: ballot.answers.flatMap(({ from, granted, code }) =>
      granted ? [] : [{ peer: from, code }],
    ),
  };
}

export interface LeaderAccount {
  readonly leader: PeerId;
  readonly term: Term;
  /** null: the ballot of this term is not here (yet), or the first node made the cluster. */
  readonly election: ElectionAccount | null;
}
