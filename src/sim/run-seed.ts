/**
 * One seed from beginning to end: a cluster forms, burns for at least 30 simulated seconds with at
 * least 200 proposals and 5 episodes of trouble, then the trouble stops and it must come to rest.
 */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import { createPrng } from '../base/prng.ts';
import { type Client, createClient } from './client.ts';
import { explainUnrest } from './convergence.ts';
import { asSimFailure, SimFailure } from './failure.ts';
import { createFaults, type Faults } from './faults.ts';
import { createLostMajority } from './lost-majority.ts';
import { createMaintenance, type Maintenance } from './maintenance.ts';
import { createOperator, type Operator } from './operator.ts';
import { createRoster, type Roster } from './roster.ts';
import { createSeedPlan, type SeedPlan } from './seed-plan.ts';
import { createWorld, type World } from './world.ts';

export interface SeedReport {
  readonly seed: number;
  readonly failure: SimFailure | null;
  readonly hash: string;
  readonly nodes: number;
  readonly simulatedMs: Ms;
  readonly proposals: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly episodes: number;
  readonly terms: number;
  readonly handOvers: number;
  readonly ordersExecuted: number;
  readonly ordersRefused: number;
  readonly snapshots: number;
  readonly jointChanges: number;
  readonly damaged: number;
  readonly newEpochs: number;
  readonly trace: readonly string[];
}

export interface SeedOptions {
  readonly keepTrace?: boolean;
  /** Only these kinds of trouble. */
  readonly faults?: readonly string[];
  /** How long the cluster may take to come to rest. */
  readonly restMs?: Ms;
}

const formationMsMax: Ms = 60_000;
const chaosMsMax: Ms = 150_000;
const proposalsMin = 200;
/** The doubled cool-down of take-overs may last ten minutes. */
const restMsMax: Ms = 700_000;
const stepMs: Ms = 100;

function runWhile(world: World, limitMs: Ms, going: () => boolean): boolean {
  const untilMs = world.queue.nowMs() + limitMs;
  while (going()) {
    if (world.queue.nowMs() >= untilMs) return false;
    world.queue.runUntil(world.queue.nowMs() + stepMs);
  }
  return true;
}

function unrest(world: World, what: string): SimFailure {
  const states = world.nodes.map((node) => {
    const status = node.core()?.status(node.now());
    const old = node.epoch === world.epoch() ? '' : ' in the old epoch';
    if (status === undefined) return `${node.id} ${node.damage() ?? 'absent'}${old}`;
    const { state, term, leader, commitIndex, appliedIndex, lastIndex } = status;
    const { voters, outgoing } = status.configuration;
    return (
      `${node.id}(${node.certificate.rank})${old} ${state} term ${term} leader ${leader} ` +
      `log ${lastIndex} ` +
      `commit ${commitIndex} applied ${appliedIndex} voters ${voters} | ${outgoing ?? '-'}`
    );
  });
  const detail = `${what}\n  ${states.join('\n  ')}`;
  return new SimFailure('liveness', 'no-rest', detail, world.queue.nowMs());
}

/** Something that happens again and again until `over`. */
function repeat(world: World, nextMs: () => Ms, over: () => boolean, run: () => void): void {
  const { queue } = world;
  queue.in(nextMs(), () => {
    if (over()) return;
    run();
    repeat(world, nextMs, over, run);
  });
}

function form(world: World, plan: SeedPlan, roster: Roster): void {
  const first = present(world.nodes[0], 'the first node');
  first.bootstrap = true;
  first.admitted = true;
  let formed = 0;
  for (const number of plan.founders) roster.admit(number, () => formed++);
  if (!runWhile(world, formationMsMax, () => formed < plan.founders.length))
    throw unrest(world, `the cluster does not form: ${formed} of ${plan.founders.length} admitted`);
  const wanted = plan.founders.map((number) => present(world.nodes[number], 'a founder').id);
  if (!runWhile(world, formationMsMax, () => explainUnrest(world, wanted) !== null))
    throw unrest(world, `after forming: ${explainUnrest(world, wanted)}`);
}

function makeClients(world: World, plan: SeedPlan): Client[] {
  const clients: Client[] = [];
  for (let i = 0; i < plan.clients; i++) {
    clients.push(
      createClient({
        ...{ queue: world.queue, prng: world.prng.fork(), checks: world.clients },
        nodes: () => world.nodes.filter((node) => node.admitted && node.epoch === world.epoch()),
        acknowledged: world.log.acknowledged,
        thinkMs: (plan.chaosMs / 260) * plan.clients * 0.8,
      }),
    );
  }
  return clients;
}

interface Burning {
  readonly operator: Operator;
  readonly roster: Roster;
  readonly faults: Faults;
  readonly clients: readonly Client[];
  readonly maintenance: Maintenance;
}

