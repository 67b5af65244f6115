/**
 * Majorities. Every count in this room goes through here, so that a joint configuration needs both
 * halves everywhere and a learner is counted nowhere.
 */
import type { PeerId } from '../base/brand.ts';
import type { Configuration } from './api.ts';

type Halves = Pick<Configuration, 'voters' | 'outgoing'>;

export type Verdict = 'won' | 'lost' | 'pending';

const majority = (voters: number): number => Math.floor(voters / 2) + 1;

function reachedByHalf(voters: readonly PeerId[], measure: (peer: PeerId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const values = voters.map(measure).sort((a, b) => b - a);
  return values[majority(voters.length) - 1] ?? 0;
}

/** The largest value that a majority (of each half) has reached; 0 without voters. */
export function reached(halves: Halves, measure: (peer: PeerId) => number): number {
  const incoming = reachedByHalf(halves.voters, measure);
  const outgoing = halves.outgoing ? reachedByHalf(halves.outgoing, measure) : incoming;
  const value = Math.min(incoming, outgoing);
  return Number.isFinite(value) || value < 0 ? value : 0;
}

function verdictOfHalf(
  voters: readonly PeerId[],
  answerOf: (peer: PeerId) => boolean | null,
): Verdict {
  let granted = 0;
  let open = 0;
  for (const voter of voters) {
    const answer = answerOf(voter);
    if (answer === true) granted += 1;
    else if (answer === null) open += 1;
  }
  const need = majority(voters.length);
  if (granted >= need) return 'won';
  return granted + open < need ? 'lost' : 'pending';
}

/** Counts yes, no and still open (null) in each half. */
export function verdict(halves: Halves, answerOf: (peer: PeerId) => boolean | null): Verdict {
  const incoming = verdictOfHalf(halves.voters, answerOf);
  if (!halves.outgoing) return incoming;
  const outgoing = verdictOfHalf(halves.outgoing, answerOf);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

/** Whoever votes in either half, each once. */
export function votersOf(halves: Halves): PeerId[] {
  return halves.outgoing
    ? [...new Set([...halves.voters, ...halves.outgoing])]
    : [...halves.voters];
}

export function isVoter(halves: Halves, peer: PeerId): boolean {
  return halves.voters.includes(peer) || (halves.outgoing?.includes(peer) ?? false);
}
