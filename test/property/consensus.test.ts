/**
 * Random runs of the bare consensus room; see consensus-run.ts. More seeds: BELLWETHER_SEEDS=1000,
 * one seed again: BELLWETHER_SEED=17 BELLWETHER_SEEDS=1.
 */
import { describe, expect, test } from 'vitest';
import { randomRun } from './consensus-run.ts';

describe('consensus under random faults', () => {
  test('keeps its promises', () => {
    const seeds = Number(process.env.BELLWETHER_SEEDS ?? 12);
    const from = Number(process.env.BELLWETHER_SEED ?? 1);
    const wrong: string[] = [];
    for (let seed = from; seed < from + seeds; seed += 1) {
      try {
        wrong.push(...randomRun(seed, 120));
      } catch (thrown) {
        wrong.push(`seed ${seed}: threw ${thrown instanceof Error ? thrown.stack : thrown}`);
      }
      if (wrong.length > 6) break;
    }
    expect(wrong).toEqual([]);
  });
});
