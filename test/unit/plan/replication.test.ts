import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { commandOf } from '../../../src/plan/action.ts';
import { planRules } from '../../../src/plan/observed.ts';
import { createPlanRound } from '../../../src/plan/replication.ts';
import { allVerified, copy, gone, node, nodes, pin, planOf } from './cluster.ts';

const grace = planRules.repairGraceMs;
const changes = (plan: ReturnType<typeof planOf>) =>
  plan.actions.filter(({ type }) => type !== 'hurry' && type !== 'challenge');

describe('new pins', () => {
  test('get max copies where there is room', () => {
    const plan = planOf({ pins: [pin('c1', [])] });
    expect(changes(plan)).toMatchObject([
      { type: 'allocate', cid: 'c1', expectedVersion: 0, reason: { code: 'new-pin', wanted: 3 } },
    ]);
    const [action] = changes(plan);
    expect(action?.type === 'allocate' && new Set(action.peers).size).toBe(3);
    expect(plan.shortfalls).toEqual([]);
    expect(plan.totals.unallocated).toBe(1);
  });

  test('each reason alone leaves a node out under its own code', () => {
    const all = [
      node('good'),
      node('reader', { role: 'leecher' }),
      node('judge', { role: 'witness' }),
      node('slow', { state: 'suspect', goneForMs: 900 }),
      gone('dead', 5000),
      node('leaving', { draining: true }),
      node('full', { bytesFree: 999 }),
      node('busy', { bytesFree: 2000, bytesQueued: 1500 }),
    ];
    const plan = planOf({ pins: [pin('c1', [])], nodes: all });
    expect(changes(plan)).toMatchObject([{ type: 'allocate', peers: ['good'] }]);
    expect(plan.shortfalls).toMatchObject([{ cid: 'c1', wanted: 3, found: 1 }]);
    expect(
      Object.fromEntries(plan.shortfalls[0]?.excluded.map((x) => [x.peer, x.code]) ?? []),
    ).toEqual({
      reader: 'role',
      judge: 'role',
      slow: 'suspect',
      dead: 'failed',
      leaving: 'draining',
      full: 'no-room',
      busy: 'no-room',
    });
  });

  test('room given away earlier in the round is not given twice', () => {
    const tight = [node('a', { bytesFree: 1500 })];
    const plan = planOf({ pins: [pin('c1', []), pin('c2', [])], nodes: tight });
    expect(changes(plan)).toHaveLength(1);
    expect(plan.shortfalls.find(({ cid }) => cid === 'c2')?.excluded).toEqual([
      { peer: 'a', code: 'no-room', bytesFree: 500, bytesNeeded: 1000 },
    ]);
  });

  test('spread over zones before anything else', () => {
    const zoned = [...'abcdef'].map((name, i) => node(name, { zone: `zone-${i % 3}` }));
    for (let i = 0; i < 50; i++) {
      const plan = planOf({ pins: [pin(`c${i}`, [])], nodes: zoned });
      const [action] = changes(plan);
      const peers = action?.type === 'allocate' ? action.peers : [];
      expect(new Set(peers.map((peer) => zoned.find((n) => n.peer === peer)?.zone)).size).toBe(3);
    }
  });

  test('a pin that once found too little room is topped up when there is more', () => {
    const placed = pin('c1', ['node-0', 'node-1']);
    expect(changes(planOf({ pins: [placed], nodes: nodes(2) }))).toEqual([]);
    expect(changes(planOf({ pins: [placed] }))).toMatchObject([
      { type: 'reallocate', reason: { code: 'below-max', wanted: 1 } },
    ]);
  });
});

