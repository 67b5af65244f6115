/** The right to act, asked at single instants of one leader. */
import { describe, expect, test } from 'vitest';
import { formed } from '../../scenario/cluster.ts';

const roles = { a: 'master', b: 'worker', c: 'worker' } as const;

describe('mayAct', () => {
  test('ends with the lease, by the clock alone', () => {
    const cluster = formed(roles);
    const { core } = cluster.node('a');
    const { leaseMsRemaining } = cluster.status('a');
    const now = cluster.now(cluster.node('a'));
    expect(leaseMsRemaining).toBeGreaterThan(300);
    const at = (ms: number) => core?.mayAct({ ...now, monoMs: now.monoMs + ms });
    expect(at(leaseMsRemaining - 0.01)).toMatchObject({ term: 2 });
    expect(at(leaseMsRemaining)).toBeNull();
  });

  test.each([
    [20, true],
    [-20, true],
    [20.5, false],
    [-3_600_000, false],
    [1500, false],
  ])('a jump of %d ms between wall and monotonic time leaves it: %s', (jump, acts) => {
    const cluster = formed(roles);
    const now = cluster.now(cluster.node('a'));
    const right = cluster.node('a').core?.mayAct({ ...now, skippedMs: now.skippedMs + jump });
    expect(right !== null).toBe(acts);
  });

  test('a leader of one acts without anybody', () => {
    const cluster = formed({ a: 'master' });
    cluster.run(60_000);
    expect(cluster.acting()).toEqual(['a']);
  });

  test('never before the longest promise to the old leader has run out', () => {
    const cluster = formed(roles);
    const killedMs = cluster.nowMs;
    cluster.kill('a');
    cluster.run(200, () => cluster.leader() !== null);
    expect(cluster.nowMs - killedMs).toBeLessThan(20);
    cluster.run(2000, () => cluster.acting().length > 0);
    // The last heartbeat was acknowledged at most one heartbeat before the kill.
    expect(cluster.nowMs - killedMs).toBeGreaterThan(555 - 101);
    expect(cluster.nowMs - killedMs).toBeLessThan(560);
  });
});
