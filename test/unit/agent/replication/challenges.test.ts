import { expect, test } from 'vitest';
import { createMetrics } from '../../../../src/agent/metrics.ts';
import { createChallenges } from '../../../../src/agent/replication/challenges.ts';
import { createObserved } from '../../../../src/agent/replication/observed.ts';
import type { Orders } from '../../../../src/agent/replication/orders.ts';
import { createFakeEngine, type FakeEngine, pinStatus } from './fake-engine.ts';

/** A leader `l` and holders, each with what it really has on its disk. */
function setUp(holders: Record<string, FakeEngine>) {
  const observed = createObserved();
  const metrics = createMetrics();
  const verified: string[] = [];
  const failed: string[] = [];
  let term: number | null = 5;
  for (const [peer, engine] of Object.entries(holders)) {
    engine.set('x', 'pinned');
    observed.accept(
      peer,
      {
        epoch: '0'.repeat(32),
        incarnation: 1,
        seq: 1,
        full: true,
        more: false,
        pins: [{ ...pinStatus('x') }],
        gone: [],
        usage: { bytesStored: 1, bytesFree: 1, blocks: 1 },
        holdsContent: true,
      },
      0,
    );
  }
  const give: Orders['give'] = async (to, order) => {
    const engine = holders[to];
    if (engine === undefined) throw new Error(`no ${to}`);
    const answer = { executed: true, fence: 5, proof: null, blocks: null };
    if (order.type === 'challenge')
      return { ...answer, proof: await engine.prove(order.cid, order.blockIndex, order.nonce) };
    if (order.type === 'verify') return { ...answer, blocks: (await engine.verify('x')).blocks };
    return answer;
  };
  const challenges = createChallenges({
    self: 'l',
    observed,
    orders: { give, take: () => Promise.reject(new Error('not asked')) },
    metrics,
    nowMs: () => 1,
    actingTerm: () => term,
    onVerified: (cid, peer) => verified.push(`${cid} ${peer}`),
    onFailed: (cid, peer) => failed.push(`${cid} ${peer}`),
  });
  const end = async () => {
    await challenges.idle();
    metrics.stop();
  };
  return { challenges, observed, verified, failed, end, lose: () => (term = null) };
}

test('two equal copies are verified by one block of them', async () => {
  const [a, b] = [createFakeEngine(), createFakeEngine()];
  const { challenges, verified, end } = setUp({ a, b });
  challenges.ask('x', 'a');
  await end();
  expect(verified).toEqual(['x a']);
  expect(a.asked).toEqual(['prove x']);
  expect(b.asked).toEqual(['prove x']);
});

test('a lone copy is read and hashed again', async () => {
  const a = createFakeEngine();
  const { challenges, verified, end } = setUp({ a });
  challenges.ask('x', 'a');
  await end();
  expect(verified).toEqual(['x a']);
  expect(a.asked).toEqual(['verify x']);
});

test('where two copies differ the rotten one is found and the good one stays', async () => {
  const { challenges, verified, failed, end } = setUp({
    a: createFakeEngine('rotten'),
    b: createFakeEngine(),
  });
  challenges.ask('x', 'a');
  challenges.ask('x', 'b');
  await end();
  expect(verified).toEqual(['x b']);
  expect(failed).toEqual(['x a']);
});

test('nothing is verified once the lead is lost', async () => {
  const { challenges, verified, lose, end } = setUp({
    a: createFakeEngine(),
    b: createFakeEngine(),
  });
  challenges.ask('x', 'a');
  lose();
  await end();
  expect(verified).toEqual([]);
});
