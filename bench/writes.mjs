// Committed writes per second over HTTP through the whole path: three voters as real processes, each
// write its own request to the leader's port, acknowledged after it is durable on a majority and
// applied; alternating with etcd over its JSON gateway, by the same load tool on the same disk. Tells
// also where the time goes, from the agents' own stage timings and CPU time.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startCluster, tokenOf } from './cluster.mjs';
import { median, rounded, row } from './figures.mjs';
import { metricsOf } from './metrics.mjs';
import { etcdVersion, startEtcd } from './peers/etcd.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const execute = promisify(execFile);
const cases = [
  { clients: 1, batch: 1 },
  { clients: 64, batch: 1 },
  { clients: 512, batch: 1 },
  { clients: 8, batch: 100 },
];
const warmupSeconds = 2;
/** Before the first round, of both: what runs hot is compiled while it runs. */
const compileSeconds = 10;
const stageNames = ['queue', 'fsync', 'commit', 'apply', 'answer'];

/** Sums of the stage histograms and the CPU seconds of one agent. */
async function figuresOf(node) {
  const page = await metricsOf(node);
  const figures = { cpuS: page.value('bellwether_process_cpu_seconds_total') };
  for (const stage of stageNames)
    for (const kind of ['sum', 'count'])
      figures[`${stage}.${kind}`] = page.value(
        `bellwether_write_stage_ms_${kind}{stage="${stage}"}`,
      );
  return figures;
}

function profileBetween(before, after, seconds) {
  const stages = {};
  for (const stage of stageNames) {
    const count = (after[`${stage}.count`] ?? 0) - (before[`${stage}.count`] ?? 0);
    const sum = (after[`${stage}.sum`] ?? 0) - (before[`${stage}.sum`] ?? 0);
    stages[stage] = { samples: count, meanMs: count > 0 ? rounded(sum / count, 3) : null };
  }
  return { stages, cpuShare: rounded((after.cpuS - before.cpuS) / seconds, 2) };
}

const ticksPerSecond = 100;

/** Processor time of a process so far, all of its threads, seconds. */
function cpuSecondsOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

const sum = (list) => list.reduce((total, each) => total + each, 0);

/** Microseconds of processor time that a write costs, over all voters and the load tool. */
const cpuUsPerWrite = (load, voterS) => rounded(((load.cpuS + voterS) / load.writes) * 1e6, 1);

async function loadOn(task, seconds) {
  const script = join(root, 'bench/load-client.mjs');
  const whole = { host: '127.0.0.1', seconds, warmupSeconds, ...task };
  const startedMs = performance.now();
  const { stdout } = await execute(process.execPath, [script, JSON.stringify(whole)]);
  return { ...JSON.parse(stdout), elapsedS: (performance.now() - startedMs) / 1000 };
}

async function measure({ flock, node }, { clients, batch }, seconds) {
  const prefix = `b${clients}-${batch}-${Date.now()}`;
  const task = { kind: 'agent', port: node.httpPort, token: tokenOf(node), clients, batch, prefix };
  const before = await Promise.all(flock.nodes.map(figuresOf));
  const load = await loadOn(task, seconds);
  const after = await Promise.all(flock.nodes.map(figuresOf));
  const profiles = flock.nodes.map((each, i) => ({
    node: each.name,
    leads: each.name === node.name,
    ...profileBetween(before[i], after[i], load.elapsedS),
  }));
  const voterS = sum(after.map(({ cpuS }, i) => cpuS - before[i].cpuS));
  const clientCpuShare = rounded(load.cpuS / load.elapsedS, 2);
  return { ...load, clientCpuShare, cpuUs: cpuUsPerWrite(load, voterS), profiles };
}

async function measureEtcd(etcd, { clients, batch }, seconds) {
  const leader = await etcd.leader();
  const prefix = `b${clients}-${batch}-${Date.now()}`;
  const port = Number(new URL(leader.url).port);
  const pids = etcd.members.map((member) => member.pid());
  const before = sum(pids.map(cpuSecondsOf));
  const load = await loadOn({ kind: 'etcd', port, token: null, clients, batch, prefix }, seconds);
  return { ...load, cpuUs: cpuUsPerWrite(load, sum(pids.map(cpuSecondsOf)) - before) };
}

