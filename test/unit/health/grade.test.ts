/** Grades and their borders: healthy from 85, degraded from 60, and no flapping around either. */
import { expect, test } from 'vitest';
import { type Grading, gradeOf, regrade } from '../../../src/health/grade.ts';

test.each([
  [100, 'healthy'],
  [85, 'healthy'],
  [84, 'degraded'],
  [60, 'degraded'],
  [59, 'unhealthy'],
  [0, 'unhealthy'],
])('%i is %s', (score, grade) => {
  expect(gradeOf(score)).toBe(grade);
  expect(regrade(null, score, 0).grade).toBe(grade);
});

/** The grades after each score, one second apart. */
function gradesOf(scores: readonly number[]): string[] {
  let grading: Grading | null = null;
  return scores.map((score, i) => {
    grading = regrade(grading, score, i * 1000);
    return grading.grade;
  });
}

test('a score that wobbles around a border does not change the grade', () => {
  const wobble = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 86 : 83));
  expect(new Set(gradesOf(wobble))).toEqual(new Set(['healthy']));
  const low = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 57 : 62));
  expect(new Set(gradesOf(low))).toEqual(new Set(['unhealthy']));
});

test('a clear fall or rise counts at once', () => {
  expect(gradesOf([100, 79])).toEqual(['healthy', 'degraded']);
  expect(gradesOf([100, 40])).toEqual(['healthy', 'unhealthy']);
  expect(gradesOf([70, 90])).toEqual(['degraded', 'healthy']);
});

test('what stays on the other side for ten seconds counts, too', () => {
  const grades = gradesOf([90, ...Array.from({ length: 12 }, () => 84)]);
  expect(grades.slice(1, 11)).toEqual(Array(10).fill('healthy'));
  expect(grades[11]).toBe('degraded');
});
