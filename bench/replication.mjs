// 100 MB of files added on one agent and replicated to two more, all as whole processes: bytes that
// are verified on the targets per second from the moment the add was accepted, whether anybody was
// elected meanwhile, and how late the event loops were.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addParts } from '../src/cli/demo-content.ts';
import { copiesOn, mastersVote, pageOf, pinOf, until } from '../src/cli/demo-watch.ts';
import { treeOf } from '../src/cli/local-tree.ts';
import { startFive } from './cluster.mjs';
import { median, rounded, row } from './figures.mjs';
import { metricsOf } from './metrics.mjs';

const files = 20;
const fileBytes = 5_000_000;
const copies = 3;

function makeFiles(folder) {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < files; i++)
    writeFileSync(join(folder, `file-${i}.bin`), randomBytes(fileBytes));
  return folder;
}

/** Upper bound, in ms, of what 99 of 100 samples between two scrapes stayed below. */
function delayP99(before, after) {
  const counts = after.buckets('bellwether_event_loop_delay_ms').map(([bound, count]) => {
    const was = before.buckets('bellwether_event_loop_delay_ms').find(([at]) => at === bound);
    return [bound, count - (was?.[1] ?? 0)];
  });
  const [, total = 0] = counts.at(-1) ?? [];
  const [bound = null] = counts.find(([, below]) => below >= 0.99 * total) ?? [];
  return { p99Ms: bound, samples: total };
}

async function oneRound({ flock, leader, place }, round) {
  const path = makeFiles(join(place.folder, `files-${round}`));
  const tree = await treeOf(path);
  const others = new Set(
    flock.nodes.map(({ name }) => name).filter((name) => name !== leader.name),
  );
  const termBefore = (await pageOf(leader)).election.term;
  const before = await Promise.all(flock.nodes.map(metricsOf));
  const beganMs = performance.now();
  const parts = [{ path, name: `files-${round}`, tree }];
  const { pins, acceptedMs } = await addParts(leader.client(), parts, { min: copies, max: copies });
  const [{ cid }] = pins;
  await until(
    'verified copies on two more nodes',
    120_000,
    async () => {
      const pin = await pinOf(leader, cid);
      return pin !== null && copiesOn(pin, others) >= copies - 1 ? true : null;
    },
    5,
  );
  const endMs = performance.now();
  const after = await Promise.all(flock.nodes.map(metricsOf));
  const termAfter = (await pageOf(leader)).election.term;
  const holders = new Set((await pinOf(leader, cid)).copies.map(({ node }) => node));
  const loops = flock.nodes
    .map(({ name }, i) => {
      const cpu = (at) => at[i].value('bellwether_process_cpu_seconds_total');
      const cpuSeconds = rounded(cpu(after) - cpu(before), 2);
      const rssMB = rounded(after[i].value('bellwether_process_resident_memory_bytes') / 1e6, 0);
      return { name, ...delayP99(before[i], after[i]), cpuSeconds, rssMB };
    })
    .filter(({ name }) => holders.has(name));
  const bytes = tree.bytes * (copies - 1);
  const perSecond = (fromMs) => bytes / 1e3 / (endMs - fromMs);
  return {
    addSeconds: rounded((acceptedMs - beganMs) / 1000, 2),
    copySeconds: rounded((endMs - acceptedMs) / 1000, 2),
    fromAccepted: perSecond(acceptedMs),
    fromBegin: perSecond(beganMs),
    elections: termAfter - termBefore,
    loops,
  };
}

export async function run({ rounds, say }) {
  const five = await startFive(say);
  const all = [];
  try {
    await mastersVote(five.flock, five.leader);
    for (let round = 1; round <= rounds; round++) {
      const done = await oneRound(five, round);
      all.push(done);
      say(`round ${round}: ${JSON.stringify(done)}`);
    }
  } finally {
    await five.end();
  }
  const most = (of) => Math.max(...all.flatMap(({ loops }) => loops.map(of)));
  const rows = [
    row({
      what: 'verified on two targets, from the accepted add',
      unit: 'MB/s',
      ours: median(all.map(({ fromAccepted }) => fromAccepted)),
    }),
    row({
      what: 'verified on two targets, from the begin of the add',
      unit: 'MB/s',
      ours: median(all.map(({ fromBegin }) => fromBegin)),
    }),
    row({
      what: 'event-loop delay, p99 of the worst node',
      unit: 'ms',
      ours: most((l) => l.p99Ms),
    }),
    row({ what: 'elections meanwhile', unit: '1', ours: Math.max(...all.map((r) => r.elections)) }),
  ];
  return { rows, rounds, all, profileText: all.map((each) => JSON.stringify(each)).join('\n') };
}
