// How soon another node knows that a member is gone, after kill -9: ours from the status page of
// another agent (suspect at once, failed after ten seconds), Serf's from another agent's member list.
import { setTimeout as wait } from 'node:timers/promises';
import { pageOf, until } from '../src/cli/demo-watch.ts';
import { settledLeader, startFive } from './cluster.mjs';
import { median, quantile, rounded, row } from './figures.mjs';
import { serfVersion, startSerf } from './peers/serf.mjs';

const serfCount = 5;
const askEveryMs = 5;
const settledMs = 2000;

async function ours(five) {
  const { flock, ending } = five;
  await settledLeader(five);
  await wait(settledMs);
  const [watching, dying] = [flock.node('master-1'), flock.node('worker-2')];
  ending.add(dying.name);
  const killedMs = await flock.kill(dying.name);
  const gone = async () => {
    const page = await pageOf(watching);
    const member = page?.members.find(({ name }) => name === dying.name);
    return member !== undefined && member.state !== 'alive' ? performance.now() : null;
  };
  const knownMs = await until('the killed one to be suspected', 60_000, gone, askEveryMs);
  flock.start(dying.name);
  await until('it to come back', 60_000, async () => ((await gone()) === null ? true : null));
  return knownMs - killedMs;
}

async function theirs(serf) {
  const [watching, ...others] = serf.members;
  const dying = others.at(-1);
  const all = () => {
    const states = serf.statesAt(watching);
    return states?.size === serfCount && [...states.values()].every((s) => s === 'alive');
  };
  await until('all of Serf', 60_000, async () => (all() ? true : null));
  await wait(settledMs);
  const killedMs = performance.now();
  dying.child.kill('SIGKILL');
  const knownMs = await until(
    'Serf to call the killed one failed',
    120_000,
    async () => (serf.statesAt(watching)?.get(dying.name) === 'failed' ? performance.now() : null),
    askEveryMs,
  );
  serf.start(dying);
  return knownMs - killedMs;
}

export async function run({ rounds, say }) {
  const version = serfVersion();
  if (version === null) say('serf is not in PATH: not compared (see bench/peers/serf.mjs)');
  const five = await startFive(say);
  const serf = version === null ? null : await startSerf(serfCount);
  const own = [];
  const peer = [];
  try {
    for (let round = 1; round <= rounds; round++) {
      own.push(await ours(five));
      if (serf !== null) peer.push(await theirs(serf));
      const beside = serf === null ? '' : `, Serf ${rounded(peer.at(-1))} ms`;
      say(`round ${round}: known after ${rounded(own.at(-1))} ms${beside}`);
    }
  } finally {
    await serf?.end();
    await five.end();
  }
  const rows = [
    ['median', median],
    ['longest', (values) => quantile(values, 1)],
  ].map(([label, of]) =>
    row({
      what: `another node knows of a kill -9, ${label}`,
      unit: 'ms',
      ours: of(own),
      peer: serf === null ? null : of(peer),
      peerName: serf === null ? null : `Serf ${version}`,
    }),
  );
  const order = (values) => values.map((ms) => rounded(ms)).join(', ');
  const profileText = `Ours in order, ms: ${order(own)}\n\nSerf's: ${order(peer)}`;
  return { rows, rounds, profileText };
}
