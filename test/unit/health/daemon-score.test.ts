/** Progress by phase: stillness while downloading is no stall, while following it is one. */
import { describe, expect, test } from 'vitest';
import {
  advanceProgress,
  type DaemonPhase,
  daemonComponent,
  type Progress,
} from '../../../src/health/daemon-score.ts';

const scoreAt = (progress: Progress, nowMs: number): number =>
  daemonComponent(
    { type: 'lotus', state: 'running', detail: '', required: true, progress, findings: [] },
    nowMs,
  ).score;

/** Looks every ten seconds for ten minutes; the worst score on the way. */
function worst(look: (i: number) => { phase: DaemonPhase; value: number }): number {
  let progress: Progress | null = null;
  let lowest = 100;
  for (let i = 0; i < 60; i++) {
    progress = advanceProgress(progress, look(i), i * 10_000);
    lowest = Math.min(lowest, scoreAt(progress, i * 10_000));
  }
  return lowest;
}

describe('a height that stands still', () => {
  test('is no stall while bytes are downloaded', () => {
    expect(worst((i) => ({ phase: 'downloading', value: i * 1e6 }))).toBe(100);
  });
  test('is one while following', () => {
    expect(worst(() => ({ phase: 'following', value: 4242 }))).toBe(40);
  });
  test('is none while it moves now and then', () => {
    expect(worst((i) => ({ phase: 'following', value: Math.floor(i / 9) }))).toBe(100);
  });
  test('is one while downloading when no byte comes, either', () => {
    expect(worst(() => ({ phase: 'downloading', value: 7 }))).toBe(40);
  });
  test('does not count against an idle daemon', () => {
    expect(worst(() => ({ phase: 'idle', value: 0 }))).toBe(100);
  });
});

test('a new phase starts anew', () => {
  const still = advanceProgress(null, { phase: 'following', value: 5 }, 0);
  expect(scoreAt(still, 120_000)).toBe(40);
  const next = advanceProgress(still, { phase: 'downloading', value: 5 }, 120_000);
  expect(scoreAt(next, 120_000)).toBe(100);
});
