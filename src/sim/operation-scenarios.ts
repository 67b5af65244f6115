/**
 * Directed scenarios of maintenance: pauses, drains, resignations, departures, and a change of
 * voters on the word of the silent.
 */
import { present } from '../base/assert.ts';
import type { Ms, PeerId } from '../base/brand.ts';
import type { ConfigurationChange, LocalFacts, Timing } from '../consensus/api.ts';
import { goodFacts } from '../consensus/core.ts';
import { decodeResult, encodeEnvelope, type SimpleCommand } from '../wire/command.ts';
import { SimFailure } from './failure.ts';
import { certificate } from './roster.ts';
import type { Scenario } from './scenarios.ts';
import type { SimNode } from './sim-node.ts';
import { acting, cutBothWays, masters, nodeAt, until, withStage } from './stage-directions.ts';
import { type Cast, stageTiming } from './staged-world.ts';
import type { World } from './world.ts';

const quickTiming: Timing = {
  ...stageTiming,
  ...{ holdMs: 1000, takeoverCooldownMs: 1000, voterGraceMs: 2000 },
};
const quick = { timing: quickTiming };

function broken(world: World, check: string, detail: string): never {
  throw new SimFailure('correctness', check, detail, world.queue.nowMs());
}

const run = (world: World, ms: Ms): void => world.queue.runUntil(world.queue.nowMs() + ms);

function tell(node: SimNode, facts: Partial<LocalFacts>): void {
  node.troubled = true;
  node.post({ type: 'local', facts: { ...goodFacts, ...facts } });
}

function tellAll(world: World, facts: Partial<LocalFacts>): void {
  for (const node of world.nodes) tell(node, facts);
}

const votersOf = (world: World, node: SimNode): readonly PeerId[] =>
  present(node.core(), `${node.id} in ${world.options.seed}`).status(node.now()).configuration
    .voters;

/** One master above workers; with `standbys` that have no vote yet. */
function ranked(workers: number): Cast[] {
  const master = { certificate: certificate('n0', 'master', 0), terms: [1] };
  return [
    master,
    ...Array.from({ length: workers }, (_, i) => ({
      certificate: certificate(`n${i + 1}`, 'worker', 0),
      terms: [1],
    })),
  ];
}

/** The change ends; its outcome as a word. */
function ask(world: World, node: SimNode, change: ConfigurationChange): string {
  let ended = 'open';
  const ref = world.clients.open({
    ...{ kind: 'reconfigure', node, sentMs: world.queue.nowMs(), floor: 0, row: null },
    done: (answer) => {
      ended = answer.type;
    },
  });
  node.post({ type: 'reconfigure', ref, change, deadlineMs: node.now().monoMs + 3000 });
  until(world, 4000, () => ended !== 'open');
  return ended;
}

/** The higher rank is back and steady, a voter is dead past the grace: nothing moves. */
function pausedCluster(seed: number): boolean {
  return withStage(
    seed,
    ranked(4),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      world.end(0, 'kill');
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      const leader = present(acting(world), 'a leader');
      tellAll(world, { paused: true });
      world.start(0);
      tell(nodeAt(world, 0), { paused: true });
      const victim = world.nodes.findLast((node) => node !== leader && node.number > 0);
      world.end(present(victim, 'a victim').number, 'kill');
      const before = votersOf(world, leader).join();
      run(world, 8000);
      if (acting(world) !== leader) broken(world, 'paused-lead', 'the lead moved while paused');
      if (votersOf(world, leader).join() !== before)
        broken(world, 'paused-voters', 'the voters changed while paused');
      return true;
    },
    quick,
  );
}

/** The dead voter of a paused cluster has a standby that is ready: it waits for the resume. */
function pausedVoters(seed: number): boolean {
  return withStage(
    seed,
    masters(3),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      const leader = present(acting(world), 'a leader');
      const [victim, other] = world.nodes.filter((node) => node !== leader) as [SimNode, SimNode];
      const voters = [leader.id, other.id];
      // By hand two vote; the rule would have three, and the third is ready.
      tellAll(world, { paused: true });
      if (ask(world, leader, { type: 'voters', voters }) !== 'applied') return false;
      run(world, 4000);
      if (votersOf(world, leader).includes(victim.id))
        broken(world, 'paused-voters', `${victim.id} was made a voter while paused`);
      tellAll(world, {});
      return until(world, 5000, () => votersOf(world, leader).includes(victim.id));
    },
    quick,
  );
}

function drainedLeader(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    tell(leader, { draining: true });
    const moved = until(world, 2000, () => {
      const now = acting(world);
      return now !== null && now !== leader;
    });
    if (!moved) broken(world, 'drained-leads', `${leader.id} is drained and leads on`);
    return true;
  });
}

/** Whoever drained everybody must be able to undrain: somebody leads. */
function allDrained(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    tellAll(world, { draining: true });
    world.end(present(acting(world), 'a leader').number, 'kill');
    if (!until(world, 12_000, () => acting(world) !== null))
      throw new SimFailure('liveness', 'no-last-resort', 'all are drained and nobody leads', 0);
    return true;
  });
}

