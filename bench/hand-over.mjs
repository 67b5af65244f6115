// A planned hand-over as a caller sees it: the longest time without an acknowledgement while writes
// flow through a node that stays. The leader is ended by SIGTERM (it hands over before it goes), or
// asked to give the lead to another voter; alternating with etcd, which does both as well.
import { setTimeout as wait } from 'node:timers/promises';
import { until } from '../src/cli/demo-watch.ts';
import { agentWrite, settledLeader, startCluster } from './cluster.mjs';
import { median, quantile, rounded, row } from './figures.mjs';
import { createHttpWriter, jsonOf } from './http-writer.mjs';
import { etcdVersion, etcdWrite, startEtcd } from './peers/etcd.mjs';

const lanes = 2;
const settledMs = 1500;
const watchedMs = 2500;
const warmWrites = 20;

/** The longest gap of the writes through `url` from just before `act` until some time after it. */
async function gapOf(url, write, act) {
  const writer = createHttpWriter(url, write);
  writer.start(lanes);
  await until(
    'writes flow',
    30_000,
    async () => (writer.acknowledged() > warmWrites ? true : null),
    5,
  );
  await wait(300);
  const fromMs = performance.now();
  await act();
  await wait(watchedMs);
  await writer.stop();
  return writer.longestGapMs(fromMs, fromMs + watchedMs);
}

function ours(cluster) {
  const { flock, ending, end } = cluster;
  const acts = {
    async transfer(old, through) {
      await old.client().call('POST', '/v1/leader/transfer', { json: { to: through.name } });
    },
    async SIGTERM(old) {
      ending.add(old.name);
      process.kill(old.pid(), 'SIGTERM');
    },
  };
  async function round(kind, run) {
    const old = await settledLeader(cluster);
    await wait(settledMs);
    const through = flock.nodes.find(({ name }) => name !== old.name);
    const gapMs = await gapOf(through.statusUrl, agentWrite(through, run), () =>
      acts[kind](old, through),
    );
    if (kind === 'SIGTERM') {
      await until('the old leader has ended', 20_000, async () => (old.alive() ? null : true));
      flock.start(old.name);
    }
    return gapMs;
  }
  return { round, end };
}

function theirs(cluster) {
  const acts = {
    async transfer(old, through) {
      const body = JSON.stringify({ targetID: through.id });
      const done = await jsonOf('POST', `${old.url}/v3/maintenance/transfer-leadership`, body);
      if (done === null) throw new Error('etcd refused the transfer');
    },
    async SIGTERM(old) {
      old.signal('SIGTERM');
    },
  };
  async function round(kind, run) {
    const old = await cluster.settled();
    await wait(settledMs);
    const through = cluster.members.find((member) => member !== old);
    const gapMs = await gapOf(through.url, etcdWrite(run), () => acts[kind](old, through));
    if (kind === 'SIGTERM') {
      await old.gone();
      old.start();
    }
    return gapMs;
  }
  return { round, end: cluster.end };
}

export async function run({ rounds, say }) {
  const own = { name: 'bellwether', ...ours(await startCluster(say)) };
  const version = etcdVersion();
  if (version === null) say('etcd is not installed (apt-get install etcd-server): not compared');
  const peer = version === null ? null : { name: `etcd ${version}`, ...theirs(await startEtcd()) };
  const systems = [own, ...(peer === null ? [] : [peer])];
  const gaps = new Map();
  try {
    for (let round = 1; round <= rounds; round++)
      for (const kind of ['transfer', 'SIGTERM'])
        for (const system of systems) {
          const gapMs = await system.round(kind, `${kind}-${round}`);
          const key = `${system.name} ${kind}`;
          gaps.set(key, [...(gaps.get(key) ?? []), gapMs]);
          say(`round ${round}, ${key}: longest gap ${rounded(gapMs)} ms`);
        }
  } finally {
    for (const { end } of systems) await end();
  }
  const rows = ['transfer', 'SIGTERM'].flatMap((kind) =>
    [
      ['median', median],
      ['longest', (values) => quantile(values, 1)],
    ].map(([label, of]) =>
      row({
        what: `write gap of a hand-over by ${kind}, ${label}`,
        unit: 'ms',
        ours: of(gaps.get(`${own.name} ${kind}`)),
        peer: peer === null ? null : of(gaps.get(`${peer.name} ${kind}`)),
        peerName: peer?.name ?? null,
      }),
    ),
  );
  const lines = [...gaps].map(
    ([key, each]) => `${key}, ms: ${each.map((ms) => rounded(ms)).join(', ')}`,
  );
  return { rows, rounds, profileText: lines.join('\n') };
}
