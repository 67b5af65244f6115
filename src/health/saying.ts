/**
 * When a node says its health record: a change of grade at once, points up and down within a grade
 * less often, and what has not changed now and then. The larger the cluster, the rarer the last
 * two, so that what everybody hears does not grow with it.
 */
import type { Ms } from '../base/brand.ts';
import { sayAgainMs } from '../wire/gossip-pace.ts';

/** In a small cluster an unchanged record is said this often. */
const sayEveryMs: Ms = 10_000;
/** A score that moved by so much is worth telling ... */
const pointsWorthTelling = 5;
/** ... after this share of the usual pause. */
const movedShare = 1 / 10;

/** After this a record tells nothing of now: a node that runs would have said it again twice. */
export const wordLastsMs = (members: number): Ms => 3 * sayAgainMs(sayEveryMs, members);

export function mustSay(input: {
  readonly score: number;
  /** The score of the last record; null: nothing was said yet. */
  readonly saidScore: number | null;
  readonly gradeChanged: boolean;
  /** Time since the last record. */
  readonly quietMs: Ms;
  readonly members: number;
}): boolean {
  const { score, saidScore, gradeChanged, quietMs, members } = input;
  if (gradeChanged || saidScore === null) return true;
  const moved = Math.abs(saidScore - score) >= pointsWorthTelling;
  return quietMs >= sayAgainMs(sayEveryMs, members) * (moved ? movedShare : 1);
}
