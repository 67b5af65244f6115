/**
 * `demo --script daemons`: real kubo and ipfs-cluster under five agents; each kind of daemon is
 * killed, one is frozen, an agent is killed and started again, and a foreign ipfs-cluster-service
 * stands on the follower's usual port all the while. One JSON object tells what was measured.
 */
import type { AgentEvent } from '../agent/api.ts';
import type { DaemonType, DaemonView } from '../daemons/api.ts';
import type { DemoOptions } from './demo-command.ts';
import { addParts, partsOf, waitForPins } from './demo-content.ts';
import type { FlockNode } from './demo-flock.ts';
import { createForeign, type Foreign, foreignPort } from './demo-foreign.ts';
import { onStage, type Stage } from './demo-stage.ts';
import { asked, until } from './demo-watch.ts';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';

const copies = { min: 2, max: 3 };
const healthyMsMax = 120_000;
const syncMsMax = 120_000;
const healMsMax = 120_000;
const lookEveryMs = 25;

const rounded = (ms: number): number => Math.round(ms);

async function daemonsOf(node: FlockNode): Promise<DaemonView[] | null> {
  const page = await asked(() =>
    node.client().call<{ daemons: DaemonView[] }>('GET', '/v1/daemons'),
  );
  return page?.daemons.filter(({ mode }) => mode === 'managed') ?? null;
}

async function daemonOf(node: FlockNode, type: DaemonType): Promise<DaemonView | null> {
  return (await daemonsOf(node))?.find((daemon) => daemon.type === type) ?? null;
}

const works = ({ state, finding }: DaemonView): boolean =>
  state === 'running' && finding?.ready === true;

/** Waits until every daemon of the node works; answers them. */
export const allWork = (node: FlockNode): Promise<DaemonView[]> =>
  until(`every daemon of ${node.name} works`, healthyMsMax, async () => {
    const daemons = await daemonsOf(node);
    return daemons !== null && daemons.length > 0 && daemons.every(works) ? daemons : null;
  });

const working = (node: FlockNode, type: DaemonType, isIt: (view: DaemonView) => boolean) =>
  until(
    `${type} of ${node.name} works again`,
    healMsMax,
    async () => {
      const daemon = await daemonOf(node, type);
      return daemon !== null && works(daemon) && isIt(daemon) ? daemon : null;
    },
    lookEveryMs,
  );

const pidOf = ({ pid, type }: DaemonView): number => {
  if (pid === null) throw new Error(`${type} has no process`);
  return pid;
};

/** kill -9 of one daemon: how long until the agent knew, and until it worked again. */
async function killOne(node: FlockNode, type: DaemonType) {
  const before = await working(node, type, () => true);
  const atMs = performance.now();
  process.kill(pidOf(before), 'SIGKILL');
  const noticed = await until(
    `the end of ${type} is noticed`,
    healMsMax,
    async () => {
      const now = await daemonOf(node, type);
      return now !== null && now.pid !== before.pid ? now : null;
    },
    lookEveryMs,
  );
  const noticedMs = rounded(performance.now() - atMs);
  const after = await working(node, type, ({ pid }) => pid !== before.pid);
  const healthyMs = rounded(performance.now() - atMs);
  return {
    cause: after.lastFailure?.cause ?? noticed.lastFailure?.cause ?? null,
    told: { node: node.name, daemon: type, noticedMs, healthyMs },
  };
}

/** The second kill within the cool-down: how long its healing waited. */
async function killAgain(node: FlockNode, type: DaemonType) {
  const before = await working(node, type, () => true);
  process.kill(pidOf(before), 'SIGKILL');
  const atMs = performance.now();
  const cooling = await until(
    'the second kill waits',
    healMsMax,
    async () => {
      const now = await daemonOf(node, type);
      return now?.state === 'cooling-down' ? now : null;
    },
    lookEveryMs,
  );
  await working(node, type, ({ pid }) => pid !== before.pid);
  return {
    waitedMs: rounded(performance.now() - atMs),
    announcedMs: rounded(cooling.cooldownMsRemaining),
  };
}

/** SIGSTOP: it is there and says nothing. */
async function freeze(node: FlockNode, type: DaemonType) {
  const before = await working(node, type, () => true);
  const atMs = performance.now();
  process.kill(pidOf(before), 'SIGSTOP');
  await until(
    `${type} is seen to be unresponsive`,
    healMsMax,
    async () => {
      const now = await daemonOf(node, type);
      return now !== null && (now.state === 'unresponsive' || now.pid !== before.pid) ? now : null;
    },
    lookEveryMs,
  );
  const unresponsiveMs = rounded(performance.now() - atMs);
  const after = await working(node, type, ({ pid }) => pid !== before.pid);
  const healedMs = rounded(performance.now() - atMs);
  return { daemon: type, unresponsiveMs, healedMs, cause: after.lastFailure?.cause ?? null };
}

const pidsOf = (daemons: readonly DaemonView[]): Record<string, number> =>
  Object.fromEntries(daemons.map((daemon) => [daemon.type, pidOf(daemon)]));

/** kill -9 of an agent: its daemons go on, and the next one takes them over. */
async function adopt({ flock }: Stage, node: FlockNode) {
  const pidsBefore = pidsOf(await allWork(node));
  await flock.kill(node.name);
  flock.start(node.name);
  const pidsAfter = pidsOf(await allWork(node));
  return { pidsBefore, pidsAfter };
}

