// What an agent costs while nothing happens: memory and processor time of five agents as the demo
// starts them, some seconds after the last of them has joined. The leader beats for four others, a
// voter answers and beats back, a learner only listens.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { actingLeader, until, votersOf } from '../src/cli/demo-watch.ts';
import { startFive } from './cluster.mjs';
import { rounded, row } from './figures.mjs';

/**
 * Long enough for the reader threads to end. What runs at each heartbeat is compiled over some
 * minutes, so a longer wait (IDLE_SETTLE_MS) shows less processor time.
 */
const settleMsUsual = 60_000;
/** What the kernel counts processor time in: USER_HZ is 100 on every Linux. */
const ticksPerSecond = 100;

export const secondsUsual = 30;

/** A figure in kB of one of the files that the kernel keeps about a process, in MB. */
function megabytes(pid, file, field) {
  const text = readFileSync(`/proc/${pid}/${file}`, 'utf8');
  const [, kilobytes] = text.match(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm')) ?? [];
  return Math.round((Number(kilobytes) * 1024) / 1e6);
}

/** Seconds of processor time in the line of a process or thread. */
function processorSeconds(statFile) {
  const stat = readFileSync(statFile, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function threadSeconds(pid) {
  const tasks = `/proc/${pid}/task`;
  const named = readdirSync(tasks).map((id) => {
    const name = readFileSync(`${tasks}/${id}/comm`, 'utf8').trim();
    return [`${name}/${id}`, processorSeconds(`${tasks}/${id}/stat`)];
  });
  return new Map(named);
}

const sampleOf = (pid) => ({
  atMs: performance.now(),
  seconds: processorSeconds(`/proc/${pid}/stat`),
  threads: threadSeconds(pid),
});

function costBetween(pid, from, to) {
  const share = (seconds) => rounded((100_000 * seconds) / (to.atMs - from.atMs), 2);
  const threads = [...to.threads]
    .map(([name, seconds]) => [name, share(seconds - (from.threads.get(name) ?? 0))])
    .filter(([, percent]) => percent > 0);
  return {
    rssMB: megabytes(pid, 'status', 'VmRSS'),
    peakMB: megabytes(pid, 'status', 'VmHWM'),
    pssMB: megabytes(pid, 'smaps_rollup', 'Pss'),
    percent: share(to.seconds - from.seconds),
    startSeconds: rounded(from.seconds, 2),
    threads: Object.fromEntries(threads),
  };
}

async function settled(flock, settleMs) {
  await wait(settleMs);
  const leader = await until('a leader', 10_000, () => actingLeader(flock));
  const voters = await votersOf(flock.node(leader.name));
  return { leader: leader.name, voters: voters ?? [] };
}

export async function run({ seconds, say }) {
  const settleMs = Number(process.env.IDLE_SETTLE_MS ?? settleMsUsual);
  const { flock, end } = await startFive(say);
  try {
    const { leader, voters } = await settled(flock, settleMs);
    say(`${leader} leads; ${seconds} s of idling are measured`);
    const before = flock.nodes.map((node) => sampleOf(node.pid()));
    await wait(seconds * 1000);
    const agents = flock.nodes.map((node, i) => {
      const duty =
        node.name === leader ? 'leader' : voters.includes(node.name) ? 'voter' : 'learner';
      return { name: node.name, duty, ...costBetween(node.pid(), before[i], sampleOf(node.pid())) };
    });
    const rows = agents.flatMap(({ name, duty, rssMB, pssMB, percent }) => [
      row({ what: `memory of ${name} (${duty}), RSS`, unit: 'MB', ours: rssMB, digits: 2 }),
      row({ what: `memory of ${name} (${duty}), PSS`, unit: 'MB', ours: pssMB, digits: 2 }),
      row({
        what: `processor of ${name} (${duty})`,
        unit: '% of a core',
        ours: percent,
        digits: 2,
      }),
    ]);
    const lines = agents.map(
      ({ name, startSeconds, peakMB, threads }) =>
        `${name}: ${startSeconds} s of processor up to here, at most ${peakMB} MB; ` +
        `threads: ${JSON.stringify(threads)}`,
    );
    return { rows, agents, seconds, profileText: lines.join('\n') };
  } finally {
    await end();
  }
}