describe('repair', () => {
  const placed = pin('c1', ['node-0', 'node-1', 'node-2']);
  const [, , ...others] = nodes(5);

  test('waits for the grace, then adds what is missing to min and keeps the old places', () => {
    const pins = [placed];
    const outage = (ms: number) => [gone('node-0', ms), gone('node-1', ms), ...others];
    expect(changes(planOf({ pins, nodes: outage(grace - 1) }))).toEqual([]);
    const plan = planOf({ pins, nodes: outage(grace) });
    expect(changes(plan)).toMatchObject([
      {
        type: 'reallocate',
        expectedVersion: 7,
        bytes: 1000,
        reason: {
          code: 'below-min',
          standing: 1,
          wanted: 1,
          lost: [
            { peer: 'node-0', code: 'gone' },
            { peer: 'node-1', code: 'gone' },
          ],
        },
      },
    ]);
    const [action] = changes(plan);
    const peers = action?.type === 'reallocate' ? action.peers : [];
    expect(peers.slice(0, 3)).toEqual(placed.allocation.peers);
    expect(['node-3', 'node-4']).toContain(peers[3]);
  });

  test('one lost copy of three moves nothing while two are counted on', () => {
    const plan = planOf({
      pins: [placed],
      nodes: [gone('node-0', grace * 9), ...nodes(5).slice(1)],
    });
    expect(changes(plan)).toEqual([]);
  });

  test('ten thousand pins: a short outage moves nothing, a long one moves the deficit', () => {
    const pins = Array.from({ length: 10_000 }, (_, i) =>
      pin(`c${i}`, [`node-${i % 5}`, `node-${(i + 1) % 5}`], { max: 2 }),
    );
    const rules = { actionsMax: 100_000 };
    const movesAfter = (ms: number) =>
      changes(planOf({ pins, rules, nodes: [gone('node-0', ms), ...nodes(5).slice(1)] }));
    expect(movesAfter(grace / 2)).toEqual([]);
    const moves = movesAfter(grace * 1.5);
    expect(moves).toHaveLength(4000);
    expect(moves.every((one) => one.type === 'reallocate' && one.added.length === 1)).toBe(true);
  });

  test('fewest copies first, within the bytes it may copy', () => {
    const pins = [
      pin('a-one-left', ['node-0', 'node-2'], { max: 2 }),
      pin('b-none-left', ['node-0', 'node-1'], { max: 2 }),
      pin('c-one-left', ['node-1', 'node-3'], { max: 2 }),
    ];
    const plan = planOf({
      pins,
      nodes: [gone('node-0', grace), gone('node-1', grace), ...others],
      repairBytes: 2500,
    });
    expect(changes(plan).map((one) => one.cid)).toEqual(['b-none-left', 'a-one-left']);
    expect(plan.repairBytes).toBe(3000);
    expect(plan.repairsDeferred).toBe(1);
  });

  test('a copy that keeps failing is replaced after the grace; unavailable content is not', () => {
    const reports = (state: 'failed' | 'unavailable', stateForMs: number) => () => [
      copy('node-0', { state, stateForMs, verifiedForMs: null }),
      copy('node-1'),
    ];
    const pins = [pin('c1', ['node-0', 'node-1'], { max: 2 })];
    expect(changes(planOf({ pins, copiesOf: reports('failed', grace - 1) }))).toEqual([]);
    expect(changes(planOf({ pins, copiesOf: reports('unavailable', grace) }))).toEqual([]);
    expect(changes(planOf({ pins, copiesOf: reports('failed', grace) }))).toMatchObject([
      { type: 'reallocate', reason: { lost: [{ peer: 'node-0', code: 'copy-failed' }] } },
    ]);
  });

  test('a draining node and a forgotten one are replaced at once', () => {
    const pins = [pin('c1', ['node-0', 'gone-for-good'])];
    const plan = planOf({ pins, nodes: [node('node-0', { draining: true }), ...others] });
    expect(changes(plan)).toMatchObject([
      { type: 'reallocate', reason: { code: 'below-min', standing: 0, wanted: 2 } },
    ]);
  });

  test('a draining node above the minimum gives its place away; its copy goes once others prove', () => {
    const leaving = [node('node-0', { draining: true }), ...nodes(5).slice(1)];
    expect(changes(planOf({ pins: [placed], nodes: leaving }))).toMatchObject([
      { type: 'reallocate', reason: { code: 'below-max', lost: [{ code: 'draining' }] } },
    ]);
    const moved = [pin('c1', ['node-0', 'node-1', 'node-2', 'node-3'])];
    const verified = ['node-0', 'node-1', 'node-2'].map((peer) => copy(peer));
    expect(
      changes(planOf({ pins: moved, nodes: leaving, copiesOf: () => verified })),
    ).toMatchObject([{ type: 'trim', remove: ['node-0'] }]);
  });

  test('a repair nobody can take is named and does not hold up the others', () => {
    const pins = [
      pin('huge', ['node-0', 'node-1'], { bytes: 1e15 }),
      pin('small', ['node-0', 'node-1']),
    ];
    const dead = [gone('node-0', grace), gone('node-1', grace), ...others];
    const plan = planOf({ pins, nodes: dead });
    expect(changes(plan).map(({ cid }) => cid)).toEqual(['small']);
    expect(plan.shortfalls).toMatchObject([{ cid: 'huge', wanted: 2, found: 0 }]);
  });
});

