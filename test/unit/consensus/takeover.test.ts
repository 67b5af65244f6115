/** Take-over by rank: one measure of rank, and everything that stands against it. */
import { describe, expect, test } from 'vitest';
import { goodFacts } from '../../../src/consensus/core.ts';
import { type Cluster, formed } from '../../scenario/cluster.ts';

const timing = { holdMs: 1000, takeoverCooldownMs: 3000, voterGraceMs: 60_000 };
const three = { a: 'worker', b: 'worker', c: 'worker' } as const;

function raise(cluster: Cluster, id: string, rank: number): void {
  const member = { ...cluster.node(id).certificate, rank };
  cluster.ask('a', { type: 'reconfigure', change: { type: 'admit', member } });
}

describe('take-over', () => {
  test('goes by the member record on all nodes, whatever a certificate still says', () => {
    const cluster = formed(three, { timing });
    raise(cluster, 'c', 2001);
    raise(cluster, 'b', 2003);
    expect(cluster.node('b').certificate.rank).toBe(2000);
    cluster.run(4000);
    expect(cluster.leader()?.id).toBe('b');
  });

  test('an equal rank never takes over', () => {
    const cluster = formed(three, { timing });
    cluster.run(10_000);
    expect(cluster.leader()?.id).toBe('a');
    expect(cluster.status('a').term).toBe(2);
  });

  test.each([
    ['draining', { ...goodFacts, draining: true }],
    ['unhealthy', { ...goodFacts, health: 59 }],
    ['a store that cannot be written', { ...goodFacts, storeWritable: false }],
    ['trouble of its own', { ...goodFacts, trouble: 'disk-full' }],
  ])('%s stands against it', (_, facts) => {
    const cluster = formed(three, { timing });
    cluster.step(cluster.node('b'), { type: 'local', facts });
    raise(cluster, 'b', 2500);
    cluster.run(6000);
    expect(cluster.leader()?.id).toBe('a');
    const good = { ...goodFacts, health: 90 };
    cluster.step(cluster.node('b'), { type: 'local', facts: good });
    cluster.run(900);
    expect(cluster.leader()?.id).toBe('a');
    cluster.run(2000);
    expect(cluster.leader()?.id).toBe('b');
  });

  test('a challenger that no majority hears asks in vain', () => {
    const cluster = formed({ ...three, d: 'worker', e: 'worker' }, { timing });
    raise(cluster, 'b', 2500);
    for (const other of ['c', 'd', 'e']) cluster.cuts.add(`b>${other}`);
    cluster.run(8000);
    expect(cluster.leader()?.id).toBe('a');
    expect(cluster.status('a').term).toBe(2);
  });

  test('writes go on while the lead moves', () => {
    const cluster = formed(three, { timing });
    raise(cluster, 'b', 2500);
    const gaps: number[] = [];
    let last = cluster.nowMs;
    while (cluster.leader()?.id !== 'b' || gaps.length < 100) {
      const ref = cluster.propose('c', `${gaps.length}`);
      cluster.run(1000, () => cluster.node('c').outcomes.has(ref));
      expect(cluster.node('c').outcomes.get(ref)?.type).toBe('applied');
      gaps.push(cluster.nowMs - last);
      last = cluster.nowMs;
      if (gaps.length > 5000) throw new Error('b never took over');
    }
    expect(Math.max(...gaps)).toBeLessThan(50);
  });

  test('is not starved by writes that never pause', () => {
    const cluster = formed(three, { timing, linkMs: 5 });
    raise(cluster, 'b', 2500);
    for (let i = 0; i < 4000 && cluster.leader()?.id !== 'b'; i += 1) {
      cluster.propose('a', `${i}`);
      cluster.propose('c', `c${i}`);
      cluster.run(1);
    }
    expect(cluster.leader()?.id).toBe('b');
  });
});
