/** Changes of the configuration: what is refused, and what waits for a majority of both sets. */
import { describe, expect, test } from 'vitest';
import { type Cluster, formed } from '../../scenario/cluster.ts';

const three = { a: 'master', b: 'worker', c: 'worker' } as const;

const forget = (cluster: Cluster, asked: string, peerId: string): number =>
  cluster.ask(asked, { type: 'reconfigure', change: { type: 'forget', peerId } }, 30_000);

describe('a change of voters', () => {
  test('does not begin while a majority of the new set was not heard in this lead', () => {
    const cluster = formed(three);
    cluster.kill('c');
    cluster.run(2000);
    cluster.ask('a', { type: 'transfer', to: 'b' });
    cluster.run(500, () => cluster.leader()?.id === 'b');
    // b has just been elected; that c is dead it can't know, but it never heard it either.
    const ref = forget(cluster, 'b', 'a');
    cluster.run(12_000);
    expect(cluster.node('b').outcomes.get(ref)).toMatchObject({
      type: 'refused',
      code: 'no-quorum',
    });
    expect(cluster.status('b').configuration.outgoing).toBeNull();
    const write = cluster.propose('b', 'x');
    cluster.run(100);
    expect(cluster.node('b').outcomes.get(write)?.type).toBe('applied');
  });

  test('goes on as soon as the missing voter is back', () => {
    const cluster = formed(three);
    cluster.kill('c');
    cluster.run(2000);
    const ref = forget(cluster, 'a', 'b');
    cluster.run(3000);
    expect(cluster.node('a').outcomes.get(ref)).toBeUndefined();
    cluster.start('c');
    cluster.run(2000);
    expect(cluster.node('a').outcomes.get(ref)?.type).toBe('applied');
    expect(cluster.status('a').configuration.voters).toEqual(['a', 'c']);
  });

  test.each([
    ['the leader itself', { type: 'forget', peerId: 'a' }, 'conflict'],
    ['a stranger', { type: 'forget', peerId: 'x' }, 'bad-request'],
    ['voters without the leader', { type: 'voters', voters: ['b', 'c'] }, 'conflict'],
    ['a voter that may not vote', { type: 'voters', voters: ['a', 'l'] }, 'bad-request'],
  ])('%s is refused', (_, change, code) => {
    const cluster = formed({ ...three, l: 'leecher' });
    const ref = cluster.ask('c', { type: 'reconfigure', change });
    cluster.run(200);
    expect(cluster.node('c').outcomes.get(ref)).toMatchObject({ type: 'refused', code });
  });
});