async function followers(stage: Stage, pins: number) {
  const nodes = stage.flock.nodes.filter(({ role }) => role !== 'master');
  const seen = await Promise.all(
    nodes.map((node) =>
      until(`the pinset of ${node.name} is in sync`, syncMsMax, async () => {
        const facts = (await daemonOf(node, 'ipfs_cluster_follow'))?.finding?.facts;
        const ready = facts?.pinset_in_sync === true && Number(facts.pinset_expected) >= pins;
        return ready && facts ? facts : null;
      }),
    ),
  );
  const [facts] = seen;
  return {
    leaderConnected: seen.every((each) => each.leader_connected === true),
    pinset: {
      expected: facts?.pinset_expected ?? null,
      pinned: facts?.pinset_pinned ?? null,
      missing: facts?.pinset_missing ?? null,
      in_sync: seen.every((each) => each.pinset_in_sync === true),
      last_synced: facts?.pinset_last_synced ?? null,
    },
  };
}

async function eventsOf(node: FlockNode): Promise<AgentEvent[]> {
  const query = { after: 0, limit: 1000 };
  const page = await node.client().call<{ events: AgentEvent[] }>('GET', '/v1/events', { query });
  return page.events;
}

/** The foreign service: not taken for a follower, not ended, and ours works beside it. */
async function judgeForeign(node: FlockNode, foreign: Foreign) {
  const follower = await working(node, 'ipfs_cluster_follow', () => true);
  return {
    followReachable: follower.ports.api === foreignPort,
    untouched: foreign.alive(),
    followPort: follower.ports.api ?? null,
    followWorks: works(follower),
  };
}

async function perform(
  stage: Stage,
  foreign: Foreign,
  parts: Awaited<ReturnType<typeof partsOf>>,
  say: (text: string) => void,
) {
  const { flock } = stage;
  const startedMs = performance.now();
  const daemons = await Promise.all(flock.nodes.map(allWork));
  const allHealthyMs = rounded(performance.now() - startedMs);
  say(`all daemons work after ${allHealthyMs} ms`);
  const nodes = flock.nodes.map(({ name, role }, i) => ({
    name,
    role,
    daemons: Object.fromEntries(
      (daemons[i] ?? []).map(({ type, state, pid, ports, finding }) => [
        type,
        { state, pid, ports, version: finding?.version ?? null },
      ]),
    ),
  }));
  const leader = flock.node(stage.leader.name);
  const { pins } = await addParts(leader.client(), parts, copies);
  await waitForPins(
    () => leader,
    pins.map(({ cid }) => cid),
    syncMsMax,
  );
  const follow = await followers(stage, pins.length);
  say(`the followers hold ${follow.pinset.pinned} of ${follow.pinset.expected} pins`);
  const worker = flock.node('worker-1');
  const killed = [
    await killOne(worker, 'ipfs'),
    await killOne(flock.node('master-2'), 'ipfs_cluster_service'),
    await killOne(flock.node('worker-2'), 'ipfs_cluster_follow'),
  ];
  say(
    `killed: ${killed.map(({ told }) => `${told.daemon} back in ${told.healthyMs} ms`).join(', ')}`,
  );
  const cooldown = await killAgain(worker, 'ipfs');
  say(`the second kill waited ${cooldown.waitedMs} ms`);
  const unresponsive = await freeze(flock.node('leecher-1'), 'ipfs');
  say(`frozen kubo healed after ${unresponsive.healedMs} ms`);
  const told = (await eventsOf(worker)).some(({ type }) => type === 'daemon-failed');
  const adopted = await adopt(stage, flock.node('worker-2'));
  return {
    nodes,
    allHealthyMs,
    killed: killed.map((one) => one.told),
    eventsTell: told && killed.every(({ cause }) => cause === 'killed'),
    cooldown,
    unresponsive,
    adopted,
    follow,
    foreign: await judgeForeign(worker, foreign),
  };
}

type Told = Awaited<ReturnType<typeof perform>>;

/** What the script claims; all of it has to hold. */
function holds({
  killed,
  cooldown,
  unresponsive,
  adopted,
  follow,
  foreign,
  ...told
}: Told): boolean {
  return (
    told.eventsTell &&
    killed.every(({ noticedMs, healthyMs }) => noticedMs <= 3000 && healthyMs <= 15_000) &&
    cooldown.waitedMs >= cooldown.announcedMs * 0.9 &&
    unresponsive.cause === 'unresponsive' &&
    JSON.stringify(adopted.pidsBefore) === JSON.stringify(adopted.pidsAfter) &&
    follow.leaderConnected &&
    follow.pinset.in_sync &&
    !foreign.followReachable &&
    foreign.followWorks &&
    foreign.untouched
  );
}

export async function runDaemonsScript(options: DemoOptions, io: Io): Promise<number> {
  const parts = await partsOf(options.files);
  const bytes = parts.reduce((sum, { tree }) => sum + tree.bytes, 0);
  const say = (text: string): void => io.err(`${text}\n`);
  const foreign = await createForeign();
  try {
    const place = { keep: options.keep, bytes, usualPorts: false, daemons: true, say };
    const told = await onStage(place, io, (stage) => perform(stage, foreign, parts, say));
    const ok = holds(told);
    const all = { ok, ...told };
    io.out(options.json ? `${JSON.stringify(all)}\n` : `${JSON.stringify(all, null, 2)}\n`);
    return ok ? exitCodes.ok : exitCodes.failure;
  } finally {
    await foreign.end();
  }
}
