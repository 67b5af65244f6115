/**
 * Maintenance while it burns: nodes are drained and come back, the cluster is paused and resumed,
 * all of it by commands in the log; and an acting leader that allocates pins all the time, also
 * when it should know better, so that a pause has something to stop. In the end everything is
 * undone.
 */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { createProposer, epochStartMs, type Proposer } from './proposer.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface Maintenance {
  /** One random command. */
  act(): void;
  /** What an acting leader does by itself. */
  allocate(): void;
  /** Undrains and resumes until nothing is left. */
  finish(): void;
  idle(): boolean;
}

const tries = 20;
const lookMs: Ms = 300;

export function createMaintenance(world: World, prng: Prng): Maintenance {
  const { queue, clients: checks, log } = world;
  let open = 0;
  let finished = false;
  const make = (nodes: () => readonly SimNode[]): Proposer =>
    createProposer({
      ...{ queue, prng: prng.fork(), checks, nodes, acknowledged: log.acknowledged },
    });
  const members = (): SimNode[] => world.nodes.filter((node) => node.admitted);
  const acting = (): SimNode[] =>
    world.nodes.filter(
      (node) => node.state() === 'running' && node.core()?.mayAct(node.now()) != null,
    );
  const person = make(members);
  const planner = make(acting);

  function run(command: Parameters<Proposer['run']>[0]): void {
    open += 1;
    person.run(command, tries, () => {
      open -= 1;
    });
  }

  function pause(): void {
    const lastsMs = prng.chance(0.4) ? prng.range(1000, 8000) : null;
    const expiresAtMs = lastsMs === null ? null : epochStartMs + queue.nowMs() + lastsMs;
    run({ type: 'pause.set', owner: 'operator', reason: 'simulated', expiresAtMs });
  }

  function clear(): void {
    const { drained, paused } = log.oracle.maintenance();
    if (open > 0) return;
    for (const peer of drained) run({ type: 'drain.clear', peer });
    if (paused) run({ type: 'pause.clear' });
  }

  const clean = (): boolean => {
    const { drained, paused } = log.oracle.maintenance();
    return open === 0 && drained.length === 0 && !paused;
  };

  function clearAll(): void {
    clear();
    queue.in(lookMs, () => {
      if (!clean()) clearAll();
    });
  }

  return {
    act: () => {
      const { drained, paused } = log.oracle.maintenance();
      const kind = prng.int(5);
      // Somebody who has left may be named as well: that is refused.
      const all = prng.chance(0.2) ? world.nodes : members();
      if (kind <= 1 && all.length > 0)
        run({ type: 'drain.set', peer: prng.pick(all).id, owner: 'operator', reason: '' });
      else if (kind === 2 && drained.length > 0)
        run({ type: 'drain.clear', peer: prng.pick(drained) });
      else if (kind === 3 && !paused) pause();
      else if (paused) run({ type: 'pause.clear' });
    },
    allocate: () => {
      const [leader] = acting();
      if (leader === undefined) return;
      // Its loops stop at a pause that it knows of, mostly: the guard is elsewhere.
      if (leader.standing().paused && prng.chance(0.5)) return;
      const cid = `bafysimulated${prng.int(4)}`;
      const version = leader.catalog.allocationOf(cid);
      if (version === null) return;
      const peers = [present(prng.pick(world.nodes), 'a node').id];
      planner.run(
        {
          ...{ type: 'allocation.set', cid, peers, expectedVersion: version, reliesOn: [] },
          ...{ term: leader.term(), reason: 'simulated' },
        },
        1,
        () => undefined,
      );
    },
    finish: () => {
      if (finished) return;
      finished = true;
      clearAll();
    },
    idle: clean,
  };
}
