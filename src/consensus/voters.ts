/**
 * The automatic voter rule, as one pure function: who should vote next, given who is eligible, who
 * is heard and who has caught up. One change at a time. The set never shrinks by itself, the leader
 * is never displaced, at most one witness votes and no rank displaces it.
 */
import type { PeerId } from '../base/brand.ts';
import type { Certificate } from '../wire/member.ts';

export interface Candidate {
  /** Heard within the grace time. */
  readonly alive: boolean;
  /** A standby that may be promoted now: its durable log is near enough. */
  readonly ready: boolean;
  /** Heard, caught up and able to lead without a break for the hold time. */
  readonly steady: boolean;
}

export interface VoterQuestion {
  readonly members: readonly Certificate[];
  readonly voters: readonly PeerId[];
  readonly leader: PeerId;
  stateOf(peer: PeerId): Candidate;
}

export interface VoterChange {
  readonly voters: readonly PeerId[];
  readonly reason: 'grow' | 'replace-dead' | 'displace';
}

/** How many voters a number of eligible members gets. */
export function votersFor(eligible: number): number {
  if (eligible >= 7) return 7;
  if (eligible >= 5) return 5;
  if (eligible >= 3) return 3;
  return eligible;
}

/** Members that may vote; of several witnesses one counts. */
export function eligibleOf(members: readonly Certificate[]): number {
  const voting = members.filter((member) => member.votes);
  const witnesses = voting.filter((member) => member.role === 'witness').length;
  return voting.length - Math.max(0, witnesses - 1);
}

const better = (a: Certificate, b: Certificate): number =>
  b.rank - a.rank || (a.peerId < b.peerId ? -1 : 1);

/** The next change of the voter set, or null when it is as the rule wants it. */
export function nextVoters(question: VoterQuestion): VoterChange | null {
  const { members, voters, leader, stateOf } = question;
  const byId = new Map(members.map((member) => [member.peerId, member]));
  const inSet = voters.flatMap((peer) => byId.get(peer) ?? []).sort(better);
  const hasWitness = inSet.some((member) => member.role === 'witness');
  const standbys = members
    .filter((member) => member.votes && !voters.includes(member.peerId))
    .filter((member) => stateOf(member.peerId).alive && stateOf(member.peerId).ready)
    .sort(better);
  return (
    grow(question, standbys, hasWitness) ??
    replaceDead(voters, inSet, standbys, leader, stateOf) ??
    displace(voters, inSet, standbys, leader, stateOf)
  );
}

function grow(
  { members, voters }: VoterQuestion,
  standbys: readonly Certificate[],
  hasWitness: boolean,
): VoterChange | null {
  const target = votersFor(eligibleOf(members));
  const chosen: PeerId[] = [];
  let witness = hasWitness;
  for (const { peerId, role } of standbys) {
    if (voters.length + chosen.length >= target) break;
    if (role === 'witness' && witness) continue;
    if (role === 'witness') witness = true;
    chosen.push(peerId);
  }
  // From three on an even number would only cost: wait until two can come together.
  if (voters.length >= 3 && (voters.length + chosen.length) % 2 === 0 && chosen.length > 0)
    chosen.pop();
  return chosen.length > 0 ? { voters: [...voters, ...chosen], reason: 'grow' } : null;
}

type StateOf = VoterQuestion['stateOf'];

const swap = (voters: readonly PeerId[], out: PeerId, into: PeerId): PeerId[] =>
  voters.map((peer) => (peer === out ? into : peer));

function replaceDead(
  voters: readonly PeerId[],
  inSet: readonly Certificate[],
  standbys: readonly Certificate[],
  leader: PeerId,
  stateOf: StateOf,
): VoterChange | null {
  const dead = inSet.findLast(({ peerId }) => peerId !== leader && !stateOf(peerId).alive);
  if (!dead) return null;
  const otherWitness = inSet.some((item) => item.role === 'witness' && item !== dead);
  const standby = standbys.find((item) => item.role !== 'witness' || !otherWitness);
  if (!standby) return null;
  return { voters: swap(voters, dead.peerId, standby.peerId), reason: 'replace-dead' };
}

function displace(
  voters: readonly PeerId[],
  inSet: readonly Certificate[],
  standbys: readonly Certificate[],
  leader: PeerId,
  stateOf: StateOf,
): VoterChange | null {
  const lowest = inSet.findLast(
    ({ peerId, role }) => peerId !== leader && role !== 'witness' && stateOf(peerId).alive,
  );
  const standby = standbys.find((item) => item.role !== 'witness' && stateOf(item.peerId).steady);
  if (!lowest || !standby || standby.rank <= lowest.rank) return null;
  return { voters: swap(voters, lowest.peerId, standby.peerId), reason: 'displace' };
}

/**
 * The voters once `peer` stops being one: the lowest other goes too where the table asks for it.
 * `members` are those of afterwards.
 */
export function votersWithout(
  members: readonly Certificate[],
  voters: readonly PeerId[],
  peer: PeerId,
  leader: PeerId,
): PeerId[] {
  const target = Math.max(1, votersFor(eligibleOf(members)));
  const byId = new Map(members.map((member) => [member.peerId, member]));
  const left = voters.filter((voter) => voter !== peer);
  while (left.length > target) {
    const lowest = left
      .filter((voter) => voter !== leader)
      .flatMap((voter) => byId.get(voter) ?? [])
      .sort(better)
      .at(-1);
    if (!lowest) break;
    left.splice(left.indexOf(lowest.peerId), 1);
  }
  return left;
}
