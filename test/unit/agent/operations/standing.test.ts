/** The view of drains and pause follows the catalog, and tells the step machine only what changed. */
import { expect, test } from 'vitest';
import { createStanding } from '../../../../src/agent/operations/standing.ts';
import type { Standing } from '../../../../src/agent/runtime.ts';
import type { OperationRecords } from '../../../../src/catalog/query-operations.ts';

const by = { owner: 'ann', reason: '', sinceMs: 0 };

function bench() {
  const told: Standing[] = [];
  const none: OperationRecords = { drains: [], pause: null, stopping: null };
  const state = { records: none, wallMs: 1000, ownTurns: 0, rounds: 0 };
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
    onOwnTurn: () => {
      state.ownTurns += 1;
    },
    onRound: () => {
      state.rounds += 1;
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
  const pause = { ...by, expiresAtMs: 5000 };
  state.records = { drains: [{ peer: 'me', ...by }], pause, stopping: null };
  standing.poke();
  await second;
  expect(told.at(-1)).toEqual({ draining: true, paused: true, trouble: null });
  expect([standing.isDraining('me'), standing.isDraining('you')]).toEqual([true, false]);
  await standing.stop();
  expect(told).toHaveLength(2);
  expect(state.rounds).toBeGreaterThanOrEqual(2);
});

test('an expired pause is none', async () => {
  const { state, standing } = bench();
  state.records = { drains: [], pause: { ...by, expiresAtMs: 5000 }, stopping: null };
  await standing.read();
  state.wallMs = 4999;
  expect(standing.pause()).toMatchObject({ owner: 'ann' });
  state.wallMs = 5000;
  expect(standing.pause()).toBeNull();
});

test('a turn to stop that this node has is told at every look, another one never', async () => {
  const { state, standing, next } = bench();
  state.records = { ...state.records, stopping: { peer: 'you', version: 7, forMs: 1000 } };
  const first = next();
  standing.start();
  await first;
  expect(state.ownTurns).toBe(0);
  const second = next();
  const pause = { ...by, expiresAtMs: null };
  state.records = { drains: [], pause, stopping: { peer: 'me', version: 8, forMs: 1000 } };
  standing.poke();
  await second;
  await standing.stop();
  expect(state.ownTurns).toBeGreaterThan(0);
});
