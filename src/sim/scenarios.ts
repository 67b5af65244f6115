/**
 * Directed scenarios: short stories for what chance meets too rarely. Every run of seeds begins
 * with all of them. A story that depends on who campaigns first is tried with several seeds, and
 * must have happened at least once.
 */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import { createClient } from './client.ts';
import { asSimFailure, SimFailure } from './failure.ts';
import { operationScenarios } from './operation-scenarios.ts';
import { roleScenarios } from './role-scenarios.ts';
import { certificate } from './roster.ts';
import type { SimNode } from './sim-node.ts';
import { acting, cutBothWays, masters, nodeAt, until, withStage } from './stage-directions.ts';
import type { World } from './world.ts';

export interface Scenario {
  readonly name: string;
  /** True when the story happened as told. */
  readonly tell: (seed: number) => boolean;
}

export interface ScenarioResult {
  readonly name: string;
  readonly failure: SimFailure | null;
}

const timesTold = 4;
const seedsMax = 30;

/**
 * A candidate without a promise of its own waits for one grant. The voter whose promise stands in
 * its way restarts, hears no leader any more, and is asked again at once.
 */
function restartedVoter(seed: number, leaseMsLongest: Ms): boolean {
  const cast = masters(3, { hardState: { leaseMsLongest } });
  return withStage(seed, cast, (world) => {
    const { network, queue } = world;
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader').number;
    const [voter, candidate] = [0, 1, 2].filter((number) => number !== leader) as [number, number];
    cutBothWays(world, leader, candidate, true);
    network.reset(leader, candidate);
    queue.runUntil(queue.nowMs() + 1500);
    if (acting(world)?.number !== leader) return false;
    cutBothWays(world, leader, voter, true);
    world.end(voter, 'kill');
    world.start(voter);
    queue.runUntil(queue.nowMs() + 1500);
    return true;
  });
}

/** A candidate asks for what it lacks; before the answer comes it follows somebody. */
function lateFetch(seed: number): boolean {
  const voted = { hardState: { term: 2 } };
  const cast = [...masters(2, voted), { ...present(masters(3)[2], 'the third'), terms: [1, 2] }];
  return withStage(seed, cast, (world) => {
    const { network, queue } = world;
    let asked = false;
    // Nobody but the longest log is heard, and that one only by the candidate.
    cutBothWays(world, 0, 1, true);
    network.setCut(2, 1, true);
    world.observer.tap((node, _, message) => {
      if (node.number !== 0 || message.type !== 'fetch' || message.purpose !== 'suffix') return;
      asked = true;
      network.setSlow(2, 2000);
    });
    if (!until(world, 3000, () => asked)) return false;
    cutBothWays(world, 0, 1, false);
    const followed = until(
      world,
      1900,
      () => nodeAt(world, 1).core()?.status(nodeAt(world, 1).now()).state === 'leader',
    );
    queue.runUntil(queue.nowMs() + 4000);
    return followed;
  });
}

/** Figure 8 of the Raft paper: an old entry on a majority may still be overwritten. */
function oldEntry(seed: number): boolean {
  const padding = { term: 2, bytes: 600_000 };
  const base = masters(5, { hardState: { term: 3 } });
  const terms = [[1, 2], [1, 2], [1], [1], [1, 3]];
  const cast = base.map((item, number) => ({ ...item, terms: terms[number] ?? [1], padding }));
  return withStage(seed, cast, (world) => {
    const { network, queue } = world;
    world.end(3, 'kill');
    world.end(4, 'kill');
    let held = false;
    world.observer.tap((node, to, message) => {
      if (node.number !== 2 || message.type !== 'append-reply' || message.match !== 3) return;
      const leader = world.node(to);
      if (leader === null || held) return;
      held = true;
      network.setCut(leader.number, 2, true);
    });
    if (!until(world, 4000, () => held)) return false;
    queue.runUntil(queue.nowMs() + 20);
    world.end(0, 'kill');
    world.end(1, 'kill');
    network.healAll();
    world.start(3);
    world.start(4);
    const elected = until(world, 6000, () => acting(world) !== null);
    queue.runUntil(queue.nowMs() + 500);
    return elected;
  });
}

/** A higher rank hears a candidate and can't win: its veto ends with the budget of patience. */
function deafHigherRank(seed: number): boolean {
  const ranks = [2, 1, 0, 0, 0];
  const cast = ranks.map((within, number) => ({
    certificate: certificate(`n${number}`, number < 2 ? 'master' : 'worker', within),
    terms: [1],
  }));
  return withStage(seed, cast, (world) => {
    if (!until(world, 8000, () => acting(world) !== null)) return false;
    world.queue.runUntil(world.queue.nowMs() + 1000);
    const leader = present(acting(world), 'a leader').number;
    if (leader === 1) return false;
    const others = [0, 2, 3, 4].filter((number) => number !== leader);
    const [hub, spoke, gone] = others as [number, number, number];
    cutBothWays(world, 1, spoke, true);
    world.end(leader, 'kill');
    world.end(gone, 'kill');
    const elected = until(world, 6000, () => acting(world) !== null);
    if (!elected && hub !== 0)
      throw new SimFailure('liveness', 'no-leader', `n${hub} reaches a majority`, 0);
    return hub !== 0;
  });
}

