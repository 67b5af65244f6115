// Committed writes per second over HTTP through the whole path: three voters as real processes, each
// write its own request to the leader's port, acknowledged after it is durable on a majority and
// applied. Tells also where the time goes, from the agents' own stage timings and CPU time.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startCluster } from './cluster.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const execute = promisify(execFile);
const clientCounts = [1, 64, 512];
const warmupSeconds = 2;

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
};
const rounded = (value, digits = 0) =>
  value === null ? null : Math.round(value * 10 ** digits) / 10 ** digits;

/** Sums of the stage histograms and the CPU seconds of one agent. */
async function figuresOf(node) {
  const { body } = await node.client().open('/metrics');
  let text = '';
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  const figures = {};
  for (const [, kind, stage, value] of text.matchAll(
    /^bellwether_write_stage_ms_(sum|count)\{stage="(\w+)"\} (\S+)$/gm,
  ))
    figures[`${stage}.${kind}`] = Number(value);
  figures.cpuS = Number(/^bellwether_process_cpu_seconds_total (\S+)/m.exec(text)?.[1] ?? 0);
  return figures;
}

function profileBetween(before, after, seconds) {
  const stages = {};
  for (const stage of ['queue', 'fsync', 'commit', 'apply', 'answer']) {
    const count = (after[`${stage}.count`] ?? 0) - (before[`${stage}.count`] ?? 0);
    const sum = (after[`${stage}.sum`] ?? 0) - (before[`${stage}.sum`] ?? 0);
    stages[stage] = { samples: count, meanMs: count > 0 ? rounded(sum / count, 3) : null };
  }
  return { stages, cpuShare: rounded((after.cpuS - before.cpuS) / seconds, 2) };
}

async function measure({ flock, node }, clients, seconds) {
  const token = readFileSync(join(node.data, 'http.token'), 'utf8').trim();
  const task = {
    host: '127.0.0.1',
    port: node.httpPort,
    token,
    clients,
    seconds,
    warmupSeconds,
    prefix: `b${clients}-${Date.now()}`,
  };
  const before = await Promise.all(flock.nodes.map(figuresOf));
  const startedMs = performance.now();
  const script = join(root, 'bench/load-client.mjs');
  const { stdout } = await execute(process.execPath, [script, JSON.stringify(task)]);
  const elapsedS = (performance.now() - startedMs) / 1000;
  const after = await Promise.all(flock.nodes.map(figuresOf));
  const load = JSON.parse(stdout);
  const profiles = flock.nodes.map((each, i) => ({
    node: each.name,
    leads: each.name === node.name,
    ...profileBetween(before[i], after[i], elapsedS),
  }));
  return { ...load, clientCpuShare: rounded(load.cpuS / elapsedS, 2), profiles };
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

function profileText(details, fsyncMs) {
  const lines = [`An append of 4 kB with fdatasync takes ${fsyncMs} ms here.`];
  for (const { clients, p50Ms, p99Ms, clientCpuShare, profiles } of details) {
    const head = `${clients} clients: median ${rounded(p50Ms, 2)} ms, p99 ${rounded(p99Ms, 2)} ms`;
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
  const all = new Map(clientCounts.map((clients) => [clients, []]));
  try {
    for (let round = 1; round <= rounds; round++)
      for (const clients of clientCounts) {
        const measured = await measure(cluster, clients, seconds);
        all.get(clients).push({ clients, ...measured });
        const refused = JSON.stringify(measured.refused);
        say(
          `round ${round}, ${clients} clients: ${rounded(measured.perSecond)}/s, refused ${refused}`,
        );
      }
  } finally {
    await cluster.end();
  }
  const rows = [];
  const details = [];
  for (const [clients, measured] of all) {
    const what = `committed writes, ${clients} client${clients === 1 ? '' : 's'}`;
    const ours = rounded(median(measured.map(({ perSecond }) => perSecond)));
    rows.push({ what, unit: '1/s', ours, peer: null, peerName: null, ratio: null });
    details.push(measured.at(-1));
  }
  return { rows, rounds, seconds, fsyncMs, details, profileText: profileText(details, fsyncMs) };
}
