/** The view of drains and pause follows the catalog, and tells the step machine only what changed. */
import { expect, test } from 'vitest';
import { createStanding } from '../../../../src/agent/operations/standing.ts';
import type { Standing } from '../../../../src/agent/runtime.ts';
import type { OperationRecords } from '../../../../src/catalog/query-operations.ts';

const by = { owner: 'ann', reason: '', sinceMs: 0 };

function bench() {
  const told: Standing[] = [];
  const state = { records: { drains: [], pause: null } as OperationRecords, wallMs: 1000 };
  const waiting: (() => void)[] = [];
  const standing = createStanding({
    self: 'me',
    query: async () => state.records,
    wallMs: () => state.wallMs,
    trouble: async () => null,
    tell: (next) => {
      told.push(next);
      for (const resolve of waiting.splice(0)) resolve();
    },
    onFailure: (error) => {
      throw error;
    },
  });
  const next = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  return { told, state, standing, next };
}

test('what changes is told once', async () => {
  const { told, state, standing, next } = bench();
  const first = next();
  standing.start();
  await first;
  expect(told).toEqual([{ draining: false, paused: false, trouble: null }]);
  const second = next();
  state.records = { drains: [{ peer: 'me', ...by }], pause: { ...by, expiresAtMs: 5000 } };
  standing.poke();
  await second;
  expect(told.at(-1)).toEqual({ draining: true, paused: true, trouble: null });
  expect([standing.isDraining('me'), standing.isDraining('you')]).toEqual([true, false]);
  await standing.stop();
  expect(told).toHaveLength(2);
});

test('an expired pause is none', async () => {
  const { state, standing } = bench();
  state.records = { drains: [], pause: { ...by, expiresAtMs: 5000 } };
  await standing.read();
  state.wallMs = 4999;
  expect(standing.pause()).toMatchObject({ owner: 'ann' });
  state.wallMs = 5000;
  expect(standing.pause()).toBeNull();
});
