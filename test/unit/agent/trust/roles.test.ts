/** `role set` step by step: the order of certificate and record, interruption, two masters at once. */
import { expect, test } from 'vitest';
import { signCertificate } from '../../../../src/agent/trust/authority.ts';
import { createRoles } from '../../../../src/agent/trust/roles.ts';
import { AgentError } from '../../../../src/base/error.ts';
import type { Command } from '../../../../src/wire/command.ts';
import { type Certificate, type Role, rankOf, rightsOf } from '../../../../src/wire/member.ts';
import { certify, pair, trustOf } from '../papers.ts';

const member = (peerId: string, role: Role): Certificate => ({
  ...{ peerId, name: peerId, role, rank: rankOf(role), zone: 'z' },
  ...rightsOf(role, true),
});

type Put = Extract<Command, { type: 'certificate.put' }>;

async function setUp(roles: Readonly<Record<string, Role>>) {
  const trust = await trustOf('m', { role: 'master' });
  for (const [peer, role] of Object.entries(roles))
    await trust.learn(peer, await certify(peer, { role }));
  let members = Object.entries(roles).map(([peer, role]) => member(peer, role));
  const state = {
    steps: [] as string[],
    rows: [] as { peer: string; generation: number; certificate: string; atIndex: number }[],
    highest: 1,
    leader: 'm',
    fail: '',
    /** Another master takes the generation first. */
    races: 0,
  };
  const face = createRoles({
    trust,
    clock: { now: () => ({ monoMs: 5, skippedMs: 0 }), wallMs: () => Date.UTC(2026, 0, 1) },
    workersMayLead: true,
    issue: (claims) => signCertificate(pair, claims),
    members: () => members,
    leader: () => state.leader,
    issued: async () => ({ certificates: state.rows, highest: state.highest }),
    propose: async (command) => {
      if (state.fail === 'certify') throw new AgentError('no-quorum', 'cut');
      const { peer, generation, certificate } = command as Put;
      if (state.races-- > 0) state.highest = generation;
      if (generation <= state.highest)
        return { ok: false, index: 1, code: 'conflict', detail: '', version: state.highest };
      state.steps.push(`certify ${peer} ${generation}`);
      state.highest = generation;
      state.rows = [
        ...state.rows.filter((row) => row.peer !== peer),
        { peer, generation, certificate, atIndex: 1 },
      ];
      return { ok: true, index: 1, version: generation, value: null };
    },
    reconfigure: async (change) => {
      if (change.type !== 'role') throw new Error(change.type);
      state.steps.push(`record ${change.member.name} ${change.member.role}`);
      members = members.map((one) => (one.peerId === change.member.peerId ? change.member : one));
    },
    handOver: async () => {
      if (state.fail === 'hand-over') throw new AgentError('conflict', 'nobody can');
      state.steps.push('hand over');
      state.leader = 'n';
    },
    event: () => undefined,
  });
  return { state, trust, set: face.set };
}

const usual = { m: 'master', n: 'master', w: 'worker', l: 'leecher' } as const;

test('rights are given after the certificate and taken before it', async () => {
  const { state, trust, set } = await setUp(usual);
  expect(await set('l', 'worker')).toMatchObject({ changed: true, was: 'leecher' });
  expect(await set('w', 'leecher')).toMatchObject({ changed: true, handedOver: false });
  expect(state.steps).toEqual([
    'certify l 2',
    'record l worker',
    'record w leecher',
    'certify w 3',
  ]);
  await trust.setIssued(state.rows);
  expect(trust.judge('w')).toMatchObject({ certificate: { role: 'leecher', votes: false } });
  // What it showed before still proves who it is.
  expect(await trust.learn('w', await certify('w'))).toMatchObject({ role: 'leecher' });
  expect(await set('w', 'leecher')).toMatchObject({ changed: false });
});

test('what was interrupted is finished by asking again', async () => {
  const { state, set } = await setUp(usual);
  state.fail = 'certify';
  await expect(set('w', 'leecher')).rejects.toMatchObject({ code: 'no-quorum' });
  expect(state.steps).toEqual(['record w leecher']);
  state.fail = '';
  expect(await set('w', 'leecher')).toMatchObject({ changed: true });
  expect(state.steps).toEqual(['record w leecher', 'certify w 2']);
});

test('a leader that will not lead any more hands over first, or nothing happens', async () => {
  const { state, set } = await setUp(usual);
  state.fail = 'hand-over';
  await expect(set('m', 'leecher')).rejects.toMatchObject({ code: 'conflict' });
  expect(state.steps).toEqual([]);
  state.fail = '';
  expect(await set('m', 'worker')).toMatchObject({ handedOver: false });
  expect(await set('m', 'leecher')).toMatchObject({ handedOver: true });
  expect(state.steps.slice(2)).toEqual(['hand over', 'record m leecher', 'certify m 3']);
});

test('two masters that certify at once take different generations', async () => {
  const { state, set } = await setUp(usual);
  state.races = 2;
  await set('l', 'worker');
  expect(state.steps).toEqual(['certify l 4', 'record l worker']);
  state.races = 9;
  await expect(set('l', 'leecher')).rejects.toMatchObject({ code: 'conflict' });
});

test('who is unknown or would be missed is refused before anything changes', async () => {
  const { state, set } = await setUp({ m: 'master', w: 'worker' });
  await expect(set('x', 'worker')).rejects.toMatchObject({ code: 'not-found' });
  await expect(set('m', 'worker')).rejects.toMatchObject({ code: 'conflict' });
  expect(state.steps).toEqual([]);
});
