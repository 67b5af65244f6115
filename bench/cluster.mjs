// Agents as real processes on this machine: three voters with the default timing, so that what is
// measured is what a cluster does, or the five of the demo.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFlock } from '../src/cli/demo-flock.ts';
import { preparePlace } from '../src/cli/demo-place.ts';
import {
  actingLeader,
  allThere,
  pageOf,
  settleVoters,
  until,
  votersOf,
} from '../src/cli/demo-watch.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const voterCount = 3;

function programOf() {
  const program = process.env.BELLWETHER_PROGRAM ?? join(root, 'dist/bellwether.mjs');
  if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`);
  return program;
}

async function startFlock(say, { count, config }) {
  const place = await preparePlace({ keep: null, bytes: 0, usualPorts: false });
  const plans = place.plans.slice(0, count);
  if (config !== null) for (const { configFile } of plans) writeFileSync(configFile, config);
  const ending = new Set();
  const lost = (name, how) => ending.has(name) || say(`${name} ended: ${how}`);
  const flock = createFlock({ ...place, plans, program: programOf(), onLost: lost });
  const startedMs = performance.now();
  for (const { name } of plans) flock.start(name);
  const end = async () => {
    await flock.stop();
    place.leave();
  };
  return { flock, place, startedMs, ending, end };
}

/** Three voters; `ending` takes the names of those that are ended on purpose. */
export async function startCluster(say) {
  const started = await startFlock(say, {
    count: voterCount,
    config: '# Default timing.\nlogLevel: warn\n',
  });
  const { flock, startedMs } = started;
  const leader = await until('a leader', 60_000, () => actingLeader(flock), 5);
  const electionMs = performance.now() - startedMs;
  const node = flock.node(leader.name);
  await until('all members', 60_000, () => allThere(flock, node));
  await until(`${voterCount} voters`, 60_000, async () => {
    const voters = await votersOf(node);
    return voters?.length === voterCount ? true : null;
  });
  return { ...started, node, electionMs };
}

/** The five agents of the demo, with the demo's timing, once they are settled. */
export async function startFive(say) {
  const started = await startFlock(say, { count: 5, config: null });
  const { flock } = started;
  const first = await until('a leader', 60_000, () => actingLeader(flock));
  await until('all five members', 60_000, () => allThere(flock, flock.node(first.name)));
  await settleVoters(flock, flock.node(first.name));
  const { name } = await until('a leader', 60_000, () => actingLeader(flock));
  return { ...started, leader: flock.node(name) };
}

/** The acting leader, once all nodes run, vote and have applied what it has committed. */
export async function settledLeader({ flock }) {
  const leading = await until('a leader', 60_000, () => actingLeader(flock));
  const leader = flock.node(leading.name);
  await settleVoters(flock, leader);
  const page = await until('the status of the leader', 10_000, () => pageOf(leader));
  for (const node of flock.living())
    await until(`${node.name} has caught up`, 30_000, async () => {
      const at = await pageOf(node);
      return at !== null && at.log.appliedIndex >= page.log.commitIndex ? true : null;
    });
  return leader;
}

export const tokenOf = (node) => readFileSync(join(node.data, 'http.token'), 'utf8').trim();

/** How write number n is said to an agent. */
export const agentWrite = (node, run) => ({
  method: 'PUT',
  path: (n) => `/v1/index/knowledge_graph/${run}-${n}`,
  headers: { authorization: `Bearer ${tokenOf(node)}`, 'content-type': 'application/json' },
  body: (n) => JSON.stringify({ n }),
});