describe('trim', () => {
  const four = pin('c1', ['node-0', 'node-1', 'node-2', 'node-3']);

  test('only above max, relying on verified copies that stay', () => {
    const plan = planOf({ pins: [four] });
    const [action] = changes(plan);
    expect(action).toMatchObject({ type: 'trim', reason: { code: 'above-max', max: 3 } });
    if (action?.type !== 'trim') throw new Error('a trim');
    expect(action.remove).toHaveLength(1);
    expect(action.reliesOn).toHaveLength(3);
    expect(action.reliesOn).not.toContain(action.remove[0]);
    expect(changes(planOf({ pins: [pin('c1', ['node-0', 'node-1', 'node-2'])] }))).toEqual([]);
  });

  test('not while fewer than min are verified in this term', () => {
    const reports = (verified: number) => () =>
      four.allocation.peers.map((peer, i) =>
        copy(peer, { verifiedForMs: i < verified ? 1000 : null }),
      );
    expect(changes(planOf({ pins: [four], copiesOf: reports(1) }))).toEqual([]);
    const [action] = changes(planOf({ pins: [four], copiesOf: reports(2) }));
    expect(action).toMatchObject({ type: 'trim', reliesOn: ['node-0', 'node-1'] });
  });

  test('the gone go first, then the unproved', () => {
    const dead = [gone('node-0', grace), ...nodes(5).slice(1)];
    expect(changes(planOf({ pins: [four], nodes: dead }))).toMatchObject([
      { type: 'trim', remove: ['node-0'] },
    ]);
    const reports = () =>
      four.allocation.peers.map((peer) =>
        copy(peer, { verifiedForMs: peer === 'node-2' ? null : 0 }),
      );
    expect(changes(planOf({ pins: [four], copiesOf: reports }))).toMatchObject([
      { type: 'trim', remove: ['node-2'] },
    ]);
  });

  test('a verified copy on a node that is suspect is not relied on', () => {
    const suspects = ['node-0', 'node-1', 'node-2'].map((peer) =>
      node(peer, { state: 'suspect', goneForMs: 900 }),
    );
    expect(changes(planOf({ pins: [four], nodes: [...suspects, node('node-3')] }))).toEqual([]);
  });
});

