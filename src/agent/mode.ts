/**
 * Whether this node can decide anything with the others now, and if not, why: one word that probes
 * and scripts switch on. Degraded means: reads, supervision and content go on, nothing new is
 * decided. What isn't known for certain counts as degraded, never as normal.
 */
import type { PeerId } from '../base/brand.ts';
import type { Configuration } from '../consensus/api.ts';
import type { MemberState } from '../health/failure-detector.ts';

/**
 * `store-failed`: this node's disk refuses writes. `corrupt`: its log contradicts a leader's.
 * `identity-clash`: another machine runs with its key, so it votes no more.
 * `version`: its program is too old for what the log holds, and applies no further.
 * `not-joined`: it belongs to no configuration yet. `no-quorum`: fewer voters answer than decide.
 * `no-leader`: enough answer, an election is under way or waits. `leader-unheard`: the leader that
 * is known has said nothing for longer than an election takes. `unknown`: it could not be found
 * out.
 */
export type DegradedReason =
  | 'store-failed'
  | 'corrupt'
  | 'identity-clash'
  | 'version'
  | 'not-joined'
  | 'no-quorum'
  | 'no-leader'
  | 'leader-unheard'
  | 'unknown';

export type Mode =
  | { readonly mode: 'normal'; readonly degradedReason: null }
  | { readonly mode: 'degraded'; readonly degradedReason: DegradedReason };

export interface ModeInput {
  readonly self: PeerId;
  readonly configuration: Configuration;
  readonly leader: PeerId | null;
  /** Why consensus says that this node can't lead. */
  readonly cannotLeadReason: string | null;
  /** Age of the leader's last word, ms; null: never heard. */
  readonly staleMs: number | null;
  /** A leader that is silent for longer than this is lost. */
  readonly silentMsMax: number;
  readonly livenessOf: (peer: PeerId) => MemberState;
}

const degraded = (degradedReason: DegradedReason): Mode => ({ mode: 'degraded', degradedReason });

/** More than half of one set of voters is alive, as far as this node knows. */
function majorityLives(voters: readonly PeerId[], input: ModeInput): boolean {
  const living = voters.filter((peer) => input.livenessOf(peer) === 'alive').length;
  return living > voters.length / 2;
}

function reasonOf(input: ModeInput): DegradedReason | null {
  const { configuration, leader, cannotLeadReason, staleMs } = input;
  if (cannotLeadReason === 'store-failed') return 'store-failed';
  if (cannotLeadReason === 'corrupt') return 'corrupt';
  if (cannotLeadReason === 'identity-clash') return 'identity-clash';
  if (cannotLeadReason === 'version') return 'version';
  if (!configuration.members.some(({ peerId }) => peerId === input.self)) return 'not-joined';
  if (leader !== null) {
    const heard = staleMs !== null && staleMs <= input.silentMsMax;
    return heard ? null : 'leader-unheard';
  }
  const halves = [configuration.voters, configuration.outgoing ?? configuration.voters];
  return halves.every((half) => majorityLives(half, input)) ? 'no-leader' : 'no-quorum';
}

export function modeOf(input: ModeInput): Mode {
  try {
    const reason = reasonOf(input);
    return reason === null ? { mode: 'normal', degradedReason: null } : degraded(reason);
  } catch {
    // Whatever it is, this node can't vouch for itself: the safe answer.
    return degraded('unknown');
  }
}
