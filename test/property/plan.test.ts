import { describe, expect, test } from 'vitest';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { PinRecord } from '../../src/catalog/query-pins.ts';
import type { Action } from '../../src/plan/action.ts';
import type { CopyView, NodeView } from '../../src/plan/observed.ts';
import { planReplication } from '../../src/plan/replication.ts';
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

describe('one pin against a dumb second opinion', () => {
  const pick = <T>(prng: Prng, list: readonly T[]): T => prng.pick(list);

  function randomCase(prng: Prng) {
    const peers = Array.from({ length: 2 + prng.int(6) }, (_, i) => `n${i}`);
    const nodes: NodeView[] = peers.map((peer) => {
      const state = pick(prng, ['alive', 'alive', 'alive', 'suspect', 'failed'] as const);
      return {
        peer,
        role: pick(prng, ['master', 'worker', 'worker', 'leecher', 'witness'] as const),
        zone: pick(prng, ['a', 'b']),
        state,
        goneForMs: state === 'alive' ? null : pick(prng, [10, 1000]),
        draining: prng.chance(0.15),
        health: pick(prng, ['healthy', 'healthy', 'degraded', 'unhealthy', 'unknown'] as const),
        bytesFree: pick(prng, [null, 50, 1e9]),
        bytesQueued: pick(prng, [0, 0, 60]),
      };
    });
    const min = 1 + prng.int(3);
    const allocated = prng.shuffle([...peers, 'forgotten']).slice(0, prng.int(6));
    const copies: CopyView[] = peers
      .filter(() => prng.chance(0.7))
      .map((peer) => ({
        peer,
        state: pick(prng, ['pinned', 'pinned', 'fetching', 'failed', 'unavailable'] as const),
        stateForMs: pick(prng, [10, 1000]),
        verifiedForMs: pick(prng, [null, 5]),
      }));
    const pin: PinRecord = {
      ...{
        cid: `c${prng.int(1000)}`,
        name: '',
        bytes: 100,
        blocks: 1,
        min,
        max: min + prng.int(3),
      },
      ...{ labels: {}, expiresAtMs: null, version: 3, createdIndex: 3, createdAtMs: 0 },
      allocation: {
        peers: allocated,
        version: allocated.length === 0 ? 0 : 4,
        reliesOn: prng.chance(0.2) ? allocated.slice(0, min) : [],
        term: 1,
        reason: '',
      },
    };
    return { nodes, pin, copies };
  }

  /** The rules once more, written down as flatly as can be. */
  function opinion({ nodes, pin, copies }: ReturnType<typeof randomCase>) {
    const node = new Map(nodes.map((one) => [one.peer, one]));
    const copy = new Map(copies.map((one) => [one.peer, one]));
    const stores = (peer: string) =>
      node.get(peer)?.role === 'master' || node.get(peer)?.role === 'worker';
    const { peers } = pin.allocation;
    const lost = (peer: string): boolean => {
      const view = node.get(peer);
      if (!view || !stores(peer) || view.draining) return true;
      if (view.state === 'failed' && (view.goneForMs ?? 0) >= 100) return true;
      const report = copy.get(peer);
      return report?.state === 'failed' && report.stateForMs >= 100;
    };
    const proved = (peer: string): boolean =>
      !lost(peer) &&
      node.get(peer)?.state === 'alive' &&
      copy.get(peer)?.state === 'pinned' &&
      copy.get(peer)?.verifiedForMs !== null;
    const eligible = nodes.filter(({ peer, state, draining, bytesFree, bytesQueued }) => {
      if (!stores(peer) || peers.includes(peer) || state !== 'alive' || draining) return false;
      const room = bytesFree === null || bytesFree - bytesQueued >= 100;
      return room || copy.get(peer)?.state === 'pinned';
    });
    const strays = nodes.filter(
      ({ peer }) => stores(peer) && !peers.includes(peer) && copy.get(peer)?.state === 'pinned',
    );
    return {
      standing: peers.filter((peer) => !lost(peer)).length,
      places: peers.filter((peer) => stores(peer) && !node.get(peer)?.draining).length,
      proved: peers.filter(proved),
      eligible: eligible.map(({ peer }) => peer),
      strays: strays.map(({ peer }) => peer),
    };
  }

  test('5,000 cases', () => {
    for (let seed = 1; seed <= 5000; seed++) {
      const one = randomCase(createPrng(seed));
      const { pin } = one;
      const { peers, reliesOn } = pin.allocation;
      const said = opinion(one);
      const { actions } = planReplication({
        ...{ nodes: one.nodes, pins: [pin], copiesOf: () => one.copies, wallMs: 0 },
        ...{ repairBytes: 1e9, prng: createPrng(1) },
        rules: { repairGraceMs: 100, challengeAgeMs: 1000, actionsMax: 100 },
      });
      const changes = actions.filter(isChange);
      const what = `seed ${seed}: ${JSON.stringify({ pin, said, changes })}`;
      expect(changes.length, what).toBeLessThanOrEqual(1);
      const [action] = changes;
      const short =
        peers.length === 0
          ? pin.max
          : said.standing < pin.min
            ? pin.min - said.standing
            : Math.max(0, pin.max - said.places);
      if (short > 0 && said.eligible.length > 0) {
        if (action?.type !== 'allocate' && action?.type !== 'reallocate') throw new Error(what);
        const added = action.peers.filter((peer) => !peers.includes(peer));
        expect(
          peers.every((peer) => action.peers.includes(peer)),
          what,
        ).toBe(true);
        expect(added.length, what).toBe(Math.min(short, said.eligible.length));
        expect(
          added.every((peer) => said.eligible.includes(peer)),
          what,
        ).toBe(true);
        expect(new Set(action.peers).size, what).toBe(action.peers.length);
      } else if (action?.type === 'trim') {
        expect(action.peers.length, what).toBeGreaterThanOrEqual(pin.max);
        expect(action.reliesOn.length, what).toBeGreaterThanOrEqual(pin.min);
        expect(
          action.reliesOn.every((peer) => said.proved.includes(peer)),
          what,
        ).toBe(true);
        expect([...action.peers, ...action.remove].sort(), what).toEqual([...peers].sort());
        expect(
          action.remove.some((peer) => action.reliesOn.includes(peer)),
          what,
        ).toBe(false);
      } else if (action !== undefined) {
        expect(action, what).toMatchObject({ type: 'release', strays: said.strays, peers });
        expect(said.proved.length >= pin.min && reliesOn.length < pin.min, what).toBe(true);
      } else {
        const unproved = peers.length - said.proved.length;
        const free = peers.length - pin.max;
        const mayTrim = peers.length > 0 && free > 0 && said.proved.length >= pin.min;
        expect(mayTrim && (unproved > 0 || said.proved.length > pin.min), what).toBe(false);
      }
    }
  });
});
