/** The alarm of a key that runs twice: who stops voting, for how long, and what is kept. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  clashFile,
  createClashWatch,
  readClashMark,
} from '../../../src/agent/trust/clash-watch.ts';
import { until } from '../mesh/flock.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-clash-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function setUp(votes: boolean) {
  let monoMs = 1000;
  const events: Record<string, unknown>[] = [];
  const failures: unknown[] = [];
  const watch = createClashWatch({
    dir,
    clock: { now: () => ({ monoMs, skippedMs: 0 }), wallMs: () => monoMs },
    votes: () => votes,
    nameOf: (peer) => `name of ${peer}`,
    event: (type, data) => events.push({ type, ...data }),
    onFailure: (text, error) => failures.push([text, error]),
  });
  const pass = (ms: number): void => {
    monoMs += ms;
  };
  return { watch, events, failures, pass };
}

const own = { peer: 'me', self: true, addresses: ['/ip4/192.0.2.7/tcp/4001'], toldBy: 'b' };
const other = { peer: 'p', self: false, addresses: ['/a', '/b'], toldBy: null };

test('a voter stops for good, once, and its folder remembers', async () => {
  const { watch, events, failures, pass } = setUp(true);
  let stops = 0;
  watch.onStopVoting(() => {
    stops += 1;
  });
  expect(watch.own()).toBeNull();
  watch.note(own);
  watch.note(own);
  expect(stops).toBe(1);
  expect(events).toEqual([
    {
      ...{ type: 'identity-clash', own: true, address: own.addresses[0], by: 'name of b' },
      stopsVoting: true,
    },
  ]);
  pass(10_000_000);
  const alarm = { since: '1970-01-01T00:00:01.000Z', address: own.addresses[0] };
  expect(watch.own()).toEqual({ ...alarm, stoppedVoting: true });
  await until(() => readClashMark(dir) !== null);
  expect(failures).toEqual([]);
  const next = setUp(true);
  expect(next.watch.own()).toEqual({ ...alarm, stoppedVoting: true });
  expect(next.watch.count()).toBe(1);
  let told = false;
  next.watch.onStopVoting(() => {
    told = true;
  });
  expect(told).toBe(true);
});

test('who has no vote goes on, and its alarm ends when the other machine is gone', () => {
  const { watch, events, pass } = setUp(false);
  watch.onStopVoting(() => {
    throw new Error('it has no vote');
  });
  for (let round = 0; round < 10; round += 1) {
    watch.note(own);
    pass(5000);
  }
  expect(watch.own()).toMatchObject({ stoppedVoting: false });
  expect(events).toHaveLength(1);
  pass(25_000);
  expect(watch.own()).toBeNull();
  expect(watch.count()).toBe(0);
  expect(readClashMark(dir)).toBeNull();
  watch.note(own);
  expect(events).toHaveLength(2);
});

test('a clash of others is an event and an alarm while it lasts; the memory is bounded', () => {
  const { watch, events, pass } = setUp(true);
  watch.note(other);
  watch.note(other);
  expect(events).toEqual([
    {
      ...{ type: 'identity-clash', own: false, name: 'name of p', peer: 'p' },
      addresses: other.addresses,
    },
  ]);
  expect([watch.clashes('p'), watch.clashes('q'), watch.own()]).toEqual([true, false, null]);
  for (let i = 0; i < 200; i += 1) watch.note({ ...other, peer: `p${i}` });
  expect(watch.count()).toBe(64);
  pass(30_000);
  expect([watch.clashes('p'), watch.count()]).toEqual([false, 0]);
  watch.note({ ...other, peer: 'p199' });
  expect(watch.clashes('p199')).toBe(true);
});

test('a mark that says nothing is damage and names the file', () => {
  writeFileSync(join(dir, clashFile), '{}');
  expect(() => setUp(true)).toThrow(clashFile);
});
