/** The face of the room: what is refused, what a caller is told, and when. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { ConsensusOptions } from '../../../src/consensus/api.ts';
import { createConsensus } from '../../../src/consensus/consensus.ts';
import { defaultTiming } from '../../../src/consensus/timing.ts';
import type { Message } from '../../../src/wire/consensus-message.ts';
import { certificateOf, formed } from '../../scenario/cluster.ts';

const options = (id: string, bootstrap = false): ConsensusOptions => ({
  id,
  certificate: certificateOf(id, 'master'),
  clusterId: 'c',
  epoch: 'e',
  session: 's',
  timing: defaultTiming,
  prng: createPrng(1),
  bootstrap,
  restored: {
    hardState: { term: 0, vote: null, leaseMsLongest: 0, fence: 0 },
    snapshot: null,
    entries: [],
    appliedIndex: 0,
  },
  now: { monoMs: 0, skippedMs: 0 },
});
const now = { monoMs: 1, skippedMs: 0 };
const head = { v: 1, cluster: 'c', epoch: 'e', term: 5 };
const heartbeat: Message = {
  type: 'heartbeat',
  ...head,
  round: 1,
  leaseMs: 500,
  commit: 0,
  direct: true,
  serving: true,
  rttMs: null,
  rank: 3000,
};

describe('messages that do not belong here', () => {
  test.each([
    ['epoch-mismatch', { ...heartbeat, epoch: 'x' }],
    ['cluster-mismatch', { ...heartbeat, cluster: 'x' }],
    ['version-mismatch', { ...heartbeat, v: 2 }],
  ])('%s is refused, answered, and changes nothing', (code, message) => {
    const core = createConsensus(options('a'));
    core.step(now, { type: 'message', from: 'b', certificate: null, message });
    const ready = core.ready();
    expect(ready.facts).toEqual([
      { type: 'refused-message', from: 'b', code, detail: 'heartbeat' },
    ]);
    expect(ready.messages.map(({ message: sent }) => sent)).toMatchObject([
      { type: 'reject', code },
    ]);
    expect(core.status(now)).toMatchObject({ term: 0, leader: null });
  });

  test('who may not lead is not followed', () => {
    const core = createConsensus(options('a'));
    const certificate = certificateOf('b', 'leecher');
    core.step(now, { type: 'message', from: 'b', certificate, message: heartbeat });
    expect(core.status(now).leader).toBeNull();
    expect(core.ready().facts).toMatchObject([{ type: 'refused-message', code: 'forbidden' }]);
  });
});

describe('the lease that a heartbeat carries', () => {
  test('is durable before it is acknowledged the first time, and never waits again', () => {
    const core = createConsensus(options('a'));
    core.step(now, { type: 'message', from: 'b', certificate: null, message: heartbeat });
    const first = core.ready();
    expect(first.messages).toEqual([]);
    expect(first.persist).toMatchObject([{ id: 1, hardState: { term: 5, leaseMsLongest: 500 } }]);
    core.step(now, { type: 'persisted', id: 1 });
    expect(core.ready().messages).toMatchObject([
      { to: 'b', message: { type: 'heartbeat-reply' } },
    ]);
    core.step(now, { type: 'message', from: 'b', certificate: null, message: heartbeat });
    expect(core.ready().messages).toHaveLength(1);
    const longer = { ...heartbeat, leaseMs: 540 };
    core.step(now, { type: 'message', from: 'b', certificate: null, message: longer });
    expect(core.ready().messages).toEqual([]);
  });

  test('is lowered only when every longer promise has run out', () => {
    const core = createConsensus(options('a'));
    const hear = (monoMs: number, leaseMs: number) => {
      const message = { ...heartbeat, leaseMs };
      core.step(
        { monoMs, skippedMs: 0 },
        { type: 'message', from: 'b', certificate: null, message },
      );
      return core.ready().persist.at(-1)?.hardState?.leaseMsLongest ?? null;
    };
    expect(hear(1, 500)).toBe(500);
    expect(hear(2, 200)).toBeNull();
    expect(hear(500, 200)).toBeNull();
    expect(hear(557, 200)).toBeNull();
    // The one promise to this leader was prolonged by shorter ones; it is over only after silence.
    expect(hear(800, 200)).toBe(200);
  });
});

describe('proposals', () => {
  test('without a leader they wait, and are refused at the deadline: nothing was done', () => {
    const core = createConsensus(options('a'));
    const data = new Uint8Array([1]);
    core.step(now, { type: 'propose', ref: 7, data, deadlineMs: 100 });
    expect(core.ready().outcomes).toEqual([]);
    expect(core.nextWakeMs()).toBeLessThanOrEqual(100);
    core.step({ monoMs: 100, skippedMs: 0 }, { type: 'tick' });
    expect(core.ready().outcomes).toMatchObject([
      { ref: 7, outcome: { type: 'refused', code: 'no-quorum' } },
    ]);
  });

  test('sent and not answered is unknown, never refused', () => {
    const cluster = formed({ a: 'master', b: 'worker', c: 'worker' });
    cluster.losing.set('answers', (_, __, message) => message.type === 'propose-reply');
    const ref = cluster.propose('c', 'x', 1500);
    cluster.run(2000);
    expect(cluster.node('c').outcomes.get(ref)).toEqual({ type: 'unknown' });
  });

  test('beyond the bound they are refused as overloaded', () => {
    const core = createConsensus(options('a'));
    for (let ref = 1; ref <= 8193; ref += 1)
      core.step(now, { type: 'propose', ref, data: new Uint8Array(1), deadlineMs: 1000 });
    expect(core.ready().outcomes).toMatchObject([
      { ref: 8193, outcome: { type: 'refused', code: 'overloaded' } },
    ]);
  });

  test('an answer carries the result of the apply, wherever it was asked', () => {
    const cluster = formed({ a: 'master', b: 'worker', l: 'leecher' });
    const ref = cluster.propose('l', 'hello');
    cluster.run(50);
    const outcome = cluster.node('l').outcomes.get(ref);
    expect(outcome?.type === 'applied' && Buffer.from(outcome.result).toString()).toMatch(
      /:hello$/,
    );
  });
});

describe('a store that failed', () => {
  test('ends the lead and the vote', () => {
    const cluster = formed({ a: 'master', b: 'worker', c: 'worker' });
    cluster.step(cluster.node('a'), { type: 'store-failed', detail: 'EIO' });
    expect(cluster.status('a')).toMatchObject({ state: 'follower', acting: false });
    expect(cluster.status('a').cannotLeadReason).toBe('store-failed');
    cluster.run(3000);
    expect(cluster.leader()?.id).not.toBe('a');
  });
});

test('equal index and term with another hash is corruption: named, and no vote any more', () => {
  const cluster = formed({ a: 'master', b: 'worker', c: 'worker' });
  const entry = cluster.node('b').disk.entries.at(-1);
  if (!entry) throw new Error('b has no entries');
  cluster.kill('b');
  const flipped = {
    ...entry,
    hash: `${entry.hash.slice(0, -1)}${entry.hash.endsWith('0') ? 1 : 0}`,
  };
  cluster.node('b').disk.entries.splice(-1, 1, flipped);
  cluster.start('b');
  cluster.propose('a', 'x');
  cluster.run(500);
  expect(cluster.node('b').facts).toContainEqual(
    expect.objectContaining({ type: 'corruption', detail: expect.stringMatching(/two hashes/) }),
  );
  cluster.kill('a');
  cluster.run(5000);
  expect(cluster.leader()).toBeNull();
});

test('ready() of a quiet node is empty', () => {
  const core = createConsensus(options('a', true));
  core.ready();
  core.step(now, { type: 'persisted', id: 1 });
  core.ready();
  const { persist, messages, apply, outcomes, facts } = core.ready();
  expect([persist, messages, apply, outcomes, facts].every((list) => list.length === 0)).toBe(true);
});