describe('the rest', () => {
  test('an expired pin is removed by its version', () => {
    const pins = [pin('c1', ['node-0'], { expiresAtMs: 100 })];
    expect(changes(planOf({ pins, wallMs: 99 }))).not.toMatchObject([{ type: 'expire' }]);
    const [action] = changes(planOf({ pins, wallMs: 100 }));
    expect(action && commandOf(action, 3)).toEqual({
      type: 'pin.rm',
      cid: 'c1',
      expectedVersion: 5,
      automatic: true,
    });
  });

  test('unproved copies are challenged, silent and failing nodes hurried, bounded by chance', () => {
    const pins = Array.from({ length: 100 }, (_, i) =>
      pin(`c${i}`, ['node-0', 'node-1', 'node-2']),
    );
    const copiesOf = () => [copy('node-0', { verifiedForMs: null }), copy('node-1')];
    const plan = planOf({ pins, copiesOf, rules: { actionsMax: 10 } });
    const count = (type: string) => plan.actions.filter((one) => one.type === type).length;
    expect(count('challenge')).toBe(10);
    expect(count('hurry')).toBe(10);
    const due = planOf({ pins, rules: { challengeAgeMs: 1000, actionsMax: 1000 } });
    expect(due.actions.filter((one) => one.type === 'challenge')).toHaveLength(300);
    const far = plan.actions.filter((one) => Number(one.cid.slice(1)) >= 10);
    expect(far.length).toBeGreaterThan(0);
  });

  test('pages add up to the same plan as one list', () => {
    const pins = Array.from({ length: 30 }, (_, i) =>
      pin(`c${i}`, i % 3 === 0 ? [] : ['node-0', 'node-1', 'node-2', 'node-3'].slice(i % 2)),
    );
    const dead = [gone('node-0', grace), gone('node-1', grace), ...nodes(5).slice(2)];
    const round = createPlanRound({
      nodes: dead,
      copiesOf: allVerified(pins),
      wallMs: 0,
      repairBytes: 1e9,
      prng: createPrng(1),
    });
    for (let at = 0; at < 30; at += 7) round.page(pins.slice(at, at + 7));
    expect(round.finish()).toEqual(planOf({ pins, nodes: dead, repairBytes: 1e9 }));
  });

  test('totals tell what is placed', () => {
    const pins = [pin('c1', ['node-0', 'node-1']), pin('c2', ['node-0']), pin('c3', [])];
    expect(planOf({ pins }).totals).toEqual({
      pins: 3,
      placed: 1,
      belowMin: 2,
      unallocated: 1,
      verifiedCopies: 3,
    });
  });
});

describe('copies outside the allocation', () => {
  const holds = (peer: string, ...allocated: string[]) => [
    copy(peer, { verifiedForMs: null }),
    ...allocated.map((one) => copy(one)),
  ];

  test('whoever added the content is allocated first: nothing has to be copied to it', () => {
    for (let i = 0; i < 20; i++) {
      const full = [...nodes(4), node('adder', { bytesFree: 0, zone: 'far' })];
      const plan = planOf({
        pins: [pin(`c${i}`, [])],
        nodes: full,
        copiesOf: () => holds('adder'),
      });
      const [action] = changes(plan);
      expect(action?.type === 'allocate' && action.peers).toContain('adder');
    }
  });

  test('a repair takes the copy that is there and costs no bytes', () => {
    const pins = [pin('c1', ['node-0', 'node-1'], { max: 2 })];
    const plan = planOf({
      pins,
      nodes: [gone('node-0', grace), ...nodes(5).slice(1)],
      copiesOf: () => holds('node-4', 'node-1'),
    });
    expect(changes(plan)).toMatchObject([{ type: 'reallocate', added: ['node-4'], bytes: 0 }]);
  });

  test('it is released once min others are verified, and only once', () => {
    const placed = pin('c1', ['node-0', 'node-1', 'node-2']);
    const reports = (verified: number) => () => [
      copy('node-4', { verifiedForMs: null }),
      ...placed.allocation.peers.map((peer, i) =>
        copy(peer, { verifiedForMs: i < verified ? 5 : null }),
      ),
    ];
    expect(changes(planOf({ pins: [placed], copiesOf: reports(1) }))).toEqual([]);
    const [action] = changes(planOf({ pins: [placed], copiesOf: reports(2) }));
    expect(action).toMatchObject({
      type: 'release',
      strays: ['node-4'],
      reliesOn: ['node-0', 'node-1'],
    });
    expect(action && commandOf(action, 3)).toMatchObject({
      type: 'allocation.set',
      peers: placed.allocation.peers,
      reliesOn: ['node-0', 'node-1'],
    });
    const asked = { ...placed.allocation, reliesOn: ['node-0', 'node-1'] };
    const again = { ...placed, allocation: asked };
    expect(changes(planOf({ pins: [again], copiesOf: reports(2) }))).toEqual([]);
  });

  test('copies of leechers and strangers are no concern of the plan', () => {
    const placed = pin('c1', ['node-0', 'node-1', 'node-2']);
    const copiesOf = () => [
      copy('reader'),
      copy('stranger'),
      ...placed.allocation.peers.map((peer) => copy(peer)),
    ];
    const all = [...nodes(3), node('reader', { role: 'leecher' })];
    expect(changes(planOf({ pins: [placed], nodes: all, copiesOf }))).toEqual([]);
  });
});
