/**
 * Episodes of trouble: each begins, lasts, and ends by itself. They overlap as chance has it. What
 * an episode broke for good (a damaged disk) is bounded so that a majority of intact voters stays:
 * beyond that no protocol promises anything.
 */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { LocalFacts } from '../consensus/api.ts';
import { goodFacts } from '../consensus/core.ts';
import type { NetworkWeather } from './network.ts';
import { clockRateErrorMax } from './node-clock.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export const calmWeather: NetworkWeather = {
  ...{ delayMsMin: 0.2, delayMsMax: 1.5 },
  ...{ loss: 0, duplication: 0, reordering: 0 },
};

export interface Faults {
  /** Begins one random episode. */
  strike(): void;
  /** Undoes everything: all machines run, all paths are open, all disks are fast. */
  stopAll(): void;
  episodes(): ReadonlyMap<string, number>;
}

export interface FaultDeps {
  readonly world: World;
  readonly prng: Prng;
  readonly weather: NetworkWeather;
  /** Slots that take part. */
  readonly slots: () => readonly number[];
  /** Kinds that are in force in this seed; all when empty. */
  readonly only: readonly string[];
}

type Episode = (lastsMs: Ms) => void;

export function createFaults(deps: FaultDeps): Faults {
  const { world, prng } = deps;
  const { queue, network } = world;
  const counts = new Map<string, number>();
  const failed = new Set<SimNode>();
  const lastTrouble = new Map<SimNode, symbol>();
  let over = false;

  const nodeAt = (slot: number): SimNode => present(world.nodes[slot], 'a node');
  const anybody = (): SimNode => nodeAt(prng.pick(deps.slots()));
  /** The leader twice as often as chance would: trouble there is what elections are for. */
  const victim = (): SimNode => {
    const leader = world.nodes.find((node) => node.leads());
    return leader !== undefined && prng.chance(0.45) ? leader : anybody();
  };
  const after = (ms: Ms, run: () => void): void => {
    queue.in(ms, () => {
      if (!over) run();
    });
  };

  function crash(kind: 'kill' | 'power', lastsMs: Ms): void {
    const node = victim();
    world.end(node.number, kind);
    after(prng.chance(0.3) ? prng.range(1, 100) : lastsMs, () => world.start(node.number));
  }

  function crashSeveral(lastsMs: Ms): void {
    const share = prng.chance(0.3) ? 1 : prng.float();
    for (const slot of deps.slots()) {
      if (!prng.chance(share)) continue;
      world.end(slot, prng.chance(0.5) ? 'power' : 'kill');
      after(lastsMs * prng.range(0.5, 1.2), () => world.start(slot));
    }
  }

  function pause(lastsMs: Ms, suspend: boolean): void {
    const node = victim();
    if (node.state() !== 'running') return;
    const shown = prng.chance(0.4) ? prng.range(5, 600) : lastsMs;
    node.stop();
    if (suspend) node.clock.suspend(queue.nowMs());
    queue.in(shown, () => wake(node));
  }

  function wake(node: SimNode): void {
    if (node.clock.suspended()) node.clock.resume(queue.nowMs());
    node.resume();
  }

  function cutPaths(paths: readonly (readonly [number, number])[], lastsMs: Ms): void {
    // A path may go silent, or its connections break as well and can't be made again.
    const loud = prng.chance(0.5);
    for (const [from, to] of paths) {
      network.setCut(from, to, true);
      if (loud) network.reset(from, to);
    }
    after(lastsMs, () => {
      for (const [from, to] of paths) network.setCut(from, to, false);
    });
  }

  function pairs(wanted: (from: number, to: number) => boolean): [number, number][] {
    const out: [number, number][] = [];
    for (const from of deps.slots())
      for (const to of deps.slots()) if (from !== to && wanted(from, to)) out.push([from, to]);
    return out;
  }

  function resets(lastsMs: Ms): void {
    const times = 1 + prng.int(8);
    for (let i = 0; i < times; i++) {
      after(prng.range(0, lastsMs), () => {
        const node = victim();
        for (const slot of deps.slots())
          if (slot !== node.number && prng.chance(0.6)) network.reset(node.number, slot);
      });
    }
  }

  function beginTrouble(node: SimNode): symbol {
    const mine = Symbol('trouble');
    lastTrouble.set(node, mine);
    node.troubled = true;
    return mine;
  }

  function tellFacts(node: SimNode, facts: LocalFacts, lastsMs: Ms): void {
    const mine = beginTrouble(node);
    node.post({ type: 'local', facts });
    after(lastsMs, () => {
      node.post({ type: 'local', facts: goodFacts });
      // What it began while in trouble may still be under way; so may another trouble.
      after(1500, () => {
        if (lastTrouble.get(node) === mine) node.troubled = false;
      });
    });
  }

  function slowDisk(lastsMs: Ms): void {
    const node = victim();
    const fsyncMsMax = prng.range(10, 400);
    node.disk.setPace({ fsyncMsMin: fsyncMsMax / 4, fsyncMsMax });
    node.applyMs = prng.range(0.2, 60);
    after(lastsMs, () => restoreDisk(node));
  }

  function stuckDisk(lastsMs: Ms): void {
    const node = victim();
    if (prng.chance(0.6)) node.disk.setStuck(true);
    else node.applyStuck = true;
    after(lastsMs, () => restoreDisk(node));
  }

  function restoreDisk(node: SimNode): void {
    node.disk.setPace({ fsyncMsMin: 0.1, fsyncMsMax: 1 });
    if (node.disk.isStuck() || node.applyStuck) node.freedMs = queue.nowMs();
    node.disk.setStuck(false);
    node.applyStuck = false;
    node.applyMs = 0.2;
  }

  /** After a failed write only a restart brings the node back. */
  function replaceDisk(node: SimNode): void {
    if (!failed.delete(node)) return;
    world.end(node.number, 'kill');
    restoreDisk(node);
    node.troubled = false;
    world.start(node.number);
  }

  const episodes: Record<string, Episode> = {
    kill: (ms) => crash('kill', ms),
    power: (ms) => crash('power', ms),
    'crash-several': crashSeveral,
    stop: (ms) => pause(ms, false),
    suspend: (ms) => pause(ms, true),
    partition: (ms) => {
      const side = new Set(deps.slots().filter(() => prng.chance(0.5)));
      cutPaths(
        pairs((from, to) => side.has(from) !== side.has(to)),
        ms,
      );
    },
    isolate: (ms) => {
      const { number } = victim();
      const both = prng.int(3);
      cutPaths(
        pairs((from, to) => (both !== 1 && from === number) || (both !== 2 && to === number)),
        ms,
      );
    },
    'one-way-cuts': (ms) => {
      const share = prng.range(0.1, 0.6);
      cutPaths(
        pairs(() => prng.chance(share)),
        ms,
      );
    },
    resets,
    weather: (ms) => {
      network.setWeather({
        ...{ delayMsMin: 0.2, delayMsMax: prng.pick([2, 10, 50, 150, 400]) },
        loss: prng.chance(0.5) ? prng.range(0, 0.3) : 0,
        duplication: prng.range(0, 0.2),
        reordering: prng.range(0, 0.4),
      });
      after(ms, () => network.setWeather(deps.weather));
    },
    'slow-sender': (ms) => {
      const { number } = victim();
      network.setSlow(number, prng.range(20, 700));
      after(ms, () => network.setSlow(number, 0));
    },
    'slow-disk': slowDisk,
    'stuck-disk': stuckDisk,
    'broken-disk': (ms) => {
      const node = victim();
      node.disk.setStuck(true);
      beginTrouble(node);
      failed.add(node);
      node.post({ type: 'store-failed', detail: 'simulated' });
      after(ms, () => replaceDisk(node));
    },
    clock: () => {
      const node = anybody();
      const rate = 1 + prng.range(-clockRateErrorMax, clockRateErrorMax);
      node.clock.setRate(queue.nowMs(), rate);
      if (prng.chance(0.3)) node.clock.setWall(queue.nowMs(), prng.range(-1e7, 1e7));
    },
    draining: (ms) => tellFacts(victim(), { ...goodFacts, draining: true }, ms),
    'read-only': (ms) => tellFacts(victim(), { ...goodFacts, storeWritable: false }, ms),
    trouble: (ms) => tellFacts(victim(), { ...goodFacts, trouble: 'disk-full' }, ms),
    lag: (ms) => tellFacts(victim(), { ...goodFacts, loopLagMs: prng.range(1, 150) }, ms),
  };
  const names = Object.keys(episodes).filter(
    (name) => deps.only.length === 0 || deps.only.includes(name),
  );

  return {
    strike: () => {
      const name = prng.pick(names);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      const lastsMs = prng.chance(0.5) ? prng.range(20, 1200) : prng.range(500, 6000);
      world.trace.line(queue.nowMs(), () => `--- ${name} for ${lastsMs.toFixed(0)} ms`);
      present(episodes[name], name)(lastsMs);
    },
    stopAll: () => {
      over = true;
      network.healAll();
      network.setWeather(calmWeather);
      for (const node of world.nodes) {
        if (node.state() === 'stopped') wake(node);
        restoreDisk(node);
        node.troubled = false;
        node.post({ type: 'local', facts: goodFacts });
      }
      for (const node of [...failed]) if (deps.slots().includes(node.number)) replaceDisk(node);
      for (const slot of deps.slots()) world.start(slot);
    },
    episodes: () => counts,
  };
}
