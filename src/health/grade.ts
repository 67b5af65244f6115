/**
 * From a score to a word: healthy from 85, degraded from 60, unhealthy below. A score that wobbles
 * around a border doesn't flap: the word changes at once only when the border is passed by
 * `marginPoints`, otherwise once the score has stayed on the other side for `settleMs`.
 */
import type { Ms } from '../base/brand.ts';

export type Grade = 'healthy' | 'degraded' | 'unhealthy';

export const healthyFrom = 85;
export const degradedFrom = 60;
const marginPoints = 5;
const settleMs: Ms = 10_000;

export function gradeOf(score: number): Grade {
  if (score >= healthyFrom) return 'healthy';
  return score >= degradedFrom ? 'degraded' : 'unhealthy';
}

export interface Grading {
  readonly grade: Grade;
  /** Since when the score has been on another side; null: it agrees with the grade. */
  readonly otherSinceMs: Ms | null;
}

/** The grade after a new score; `before` is null for the first. */
export function regrade(before: Grading | null, score: number, nowMs: Ms): Grading {
  const next = gradeOf(score);
  if (before === null || next === before.grade) return { grade: next, otherSinceMs: null };
  const clear = gradeOf(score - marginPoints) === next && gradeOf(score + marginPoints) === next;
  const sinceMs = before.otherSinceMs ?? nowMs;
  if (clear || nowMs - sinceMs >= settleMs) return { grade: next, otherSinceMs: null };
  return { grade: before.grade, otherSinceMs: sinceMs };
}
