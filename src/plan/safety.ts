/**
 * Whether a member may stop: the others keep the quorum, somebody else can lead, and every pin
 * that it holds has its minimum of proved copies elsewhere. Each reason has a code of its own.
 */
import type { CidText, PeerId } from '../base/brand.ts';

export interface SafetyReason {
  readonly code:
    | 'not-a-member'
    | 'voters-changing' // a joint change is under way: both halves would have to be counted
    | 'quorum' // too few voters would be heard and caught up
    | 'no-heir' // it leads, and nobody else could
    | 'not-reported' // the leader has not heard yet what it holds
    | 'pins'; // pins would fall below their minimum
  readonly detail: string;
}

export interface HeldPin {
  readonly cid: CidText;
  readonly min: number;
  /** Copies on other living nodes that have proved possession in this term. */
  readonly provedElsewhere: number;
}

export interface SafetyInput {
  readonly peer: PeerId;
  readonly isMember: boolean;
  readonly voters: readonly PeerId[];
  readonly outgoing: readonly PeerId[] | null;
  /** Voters that the leader hears now and that have caught up, the leader among them. */
  readonly sound: ReadonlySet<PeerId>;
  readonly leads: boolean;
  /** Others that could take the lead now. */
  readonly heirs: number;
  /** What it holds; null: the leader has not heard all of it yet. */
  readonly held: readonly HeldPin[] | null;
}

/** Pins that are named in a reason; the rest are counted. */
const namedMax = 5;

/** Pins that would fall below their minimum. */
export const atRisk = (held: readonly HeldPin[]): HeldPin[] =>
  held.filter(({ min, provedElsewhere }) => provedElsewhere < min);

export function whyUnsafe(input: SafetyInput): SafetyReason[] {
  const { peer, voters, outgoing, sound, held } = input;
  if (!input.isMember) return [{ code: 'not-a-member', detail: 'it is not a member' }];
  const reasons: SafetyReason[] = [];
  if (outgoing !== null)
    reasons.push({ code: 'voters-changing', detail: 'a change of voters is under way' });
  if (voters.includes(peer)) {
    const left = voters.filter((voter) => voter !== peer && sound.has(voter)).length;
    const quorum = Math.floor(voters.length / 2) + 1;
    if (left < quorum)
      reasons.push({
        code: 'quorum',
        detail: `${left} of ${voters.length} voters would be left, ${quorum} are the quorum`,
      });
  }
  if (input.leads && input.heirs === 0)
    reasons.push({ code: 'no-heir', detail: 'it leads, and nobody else could lead now' });
  if (held === null)
    reasons.push({ code: 'not-reported', detail: 'the leader does not know yet what it holds' });
  const risky = atRisk(held ?? []);
  if (risky.length > 0) {
    const named = risky.slice(0, namedMax).map(({ cid }) => cid);
    const more = risky.length > named.length ? ', ...' : '';
    const pins = risky.length === 1 ? '1 pin' : `${risky.length} pins`;
    reasons.push({
      code: 'pins',
      detail: `${pins} would fall below the minimum: ${named.join(', ')}${more}`,
    });
  }
  return reasons;
}
