import { expect, test } from 'vitest';
import { livenessOf } from '../../../src/agent/liveness.ts';
import type { MeshLink } from '../../../src/mesh/api.ts';

const link = (connected: boolean, sinceMs: number): MeshLink => ({
  peerId: 'p',
  connected,
  direction: connected ? 'in' : 'none',
  rttMs: null,
  remoteAddress: null,
  sinceMs,
});

test.each([
  ['linked and silent since', link(true, 40_000), null, { state: 'alive', lastSeenMs: 60_000 }],
  ['linked and heard', link(true, 5), 99_900, { state: 'alive', lastSeenMs: 100 }],
  ['its link closed a moment ago', link(false, 99_000), 98_000, { state: 'suspect' }],
  ['its link closed ten seconds ago', link(false, 90_000), 90_000, { state: 'failed' }],
  ['heard by gossip after its link closed', link(false, 80_000), 99_000, { state: 'alive' }],
  ['never linked, heard by gossip', link(false, 0), 50_000, { state: 'alive' }],
  ['never linked, silent for long', null, -150_000, { state: 'suspect' }],
  ['never heard, long after the start', null, null, { state: 'failed', lastSeenMs: null }],
])('%s', (_, found, heardMs, expected) => {
  const base = { peer: 'p', self: 's', startedMs: 0, nowMs: 100_000 };
  expect(livenessOf({ ...base, link: found, heardMs })).toMatchObject(expected);
});

test('a member that was never heard is only suspect at first, and this node is alive', () => {
  const base = { self: 's', link: null, heardMs: null, startedMs: 99_000, nowMs: 100_000 };
  expect(livenessOf({ ...base, peer: 'p' }).state).toBe('suspect');
  expect(livenessOf({ ...base, peer: 's' })).toEqual({ state: 'alive', lastSeenMs: 0 });
});
