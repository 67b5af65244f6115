// How a cluster grows: N = 5, 25 and 100 agents in at most four processes, the leader alone in one of
// them. Bytes of gossip per node and second, processor time and memory of the leader and of the others,
// and after kill -9 of the leader how long it takes until everybody follows the same new one and calls
// the killed one failed. BENCH_SCALE=5,25 picks sizes.
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { foundFlock } from '../src/agent/trust/founding.ts';
import { until } from '../src/cli/demo-watch.ts';
import { rounded, row } from './figures.mjs';
import { freePorts } from './peers/etcd.mjs';

export const secondsUsual = 60;
const processesMax = 4;
const settleMs = Number(process.env.SCALE_SETTLE_MS ?? 20_000);
const startMsMax = 600_000;
const agreeMsMax = 120_000;
const root = fileURLToPath(new URL('..', import.meta.url));

/** What gossip sends, counted where it leaves: pushed records and control, and the exchanges. */
const counted = {
  name: 'gossip-bytes',
  edits: [
    {
      file: '../node_modules/@libp2p/gossipsub/dist/src/stream.js',
      find: 'this.rawStream.send(data);',
      replace:
        'globalThis.gossipBytes = (globalThis.gossipBytes ?? 0) + data.byteLength; this.rawStream.send(data);',
    },
    {
      file: 'mesh/mesh.ts',
      find: 'request: (to, name, body, timeoutMs) => linesTo(to).asker.request(name, body, timeoutMs),',
      replace: `request: async (to, name, body, timeoutMs) => {
        const answer = await linesTo(to).asker.request(name, body, timeoutMs);
        const counters = globalThis as unknown as { gossipBytes?: number };
        counters.gossipBytes = (counters.gossipBytes ?? 0) + body.byteLength + answer.byteLength;
        return answer;
      },`,
    },
  ],
};

function bundle(dir) {
  const args = [
    '--outdir',
    dir,
    '--bug',
    JSON.stringify(counted),
    '--entry',
    'bench/scale-agents.ts',
  ];
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.mjs', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the bundle could not be built: ${stderr}`);
  return join(dir, 'scale-agents.mjs');
}

/** Two masters, two workers of five, and of a larger flock two fifths workers; the rest leechers. */
function rolesOf(count) {
  const workers = Math.floor((count * 2) / 5);
  return Array.from({ length: count }, (_, i) =>
    i < 2 ? 'master' : i < 2 + workers ? 'worker' : 'leecher',
  );
}

async function plan(folder, count) {
  const [port] = await freePorts(1);
  const agents = rolesOf(count).map((role, i) => ({
    name: `${role}-${i + 1}`,
    role,
    data: join(folder, `${role}-${i + 1}`),
    // Only the first is told to the others; whatever is free when they start does for the rest.
    port: i === 0 ? port : 0,
    mesh: `/ip4/127.0.0.1/tcp/${i === 0 ? port : 0}`,
    seed: i === 0 ? null : `127.0.0.1:${port}`,
  }));
  await foundFlock(agents, Date.now());
  return agents;
}