/** What the disk gives: appends of 4 kB with fdatasync, one after the other. */
async function fsyncFloor() {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-fsync-'));
  mkdirSync(folder, { recursive: true });
  const { open } = await import('node:fs/promises');
  const file = await open(join(folder, 'probe'), 'a');
  const startedMs = performance.now();
  const block = Buffer.alloc(4096, 1);
  const times = 300;
  for (let i = 0; i < times; i++) {
    await file.write(block);
    await file.datasync();
  }
  const ms = (performance.now() - startedMs) / times;
  await file.close();
  rmSync(folder, { recursive: true });
  return rounded(ms, 3);
}

const nameOf = ({ clients, batch }) =>
  `committed writes, ${clients} client${clients === 1 ? '' : 's'}` +
  (batch === 1 ? '' : `, batches of ${batch}`);

function profileText(details, fsyncMs) {
  const lines = [`An append of 4 kB with fdatasync takes ${fsyncMs} ms here.`];
  for (const { what, p50Ms, p99Ms, clientCpuShare, profiles } of details) {
    const head = `${what}: median ${rounded(p50Ms, 2)} ms, p99 ${rounded(p99Ms, 2)} ms`;
    lines.push('', `${head}; load tool ${clientCpuShare} cores`);
    for (const { node, leads, stages, cpuShare } of profiles) {
      const told = Object.entries(stages)
        .filter(([, { samples }]) => samples > 0)
        .map(([stage, { samples, meanMs }]) => `${stage} ${meanMs} ms (${samples})`);
      lines.push(`  ${node}${leads ? ' (leads)' : ''}: ${cpuShare} cores; ${told.join(', ')}`);
    }
  }
  return lines.join('\n');
}

export async function run({ rounds, seconds, say }) {
  const fsyncMs = await fsyncFloor();
  const cluster = await startCluster(say);
  const version = etcdVersion();
  if (version === null) say('etcd is not installed (apt-get install etcd-server): not compared');
  const etcd = version === null ? null : await startEtcd();
  const all = cases.map((each) => ({ what: nameOf(each), each, ours: [], theirs: [] }));
  try {
    const hot = { clients: 64, batch: 1 };
    await measure(cluster, hot, compileSeconds);
    if (etcd !== null) await measureEtcd(etcd, hot, compileSeconds);
    for (let round = 1; round <= rounds; round++)
      for (const { what, each, ours, theirs } of all) {
        ours.push({ what, ...(await measure(cluster, each, seconds)) });
        if (etcd !== null) theirs.push(await measureEtcd(etcd, each, seconds));
        const [own, peer] = [ours.at(-1), theirs.at(-1)];
        const beside = peer ? `, etcd ${rounded(peer.perSecond, 0)}/s` : '';
        const refused = JSON.stringify([own.refused, peer?.refused ?? {}]);
        const cpu = `processor ${own.cpuUs} and ${peer?.cpuUs ?? '-'} us a write`;
        const figures = `${rounded(own.perSecond, 0)}/s${beside}, ${cpu}`;
        say(`round ${round}, ${what}: ${figures}, refused ${refused}`);
      }
  } finally {
    await etcd?.end();
    await cluster.end();
  }
  const middle = (measured) => median(measured.map(({ perSecond }) => perSecond));
  const rows = all.map(({ what, ours, theirs }) =>
    row({
      what,
      unit: '1/s',
      ours: middle(ours),
      peer: etcd === null ? null : middle(theirs),
      peerName: etcd === null ? null : `etcd ${version}`,
      digits: 0,
    }),
  );
  const details = all.map(({ ours }) => ours.at(-1));
  return { rows, rounds, seconds, fsyncMs, details, profileText: profileText(details, fsyncMs) };
}
