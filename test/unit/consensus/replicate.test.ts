/** Replication between real cores: what is lost, restarted or late is caught up with. */
import { describe, expect, test } from 'vitest';
import { formed } from '../../scenario/cluster.ts';

const three = { a: 'master', b: 'worker', c: 'worker' } as const;

describe('replication', () => {
  test('a restarted follower learns the last commit of a quiet cluster', () => {
    const cluster = formed(three);
    cluster.propose('a', 'x');
    // Right after its acknowledgement left, before the commit index comes back.
    cluster.run(10, () => cluster.node('b').disk.entries.at(-1)?.term === 2);
    cluster.run(3, () => cluster.node('b').disk.entries.length === cluster.status('a').lastIndex);
    cluster.kill('b');
    cluster.run(200);
    cluster.start('b');
    cluster.run(1000);
    expect(cluster.status('b').appliedIndex).toBe(cluster.status('a').commitIndex);
  });

  test('a lost append is sent again', () => {
    let lost = 0;
    let losing = false;
    const cluster = formed(three, {
      drop: (_, to, message) => {
        const entries = message.type === 'append' && to === 'b' && message.entries.length > 0;
        if (!entries || !losing || lost >= 3) return false;
        lost += 1;
        return true;
      },
    });
    losing = true;
    for (let i = 0; i < 20; i += 1) {
      cluster.propose('a', `${i}`);
      cluster.run(5);
    }
    cluster.run(1500);
    expect(lost).toBe(3);
    expect(cluster.node('b').catalog).toEqual(cluster.node('a').catalog);
  });

  test('a follower that lags behind the cut log gets a snapshot', () => {
    const cluster = formed(three, { trailing: 5 });
    cluster.kill('c');
    for (let i = 0; i < 50; i += 1) {
      cluster.propose('a', `${i}`);
      cluster.run(20);
      for (const id of ['a', 'b']) {
        const index = cluster.node(id).disk.applied;
        cluster.step(cluster.node(id), { type: 'compact', index });
      }
    }
    expect(cluster.status('a').firstIndex).toBeGreaterThan(30);
    cluster.start('c');
    cluster.run(3000);
    expect(cluster.node('c').catalog).toEqual(cluster.node('a').catalog);
    expect(cluster.node('c').disk.snapshot?.configuration.voters).toEqual(['a', 'b', 'c']);
  });
});