function startProcess(program, out) {
  const child = fork(program, [], { stdio: ['ignore', out, out, 'ipc'] });
  const started = new Set();
  let onLook = null;
  let onEnd = null;
  child.on('exit', (code) => onEnd?.(new Error(`a process of agents ended with ${code}`)));
  child.on('message', (said) => {
    if (said.type === 'started') started.add(said.name);
    else onLook?.(said);
  });
  return {
    child,
    started,
    start: (agents) => child.send({ type: 'start', agents }),
    async look(about) {
      const said = new Promise((resolve, reject) => {
        onLook = resolve;
        onEnd = reject;
      });
      child.send({ type: 'look', about });
      return said;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** The one leader that all looks name, if it acts; else null. */
function agreed(looks) {
  const leaders = new Set(looks.map(({ leader }) => leader));
  const [leader] = leaders;
  const acts = looks.some(({ name, acting }) => name === leader && acting);
  return leaders.size === 1 && leader !== null && acts ? leader : null;
}

async function measure(processes, first, seconds) {
  const sample = () => Promise.all(processes.map((each) => each.look(first)));
  const before = await sample();
  const beganMs = performance.now();
  await wait(seconds * 1000);
  const after = await sample();
  const lasted = (performance.now() - beganMs) / 1000;
  const nodes = after.reduce((sum, { looks }) => sum + looks.length, 0);
  const gossip = after.reduce((sum, each, i) => sum + each.gossipBytes - before[i].gossipBytes, 0);
  const share = (i) => (after[i].cpuMs - before[i].cpuMs) / (lasted * 10);
  const others = after.slice(1).reduce((sum, _, i) => sum + share(i + 1), 0);
  const rss = after.slice(1).reduce((sum, { rssBytes }) => sum + rssBytes, 0);
  return {
    gossipBytes: gossip / nodes / lasted,
    leaderPercent: share(0),
    otherPercent: others / (nodes - 1),
    leaderMB: after[0].rssBytes / 1e6,
    otherMB: rss / 1e6 / (nodes - 1),
    lagMs: Math.max(...after.map(({ lagMs }) => lagMs)),
  };
}

async function size(program, count, { seconds, say }) {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-scale-'));
  const out = openSync(join(folder, 'agents.log'), 'a');
  const agents = await plan(folder, count);
  const [first, ...rest] = agents;
  const processes = Array.from({ length: processesMax }, () => startProcess(program, out));
  const started = () => processes.reduce((sum, each) => sum + each.started.size, 0);
  const waited = setInterval(() => say(`${started()} of ${count} have started`), 30_000);
  try {
    const begunMs = performance.now();
    processes[0].start([first]);
    await until(
      `${first.name} to start`,
      startMsMax,
      async () => processes[0].started.size || null,
    );
    // Dealt round, so that voters sit in all of them.
    for (const [i, each] of processes.slice(1).entries())
      each.start(rest.filter((_, at) => at % (processesMax - 1) === i));
    const all = () => Promise.all(processes.map((each) => each.look(first.name)));
    await until(
      `${count} agents to start`,
      startMsMax,
      async () => {
        await all();
        return started() === count ? true : null;
      },
      1000,
    );
    await until(
      'all to be members with one leader',
      startMsMax,
      async () => {
        const looks = (await all()).flatMap((each) => each.looks);
        const inside = looks.every(({ members }) => members === count);
        return inside && agreed(looks) === first.name ? true : null;
      },
      500,
    );
    const startMs = performance.now() - begunMs;
    clearInterval(waited);
    say(`${count} agents are in after ${rounded(startMs / 1000)} s`);
    await wait(settleMs);
    const figures = await measure(processes, first.name, seconds);
    say(`${count}: ${JSON.stringify(figures)}`);
    const killedMs = performance.now();
    await processes[0].kill();
    const left = processes.slice(1);
    const looks = async () =>
      (await Promise.all(left.map((each) => each.look(first.name)))).flatMap((each) => each.looks);
    let followMs = null;
    await until(
      'everybody to agree',
      agreeMsMax,
      async () => {
        const seen = await looks();
        const leader = agreed(seen);
        if (leader !== null && leader !== first.name) followMs ??= performance.now() - killedMs;
        const known = seen.every(({ state }) => state === 'failed');
        return followMs !== null && known ? true : null;
      },
      100,
    );
    const failedMs = performance.now() - killedMs;
    say(
      `${count}: one new leader after ${rounded(followMs)} ms, failed everywhere ${rounded(failedMs)}`,
    );
    return { count, startMs, followMs, failedMs, ...figures };
  } finally {
    clearInterval(waited);
    for (const each of processes) await each.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function run({ seconds, say }) {
  const sizes = (process.env.BENCH_SCALE ?? '5,25,100').split(',').map(Number);
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-scale-bundle-'));
  const found = [];
  try {
    const program = bundle(dir);
    for (const count of sizes) found.push(await size(program, count, { seconds, say }));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const rows = found.flatMap((one) => {
    const line = (what, unit, ours, digits = 1) =>
      row({ what: `${one.count} agents: ${what}`, unit, ours, digits });
    return [
      line('gossip sent per node', 'bytes/s', one.gossipBytes),
      line('processor of the leader', '% of a core', one.leaderPercent, 2),
      line('processor of each other', '% of a core', one.otherPercent, 2),
      line('memory of the leader, RSS', 'MB', one.leaderMB),
      line('memory of each other, RSS', 'MB', one.otherMB),
      line('one new leader for all after kill -9', 'ms', one.followMs),
      line('the killed one failed for all', 'ms', one.failedMs),
      line('all in after', 'ms', one.startMs),
    ];
  });
  const profileText = found.map(
    (one) => `${one.count}: loop late by at most ${rounded(one.lagMs)} ms`,
  );
  return { rows, seconds, profileText: profileText.join('\n') };
}
