/** How views of daemons become what their health is judged by. */
import { expect, test } from 'vitest';
import { createDaemonJudge, isRequired } from '../../../../src/agent/health/daemon-health.ts';
import { type DaemonType, type DaemonView, daemonTypes } from '../../../../src/daemons/api.ts';
import { offView } from '../../../../src/daemons/off-daemon.ts';
import { daemonComponent } from '../../../../src/health/daemon-score.ts';

const running = (type: DaemonType, more: Partial<DaemonView> = {}): DaemonView => ({
  ...offView(type),
  mode: 'managed',
  desired: 'started',
  state: 'running',
  ...more,
});
const finding = {
  ready: true,
  version: '1',
  detail: '',
  progress: null,
  facts: {},
  problems: [],
};
const scoreOf = (view: DaemonView, nowMs = 0, judge = createDaemonJudge()): number | undefined => {
  const [health] = judge.judge([view], 'master', nowMs);
  return health && daemonComponent(health.facts, nowMs).score;
};

test('what is off is not judged, what a person stopped is shown and not judged', () => {
  const judge = createDaemonJudge();
  expect(judge.judge(daemonTypes.map(offView), 'master', 0)).toEqual([]);
  const stopped = running('ipfs', { desired: 'stopped', state: 'stopped' });
  expect(judge.judge([stopped], 'master', 0)).toMatchObject([{ judged: false }]);
});

test('problems cost what their name says, unknown ones as much as a failed check', () => {
  const problem = (code: string) => ({ ...finding, problems: [{ code, text: 'why' }] });
  expect(scoreOf(running('ipfs', { finding }))).toBe(100);
  expect(scoreOf(running('ipfs', { finding: problem('no-peers') }))).toBe(80);
  expect(scoreOf(running('ipfs', { finding: problem('something-new') }))).toBe(70);
  expect(scoreOf(running('ipfs', { finding, checkError: 'no answer in time' }))).toBe(70);
  expect(scoreOf(running('ipfs', { state: 'crash-loop' }))).toBe(0);
});

test('stillness counts by the phase that the adapter names', () => {
  const at = (
    phase: string,
    height: string,
    ms: number,
    judge: ReturnType<typeof createDaemonJudge>,
  ) =>
    scoreOf(
      running('lotus', { finding: { ...finding, progress: height, facts: { phase } } }),
      ms,
      judge,
    );
  const judge = createDaemonJudge();
  expect(at('following', '5', 0, judge)).toBe(100);
  expect(at('following', '5', 121_000, judge)).toBe(40);
  expect(at('following', '6', 122_000, judge)).toBe(100);
  expect(at('downloading', '6', 250_000, judge)).toBe(100);
});

test.each([
  ['ipfs', 'leecher', 'managed', 'off', true],
  ['lotus', 'master', 'off', 'off', false],
  ['ipfs_cluster_service', 'master', 'managed', 'managed', true],
  ['ipfs_cluster_service', 'leecher', 'managed', 'managed', false],
  ['ipfs_cluster_follow', 'worker', 'managed', 'off', true],
  ['ipfs_cluster_follow', 'worker', 'managed', 'managed', false],
  ['ipfs_cluster_follow', 'master', 'managed', 'off', false],
] as const)('%s of a %s (%s, service %s): required %s', (type, role, mode, service, expected) => {
  const modes = {
    ipfs: 'off',
    ipfs_cluster_service: service,
    ipfs_cluster_follow: 'off',
    lotus: 'off',
  };
  expect(isRequired(type, role, { ...modes, [type]: mode })).toBe(expected);
});
