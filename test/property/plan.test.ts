import { describe, expect, test } from 'vitest';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { Action } from '../../src/plan/action.ts';
import { createPlanWorld, graceRounds, type PlanWorld } from './plan-world.ts';

const isChange = ({ type }: Action): boolean => type !== 'hurry' && type !== 'challenge';

function fault(world: PlanWorld, prng: Prng): void {
  const workers = world.nodes.filter(({ role, member }) => role === 'worker' && member);
  const node = prng.pick(workers);
  switch (prng.int(6)) {
    case 0:
    case 1:
      node.up = false;
      break;
    case 2:
    case 3:
      for (const other of world.nodes) if (prng.chance(0.5)) other.up = true;
      break;
    case 4:
      node.draining = !node.draining;
      break;
    default:
      world.newLeader();
  }
}

/** Rounds without faults until two plans in a row change nothing; answers how many it took. */
function settle(world: PlanWorld, roundsMax: number): number {
  let quiet = 0;
  for (let rounds = 1; rounds <= roundsMax; rounds++) {
    world.tick();
    const { actions } = world.plan();
    for (const action of actions) world.execute(action);
    world.work();
    const proved = actions.every(({ type }) => type === 'hurry');
    quiet = proved ? quiet + 1 : 0;
    if (quiet === 2) return rounds;
  }
  return Number.POSITIVE_INFINITY;
}

function expectGood(world: PlanWorld, seed: number): void {
  const storing = world.members().filter(({ role, draining }) => role === 'worker' && !draining);
  for (const pin of world.pins()) {
    const { peers } = pin.allocation;
    const what = `seed ${seed} ${pin.cid} min ${pin.min} max ${pin.max}: ${peers}`;
    expect(world.verified(pin), what).toBeGreaterThanOrEqual(Math.min(pin.min, storing.length));
    expect(peers, what).not.toContain('node-0');
    expect(peers.length, what).toBeLessThanOrEqual(pin.max);
  }
}

describe('plans cut short', () => {
  test('after any cut, delay, fault and new leader everything converges and no copy is lost', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const prng = createPrng(seed);
      const world = createPlanWorld(prng, { nodes: 7, pins: 20 });
      let late: readonly Action[] = [];
      for (let round = 0; round < 40; round++) {
        world.tick();
        if (prng.chance(0.3)) fault(world, prng);
        const { actions } = world.plan();
        const shuffled = prng.shuffle(actions);
        const cut = prng.int(shuffled.length + 1);
        // Yesterday's plan arrives after today's: compare-and-set makes it a no-op.
        for (const action of shuffled.slice(0, cut)) world.execute(action);
        for (const action of late) world.execute(action);
        late = shuffled.slice(cut);
        world.work();
      }
      for (const node of world.nodes) {
        node.up = true;
        node.draining = false;
      }
      expect(settle(world, 200), `seed ${seed}`).toBeLessThan(200);
      expectGood(world, seed);
      expect(world.catalog.recomputedDigest()).toBe(world.catalog.digest());
    }
  });

  test('a repair cut after each of its steps goes on where it was', () => {
    for (let cut = 0; cut < 40; cut++) {
      const world = createPlanWorld(createPrng(99), { nodes: 6, pins: 10, minLeast: 2 });
      settle(world, 100);
      const lost = world.nodes[1];
      if (lost) lost.up = false;
      let steps = 0;
      for (let round = 0; round < 12 && steps < cut; round++) {
        world.tick();
        for (const action of world.plan().actions) {
          if (steps++ === cut) break;
          world.execute(action);
        }
        world.work();
      }
      world.newLeader();
      expect(settle(world, 200), `cut after ${cut}`).toBeLessThan(200);
      for (const pin of world.pins()) {
        expect(world.verified(pin), `cut ${cut} ${pin.cid}`).toBeGreaterThanOrEqual(pin.min);
      }
    }
  });
});

test('a node that returns within the grace moves nothing, one gone for good moves the deficit', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = createPrng(seed * 101);
    const world = createPlanWorld(prng, { nodes: 6, pins: 20 });
    expect(settle(world, 100)).toBeLessThan(100);
    const node = prng.pick(world.nodes.slice(1));
    node.up = false;
    for (let round = 1; round < graceRounds; round++) {
      world.tick();
      expect(world.plan().actions.filter(isChange)).toEqual([]);
    }
    node.up = true;
    world.tick();
    expect(world.plan().actions.filter(isChange)).toEqual([]);
    node.up = false;
    for (let round = 0; round < graceRounds; round++) world.tick();
    const short = world
      .pins()
      .filter(
        ({ allocation: { peers }, min }) => peers.includes(node.peer) && peers.length === min,
      );
    const planned = world.plan();
    const moves = planned.actions.filter(isChange);
    expect(moves.length + planned.repairsDeferred, `seed ${seed}`).toBe(short.length);
    expect(moves.every(({ type }) => type === 'reallocate')).toBe(true);
  }
});

test('forgetting a node ends in the same number of copies elsewhere', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = createPrng(seed * 77);
    const world = createPlanWorld(prng, { nodes: 7, pins: 15, minLeast: 2 });
    expect(settle(world, 100)).toBeLessThan(100);
    const node = prng.pick(world.nodes.slice(1));
    node.up = false;
    node.member = false;
    expect(settle(world, 200), `seed ${seed}`).toBeLessThan(200);
    expectGood(world, seed);
    for (const pin of world.pins()) expect(pin.allocation.peers).not.toContain(node.peer);
  }
});
