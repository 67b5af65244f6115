import { expect, test } from 'vitest';
import { type ModeInput, modeOf } from '../../../src/agent/mode.ts';
import type { MemberState } from '../../../src/health/failure-detector.ts';

const member = (peerId: string) => ({
  peerId,
  name: peerId,
  role: 'master' as const,
  rank: 3000,
  zone: 'default',
  votes: true,
  leads: true,
});
const alive = (...peers: string[]) => {
  return (peer: string): MemberState => (peers.includes(peer) ? 'alive' : 'failed');
};
const input = (change: Partial<ModeInput> = {}): ModeInput => ({
  self: 'a',
  configuration: {
    members: ['a', 'b', 'c'].map(member),
    voters: ['a', 'b', 'c'],
    outgoing: null,
  },
  leader: 'b',
  cannotLeadReason: null,
  staleMs: 10,
  silentMsMax: 5000,
  livenessOf: alive('a', 'b', 'c'),
  ...change,
});
const voters = (now: string[], before: string[]) => ({
  members: [...now, ...before].map(member),
  voters: now,
  outgoing: before,
});

test.each([
  ['a leader is heard', {}, null],
  ['why it cannot lead does not matter', { cannotLeadReason: 'draining' }, null],
  ['the disk refuses writes', { cannotLeadReason: 'store-failed' }, 'store-failed'],
  ['the log is corrupt', { cannotLeadReason: 'corrupt' }, 'corrupt'],
  ['its key runs twice', { cannotLeadReason: 'identity-clash' }, 'identity-clash'],
  ['its program is too old', { cannotLeadReason: 'version' }, 'version'],
  ['it belongs to nothing', { self: 'd' }, 'not-joined'],
  ['two of three live', { leader: null, livenessOf: alive('a', 'c') }, 'no-leader'],
  ['one of three lives', { leader: null, livenessOf: alive('a') }, 'no-quorum'],
  ['the leader is silent', { staleMs: 5001 }, 'leader-unheard'],
  ['the leader was never heard', { staleMs: null }, 'leader-unheard'],
  [
    'a majority of the new half only',
    { leader: null, configuration: voters(['a', 'b', 'c'], ['a', 'x', 'y']) },
    'no-quorum',
  ],
])('%s', (_, change, reason) => {
  const mode = reason === null ? 'normal' : 'degraded';
  expect(modeOf(input(change))).toEqual({ mode, degradedReason: reason });
});

test('what throws counts as degraded', () => {
  const livenessOf = (): MemberState => {
    throw new Error('nobody knows');
  };
  expect(modeOf(input({ leader: null, livenessOf })).degradedReason).toBe('unknown');
});