/** The leader is cut off and replaced at once; its successor hands over while its lease runs. */
function quickTransfer(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    const { network, queue, nodes } = world;
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const old = present(acting(world), 'a leader').number;
    queue.runUntil(queue.nowMs() + 500);
    const others = nodes.filter((node) => node.number !== old);
    for (const { number } of others) {
      cutBothWays(world, old, number, true);
      network.reset(old, number);
    }
    const sinceMs = queue.nowMs();
    const leading = () => others.find((node) => node.leads()) ?? null;
    if (!until(world, 300, () => leading() !== null)) return false;
    const first = present(leading(), 'a successor');
    const heir = present(
      others.find((node) => node !== first),
      'an heir',
    );
    until(world, 20, () => false);
    world.leadership.excuseHandOver(queue.nowMs() + 1000);
    askTransfer(world, first, heir);
    const done = until(world, 300, () => heir.leads());
    const soon = queue.nowMs() - sinceMs < 300;
    queue.runUntil(queue.nowMs() + 1000);
    return done && soon;
  });
}

function askTransfer(world: World, from: SimNode, to: SimNode): void {
  const sentMs = world.queue.nowMs();
  const done = (): void => undefined;
  const ref = world.clients.open({
    ...{ kind: 'transfer', node: from, sentMs, floor: 0, row: null, done },
  });
  from.post({ type: 'transfer', ref, to: to.id, deadlineMs: from.now().monoMs + 2000 });
}

/** Wall time was once set ahead; the machine sleeps, and wakes when it is set right again. */
function hiddenSleep(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    const { queue } = world;
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    leader.clock.setWall(queue.nowMs(), 3_600_000);
    queue.runUntil(queue.nowMs() + 1500);
    if (acting(world) !== leader) return false;
    leader.stop();
    leader.clock.suspend(queue.nowMs());
    queue.runUntil(queue.nowMs() + 3000);
    leader.clock.setWall(queue.nowMs(), 0);
    leader.clock.resume(queue.nowMs());
    world.leadership.checkActing();
    leader.resume();
    queue.runUntil(queue.nowMs() + 2000);
    return true;
  });
}

/** A read waits at a node whose snapshot has arrived, but is not installed: its disk is stuck. */
function readBeforeInstall(seed: number): boolean {
  const limits = { trailingEntriesMax: 2, trailingBytesMax: 1_000_000 };
  const tell = (world: World): boolean => {
    const { network, queue, nodes } = world;
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    const late = present(
      nodes.find((node) => node !== leader),
      'a follower',
    );
    for (const { number } of nodes)
      if (number !== late.number) cutBothWays(world, late.number, number, true);
    const client = createClient({
      ...{ queue, prng: world.prng.fork(), checks: world.clients, thinkMs: 5 },
      ...{ nodes: () => [leader], acknowledged: world.log.acknowledged },
    });
    client.start();
    queue.runUntil(queue.nowMs() + 500);
    client.finish();
    leader.checkpoint(0);
    late.disk.setStuck(true);
    network.healAll();
    queue.runUntil(queue.nowMs() + 150);
    let answered = false;
    const ref = world.clients.open({
      ...{ kind: 'read', node: late, sentMs: queue.nowMs(), row: null },
      ...{ floor: world.log.acknowledged(), done: () => (answered = true) },
    });
    late.post({ type: 'read', ref, deadlineMs: late.now().monoMs + 2000 });
    queue.runUntil(queue.nowMs() + 1000);
    late.disk.setStuck(false);
    until(world, 2000, () => answered);
    return world.tally.snapshots > 0;
  };
  return withStage(seed, masters(3), tell, { limits, blankCatalogs: false });
}

export const scenarios: readonly Scenario[] = [
  { name: 'restart keeps the promise', tell: (seed) => restartedVoter(seed, 0) },
  { name: 'a longer lease survives a restart', tell: (seed) => restartedVoter(seed, 100) },
  { name: 'a late fetch is dropped', tell: lateFetch },
  { name: 'an old entry is not committed by counting', tell: oldEntry },
  { name: 'a transfer releases no older promise', tell: quickTransfer },
  { name: 'a wall clock set right hides no sleep', tell: hiddenSleep },
  { name: 'a read waits for the installation of a snapshot', tell: readBeforeInstall },
  { name: 'a deaf higher rank does not stop an election', tell: deafHigherRank },
  ...operationScenarios,
  ...roleScenarios,
];

function runScenario({ name, tell }: Scenario): ScenarioResult {
  try {
    let told = 0;
    for (let seed = 1; seed <= seedsMax && told < timesTold; seed++) if (tell(seed)) told += 1;
    if (told === 0) throw new SimFailure('liveness', 'story', `${name}: it never happened`, 0);
    return { name, failure: null };
  } catch (thrown) {
    return { name, failure: asSimFailure(thrown, 0) };
  }
}

export function runScenarios(): ScenarioResult[] {
  return scenarios.map(runScenario);
}