/** Trouble that wanders after the lead does not drag it along. */
function wanderingTrouble(seed: number): boolean {
  const timing = { ...stageTiming, holdMs: 3000 };
  return withStage(
    seed,
    masters(3),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      run(world, 4000);
      const sinceMs = world.queue.nowMs();
      let leads = 0;
      let last: SimNode | null = null;
      until(world, 12_000, () => {
        const now = acting(world);
        if (now === null || now === last) return false;
        last = now;
        leads += 1;
        for (const node of world.nodes) tell(node, { trouble: node === now ? 'disk-full' : null });
        return false;
      });
      const most = 2 + (world.queue.nowMs() - sinceMs) / timing.holdMs;
      if (leads > most) broken(world, 'ping-pong', `${leads} leads where ${most} may be`);
      return leads > 1;
    },
    { timing },
  );
}

/** Everybody is as bad: the lead stays where it is. */
function commonTrouble(seed: number): boolean {
  return withStage(
    seed,
    masters(3),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      run(world, 2000);
      const leader = present(acting(world), 'a leader');
      tellAll(world, { trouble: 'content-gone' });
      run(world, 10_000);
      if (acting(world) !== leader) broken(world, 'ping-pong', 'the lead moved to nobody better');
      const degraded = leader.core()?.status(leader.now()).degraded;
      if (degraded !== 'content-gone') broken(world, 'not-degraded', `it says ${degraded}`);
      return true;
    },
    quick,
  );
}

function forgottenMember(seed: number): boolean {
  return withStage(
    seed,
    masters(3),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      const leader = present(acting(world), 'a leader');
      const gone = present(
        world.nodes.find((node) => node !== leader),
        'a member',
      );
      if (ask(world, leader, { type: 'forget', peerId: gone.id }) !== 'applied') return false;
      const member = gone.certificate;
      if (ask(world, leader, { type: 'admit', member }) === 'applied')
        broken(world, 'forgotten-back', `${gone.id} was forgotten and is a member again`);
      world.configurations.expectAnew(gone.id);
      return ask(world, leader, { type: 'admit', member, anew: true }) === 'applied';
    },
    quick,
  );
}

/** A young leader has heard one voter of five: nothing may rest on the others yet. */
function silentVoters(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const first = present(acting(world), 'a leader');
    const [heir, silent] = world.nodes.filter((node) => node !== first) as [SimNode, SimNode];
    cutBothWays(world, heir.number, silent.number, true);
    let asked = false;
    world.end(first.number, 'kill');
    world.start(first.number);
    const voters = [heir.id, silent.id];
    if (!until(world, 4000, () => heir.leads())) return false;
    const ref = world.clients.open({
      ...{ kind: 'reconfigure', node: heir, sentMs: world.queue.nowMs(), floor: 0, row: null },
      done: () => {
        asked = true;
      },
    });
    const change = { type: 'voters' as const, voters };
    heir.post({ type: 'reconfigure', ref, change, deadlineMs: heir.now().monoMs + 300 });
    until(world, 400, () => asked);
    const { outgoing } = present(heir.core(), heir.id).status(heir.now()).configuration;
    if (outgoing !== null)
      broken(world, 'joint-on-silence', `${heir.id} began a change with ${silent.id} unheard`);
    return true;
  });
}

/** What a pause stops is refused where it is applied, whoever proposed it. */
function pauseInTheLog(seed: number): boolean {
  return withStage(
    seed,
    masters(1),
    (world) => {
      if (!until(world, 5000, () => acting(world) !== null)) return false;
      const [node] = world.nodes as [SimNode];
      const session = 'a'.repeat(32);
      const cid = 'bafkreipause';
      const pin = { cid, name: '', bytes: 1, blocks: 1, min: 1, max: 1, labels: {} };
      const commands: SimpleCommand[] = [
        { type: 'session.open', node: node.id },
        { type: 'pin.put', ...pin, expiresAtMs: null, expectedVersion: null },
        { type: 'pause.set', owner: 'o', reason: 'r', expiresAtMs: null },
        {
          ...{ type: 'allocation.set', cid, peers: [node.id], expectedVersion: 0 },
          ...{ reliesOn: [], term: 1, reason: 'new-pin' },
        },
      ];
      const codes: string[] = [];
      commands.forEach((command, seq) => {
        const envelope = { v: 1 as const, session, seq, atMs: 5, idempotency: null, command };
        const ref = world.clients.open({
          ...{ kind: 'propose', node, sentMs: world.queue.nowMs(), floor: 0, row: null },
          done: (answer) => {
            if (answer.type !== 'applied') codes.push(answer.type);
            else codes.push(decodeResult(answer.result).ok ? 'ok' : 'refused');
          },
        });
        const data = encodeEnvelope(envelope);
        node.post({ type: 'propose', ref, data, deadlineMs: node.now().monoMs + 2000 });
        run(world, 300);
      });
      if (codes.join() !== 'ok,ok,ok,refused')
        broken(world, 'paused-action', `of session, pin, pause, allocation: ${codes}`);
      return true;
    },
    { blankCatalogs: false },
  );
}

export const operationScenarios: readonly Scenario[] = [
  { name: 'a paused cluster moves neither lead nor voters', tell: pausedCluster },
  { name: 'a standby waits for the end of a pause', tell: pausedVoters },
  { name: 'a pause is bound where commands are applied', tell: pauseInTheLog },
  { name: 'a drained leader hands over', tell: drainedLeader },
  { name: 'all are drained and somebody leads', tell: allDrained },
  { name: 'trouble does not drag the lead along', tell: wanderingTrouble },
  { name: 'trouble of all moves nothing', tell: commonTrouble },
  { name: 'a forgotten member stays gone', tell: forgottenMember },
  { name: 'no change of voters on the word of the silent', tell: silentVoters },
];
