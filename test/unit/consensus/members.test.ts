/** Changes of the configuration: what is refused, and what waits for a majority of both sets. */
import { describe, expect, test } from 'vitest';
import { type Cluster, certificateOf, formed } from '../../scenario/cluster.ts';

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

describe('a change of role', () => {
  const setRole = (cluster: Cluster, asked: string, id: string, role: string): number => {
    const member = cluster.certified(id, role);
    return cluster.ask(asked, { type: 'reconfigure', change: { type: 'role', member } }, 30_000);
  };

  test('a voter that becomes a leecher is out of the voters before it is answered', () => {
    const cluster = formed({ ...three, d: 'worker', e: 'worker' });
    cluster.run(2000);
    expect(cluster.status('a').configuration.voters).toHaveLength(5);
    const ref = setRole(cluster, 'c', 'b', 'leecher');
    cluster.run(500);
    expect(cluster.node('c').outcomes.get(ref)?.type).toBe('applied');
    const { voters, outgoing, members } = cluster.status('a').configuration;
    // Four are eligible now, and three of them vote.
    expect([voters.length, voters.includes('b'), outgoing]).toEqual([3, false, null]);
    expect(members.find(({ peerId }) => peerId === 'b')).toMatchObject({ role: 'leecher' });
    // It hears the end of the change from the others, as everybody who does not vote.
    cluster.run(2000);
    expect(cluster.status('b')).toMatchObject({ state: 'learner', cannotLeadReason: 'role' });
  });

  test('a leecher that becomes a worker votes once it has caught up', () => {
    const cluster = formed({ a: 'master', b: 'worker', l: 'leecher' });
    cluster.run(2000);
    cluster.certify(cluster.certified('l', 'worker'));
    setRole(cluster, 'a', 'l', 'worker');
    cluster.run(3000);
    expect(cluster.status('l').configuration.voters.toSorted()).toEqual(['a', 'b', 'l']);
    expect(cluster.status('l').cannotLeadReason).toBeNull();
  });

  test('of two witnesses at most one votes', () => {
    const cluster = formed({ ...three, w: 'witness', d: 'worker' });
    cluster.run(3000);
    expect(cluster.status('a').configuration.voters).toHaveLength(5);
    setRole(cluster, 'a', 'd', 'witness');
    cluster.run(1000);
    const { voters } = cluster.status('a').configuration;
    expect(voters.toSorted()).toEqual(['a', 'b', 'c']);
  });

  test('is refused while the voters that stay have no majority', () => {
    const cluster = formed(three);
    cluster.run(2000);
    cluster.kill('c');
    cluster.run(1000);
    const ref = setRole(cluster, 'a', 'b', 'leecher');
    cluster.run(12_000);
    expect(cluster.node('a').outcomes.get(ref)).toMatchObject({ code: 'no-quorum' });
    expect(cluster.status('a').configuration).toMatchObject({ outgoing: null });
    expect(cluster.status('a').configuration.voters).toHaveLength(3);
  });

  test('a leader keeps the right to lead; another rank it may have', () => {
    const cluster = formed(three);
    cluster.run(2000);
    const refs = ['leecher', 'witness', 'worker'].map((role) => setRole(cluster, 'b', 'a', role));
    const stranger = certificateOf('x', 'worker');
    refs.push(
      cluster.ask('b', { type: 'reconfigure', change: { type: 'role', member: stranger } }),
    );
    cluster.run(500);
    const outcomes = refs.map((ref) => cluster.node('b').outcomes.get(ref));
    expect(outcomes).toMatchObject([
      { type: 'refused', code: 'conflict' },
      { type: 'refused', code: 'conflict' },
      { type: 'applied' },
      { type: 'refused', code: 'bad-request' },
    ]);
    expect(cluster.leader()?.id).toBe('a');
  });

  test('a leader whose certificate no longer lets it lead steps down', () => {
    const cluster = formed(three);
    cluster.run(2000);
    cluster.certify(cluster.certified('a', 'witness'));
    cluster.run(2000);
    expect(cluster.leader()?.id).toBe('b');
    expect(cluster.status('a').cannotLeadReason).toBe('role');
  });
});
