/** Cut links: the whole table of 3 nodes, a sample of 4 and 5, and the shapes themselves. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../src/base/prng.ts';
import { runCutTable } from '../../src/sim/cut-table.ts';

const whole = { sample: null, stride: 1, part: 0 } as const;

describe('cut tables', () => {
  test('3 nodes: a leader appears and stays in every shape', { timeout: 60_000 }, () => {
    const report = runCutTable({ nodes: 3, ...whole, prng: createPrng(1) });
    expect(report.failures).toEqual([]);
    expect(report.cases).toBe(64 * 3 * 2);
    // What plain Raft would fail is the reason for most of our rules.
    expect(report.plainRaft).toBeGreaterThan(0);
  });

  test.each([4, 5] as const)('%i nodes: a sample', { timeout: 60_000 }, (nodes) => {
    const report = runCutTable({ nodes, sample: 150, prng: createPrng(5), stride: 1, part: 0 });
    expect(report.failures).toEqual([]);
    expect(report.cases).toBe(150);
  });
});
