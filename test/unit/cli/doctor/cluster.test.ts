/** What `doctor` makes of an agent's pages: each trouble alone is one finding with its remedy. */
import { expect, test } from 'vitest';
import { findingsOf, type Page } from '../../../../src/cli/doctor/cluster.ts';

const fine: Page = {
  node: { name: 'm1' },
  mode: 'normal',
  degradedReason: null,
  members: [
    { name: 'm1', state: 'alive', alarms: [] },
    { name: 'w1', state: 'left' },
  ],
  health: { reasons: [] },
};
const last = {
  ...{ at: '1970-01-01T00:00:00.000Z', address: '/ip4/192.0.2.1/tcp/9' },
  ...{ host: 'mesh', detail: 'why' },
};
const lonely = { name: 'm1', unreachable: ['w1'] };

test.each([
  ['nothing', {}, [], 0, []],
  ['degraded', { mode: 'degraded', degradedReason: 'no-quorum' }, [], 0, ['cluster']],
  [
    'health',
    { health: { reasons: [{ component: 'agent', code: 'no-leader', detail: 'd' }] } },
    [],
    0,
    ['agent'],
  ],
  ['failed', { members: [{ name: 'w1', state: 'failed' }] }, [], 0, ['member w1']],
  [
    'identity',
    { members: [{ name: 'w1', state: 'alive', alarms: ['identity-clash'] }] },
    [],
    0,
    ['identity of w1'],
  ],
  [
    'refused',
    { trust: { connectionsRefused: { total: 3, last } } },
    [],
    599_999,
    ['connections refused'],
  ],
  ['refused long ago', { trust: { connectionsRefused: { total: 3, last } } }, [], 600_000, []],
  ['a link', {}, [lonely], 0, ['link m1 to w1']],
])('%s', (_, change, members, wallMs, problems) => {
  const [up, ...rest] = findingsOf({ ...fine, ...change }, members, wallMs);
  expect(up).toMatchObject({ state: 'ok', detail: 'm1 answers' });
  expect(rest.map(({ what }) => what)).toEqual(problems);
  for (const { state, remedy } of rest)
    expect([state, remedy]).toEqual(['problem', expect.any(String)]);
});