function burn(world: World, plan: SeedPlan, burning: Burning): number {
  const { prng, queue } = world;
  const { roster, faults, clients, maintenance } = burning;
  let over = false;
  let strikes = 0;
  const ended = (): boolean => over;
  const meanMs = plan.chaosMs / plan.episodes;
  repeat(
    world,
    () => prng.range(0.2, 1.6) * meanMs,
    ended,
    () => {
      strikes += 1;
      faults.strike();
    },
  );
  repeat(
    world,
    () => prng.range(1500, 9000),
    ended,
    () => roster.change(),
  );
  repeat(
    world,
    () => prng.range(20, 120),
    ended,
    () => world.giveOrder(prng.int(world.nodes.length)),
  );
  repeat(
    world,
    () => prng.range(500, 5000),
    ended,
    () => world.disturb(prng.int(world.nodes.length)),
  );
  repeat(
    world,
    () => plan.checkpointMs * prng.range(0.5, 1.5),
    ended,
    () => prng.pick(world.nodes).checkpoint(plan.keepEntries),
  );
  if (plan.maintained) {
    repeat(world, () => prng.range(1000, 8000), ended, maintenance.act);
    repeat(world, () => prng.range(150, 900), ended, maintenance.allocate);
  }
  for (const client of clients) client.start();
  const startMs = queue.nowMs();
  const enough = (): boolean =>
    queue.nowMs() - startMs >= plan.chaosMs &&
    world.clients.proposals() >= proposalsMin &&
    strikes >= 5;
  runWhile(world, chaosMsMax, () => !enough());
  over = true;
  return strikes;
}

function rest(world: World, burning: Burning, limitMs: Ms): void {
  const { faults, clients, maintenance } = burning;
  faults.stopAll();
  for (const client of clients) client.finish();
  maintenance.finish();
  const calm = (): boolean =>
    clients.every((client) => client.idle()) &&
    maintenance.idle() &&
    explainUnrest(world, null) === null;
  if (runWhile(world, limitMs, () => !calm())) return;
  const waiting = clients.filter((client) => !client.idle()).length;
  throw unrest(world, `${waiting} clients wait; ${explainUnrest(world, null)}`);
}

/** The last act, for seeds that have one. */
function loseMajority(world: World, plan: SeedPlan, burning: Burning, limitMs: Ms): void {
  const { operator } = burning;
  const prng = world.prng.fork();
  if (!runWhile(world, limitMs, () => operator.busy() > 0 || explainUnrest(world, null) !== null))
    throw unrest(world, `before the majority is lost: ${explainUnrest(world, null)}`);
  const act = createLostMajority(world, prng.fork());
  if (!act.begin()) return;
  const clients = makeClients(world, plan);
  for (const client of clients) client.start();
  const faults = createFaults({
    ...{ world, prng: prng.fork(), weather: plan.weather, only: [] },
    slots: act.slots,
  });
  act.burn(faults);
  rest(world, { ...burning, faults, clients }, limitMs);
}

export function runSeed(seed: number, options: SeedOptions = {}): SeedReport {
  const plan = createSeedPlan(createPrng(seed).fork());
  const world = createWorld({
    ...{ seed, certificates: plan.certificates, timing: plan.timing, limits: plan.limits },
    keepTrace: options.keepTrace ?? false,
  });
  const { queue, prng, clients: checks, log } = world;
  const operator = createOperator({
    ...{ queue, prng: prng.fork(), checks, acknowledged: log.acknowledged },
    nodes: () => world.nodes,
    excuseHandOver: world.leadership.excuseHandOver,
    excuseVoters: world.configurations.excuse,
  });
  const roster = createRoster({ world, operator, prng: prng.fork(), spare: plan.spare });
  const faults = createFaults({
    ...{ world, prng: prng.fork(), weather: plan.weather, only: options.faults ?? [] },
    slots: roster.active,
  });
  const clients = makeClients(world, plan);
  const maintenance = createMaintenance(world, prng.fork());
  const burning = { operator, roster, faults, clients, maintenance };
  let failure: SimFailure | null = null;
  let episodes = 0;
  try {
    form(world, plan, roster);
    world.network.setWeather(plan.weather);
    episodes = burn(world, plan, burning);
    const restMs = options.restMs ?? restMsMax;
    rest(world, burning, restMs);
    if (plan.losesMajority) loseMajority(world, plan, burning, restMs);
  } catch (thrown) {
    failure = asSimFailure(thrown, queue.nowMs());
  }
  const report: SeedReport = {
    ...{ seed, failure, episodes, hash: world.trace.hash(), nodes: world.nodes.length },
    ...{ simulatedMs: queue.nowMs(), proposals: checks.proposals(), reads: checks.reads() },
    ...{ acknowledged: checks.acknowledged(), terms: world.leadership.leaderTerms() },
    handOvers: world.leadership.handOvers(),
    ordersExecuted: world.orders.executed,
    ordersRefused: world.orders.refused,
    snapshots: world.tally.snapshots,
    damaged: world.tally.damaged.size,
    newEpochs: world.tally.newEpochs,
    jointChanges: world.configurations.changes(),
    trace: world.trace.lines(),
  };
  world.close();
  return report;
}
