/** What a change of role would leave behind. */
import { expect, test } from 'vitest';
import { inRole, whyNotRole } from '../../../../src/agent/trust/role-rules.ts';
import { type Certificate, type Role, rankOf, rightsOf } from '../../../../src/wire/member.ts';

const member = (peerId: string, role: Role, within = 0): Certificate => ({
  ...{ peerId, name: peerId, role, rank: rankOf(role, within), zone: 'z' },
  ...rightsOf(role, true),
});

test.each([
  ['the only master', ['m:master', 'w:worker'], 'm', 'worker', /only master/],
  ['the only one that may lead', ['m:master', 'l:leecher'], 'm', 'witness', /only master/],
  ['one master of two', ['m:master', 'n:master'], 'm', 'leecher', null],
  ['the only worker', ['m:master', 'w:worker'], 'w', 'leecher', null],
  ['a leecher', ['m:master', 'l:leecher'], 'l', 'master', null],
] as const)('%s', (_, roster, peer, role, why) => {
  const members = roster.map((text) => {
    const [id = '', had = ''] = text.split(':');
    return member(id, had as Role);
  });
  const before = members.find(({ peerId }) => peerId === peer);
  if (before === undefined) throw new Error(peer);
  const found = whyNotRole(members, peer, inRole(before, role, true));
  if (why === null) expect(found).toBeNull();
  else expect(found).toMatch(why);
});

test('without workers that may lead, a cluster keeps a master that may', () => {
  const members = [member('m', 'master'), { ...member('w', 'worker'), leads: false }];
  const other = { ...member('n', 'master'), leads: false };
  const next = inRole(member('m', 'master'), 'leecher', false);
  expect(whyNotRole([...members, other], 'm', next)).toMatch(/no leader/);
});

test('a rank within the role goes along where the role may lead', () => {
  expect(inRole(member('w', 'worker', 7), 'master', true)).toMatchObject({ rank: 3007 });
  expect(inRole(member('w', 'worker', 7), 'leecher', true)).toMatchObject({
    ...{ rank: 0, votes: false, leads: false },
  });
  expect(inRole(member('l', 'leecher'), 'worker', false)).toMatchObject({
    ...{ rank: 2000, votes: true, leads: false },
  });
});
