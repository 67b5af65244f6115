/** Linearizable reads: confirmed by a round, answered where they were asked. */
import { describe, expect, test } from 'vitest';
import { formed } from '../../scenario/cluster.ts';

const roles = { a: 'master', b: 'worker', c: 'worker', l: 'leecher' } as const;

describe('reads', () => {
  test('on any node see what was acknowledged before', () => {
    const cluster = formed(roles);
    const wrote = cluster.propose('b', 'x');
    cluster.run(50);
    const outcome = cluster.node('b').outcomes.get(wrote);
    const written = outcome?.type === 'applied' ? outcome.index : -1;
    for (const id of Object.keys(roles)) {
      const ref = cluster.ask(id, { type: 'read' });
      cluster.run(100);
      expect(cluster.node(id).reads.get(ref)).toEqual({ type: 'ready', index: written });
      expect(cluster.status(id).appliedIndex).toBeGreaterThanOrEqual(written);
    }
  });

  test('thousands at once share few rounds and every one is answered once', () => {
    const cluster = formed(roles);
    const core = cluster.node('l').core;
    const before = cluster.messages;
    for (let ref = 1; ref <= 8000; ref += 1)
      core?.step(cluster.now(cluster.node('l')), {
        type: 'read',
        ref,
        deadlineMs: cluster.nowMs + 2000,
      });
    cluster.drain(cluster.node('l'));
    cluster.run(90);
    expect(cluster.node('l').reads.size).toBe(8000);
    expect(cluster.messages - before).toBeLessThan(60);
  });

  test('a leader that is cut off answers none', () => {
    const cluster = formed(roles);
    cluster.isolate('a', false);
    const ref = cluster.ask('a', { type: 'read' }, 3000);
    cluster.run(4000);
    expect(cluster.node('a').reads.get(ref)).toMatchObject({ type: 'refused', code: 'no-quorum' });
  });

  test('asked under one leader they are answered by the next', () => {
    const cluster = formed(roles);
    cluster.kill('a');
    const ref = cluster.ask('c', { type: 'read' }, 3000);
    cluster.run(200);
    expect(cluster.node('c').reads.get(ref)).toMatchObject({ type: 'ready' });
  });

  test('wait until a received snapshot is in the catalog', () => {
    const cluster = formed(roles, { trailing: 2 });
    cluster.isolate('c', false);
    for (let i = 0; i < 10; i += 1) {
      cluster.propose('a', `${i}`);
      cluster.run(20);
    }
    for (const node of cluster.nodes.values())
      cluster.step(node, { type: 'compact', index: node.disk.applied });
    cluster.node('c').stuck = [];
    cluster.rejoin('c');
    const ref = cluster.ask('c', { type: 'read' }, 60_000);
    cluster.run(3000);
    expect(cluster.status('c').commitIndex).toBe(cluster.status('a').commitIndex);
    expect(cluster.node('c').reads.get(ref)).toBeUndefined();
    expect(cluster.node('c').catalog).toEqual([]);
    cluster.releaseDisk('c');
    cluster.run(1000);
    expect(cluster.node('c').reads.get(ref)).toMatchObject({ type: 'ready' });
    expect(cluster.node('c').catalog).toEqual(cluster.node('a').catalog);
  });
});
