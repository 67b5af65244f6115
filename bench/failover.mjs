// Losing the leader, as a caller sees it: from the signal to the first write that was sent after it
// and acknowledged, through the port of a node that stays. Three voters each, alternating: our
// default timing, etcd's defaults, and etcd tuned to our heartbeat and lease; beside them a Redis
// master under three Sentinels that call it down after our lease. Also how long it takes from
// nothing to the first acknowledged write (ours: to a leader that acts).
import { setTimeout as wait } from 'node:timers/promises';
import { actingLeader, until } from '../src/cli/demo-watch.ts';
import { agentWrite, settledLeader, startCluster } from './cluster.mjs';
import { median, quantile, rounded, row } from './figures.mjs';
import { createHttpWriter } from './http-writer.mjs';
import { etcdVersion, etcdWrite, startEtcd } from './peers/etcd.mjs';
import { redisVersion, startRedis } from './peers/redis.mjs';

// A voter that was restarted grants nobody for the length of its longest promise, and a link
// younger than a second is not redialled at once: the figure is for a cluster that has settled.
const settledMs = 3000;
const warmWrites = 20;
/** Of the default timing. */
const leaseMs = 500;
/** Longer than any lease or election timeout here. */
const stoppedMs = 6000;

/** Takes the leader away by `signal` while writes flow; answers ms to the next acknowledged one. */
async function lose(writer, signal) {
  writer.start(2);
  await until(
    'writes flow',
    30_000,
    async () => (writer.acknowledged() > warmWrites ? true : null),
    5,
  );
  const atMs = performance.now();
  signal();
  const ackMs = (await writer.firstAckFromNow()) - atMs;
  await writer.stop();
  return ackMs;
}

function ours(cluster) {
  const { flock, ending } = cluster;
  async function round(kind, run) {
    const old = await settledLeader(cluster);
    await wait(settledMs);
    const through = flock.living().find(({ name }) => name !== old.name);
    const writer = createHttpWriter(through.statusUrl, agentWrite(through, run));
    ending.add(old.name);
    const pid = old.pid();
    const atMs = performance.now();
    const acting = async () => {
      const leader = await actingLeader({ living: () => flock.living().filter((n) => n !== old) });
      return leader !== null && leader.name !== old.name ? performance.now() : null;
    };
    let actedMs = null;
    const failoverMs = await lose(writer, () => {
      process.kill(pid, kind);
      actedMs = until('another leader', 60_000, acting, 5);
    });
    const actingMs = (await actedMs) - atMs;
    if (kind === 'SIGSTOP') {
      await wait(stoppedMs);
      process.kill(pid, 'SIGCONT');
    } else {
      await until('the killed one is gone', 10_000, async () => (old.alive() ? null : true), 5);
      flock.start(old.name);
    }
    return { failoverMs, actingMs };
  }
  return { round, end: cluster.end };
}

function theirs(cluster) {
  async function round(kind, run) {
    const old = await cluster.settled();
    await wait(settledMs);
    const through = cluster.members.find((member) => member !== old);
    const writer = createHttpWriter(through.url, etcdWrite(run));
    const failoverMs = await lose(writer, () => old.signal(kind));
    if (kind === 'SIGSTOP') {
      await wait(stoppedMs);
      old.signal('SIGCONT');
    } else {
      await old.gone();
      old.start();
    }
    return { failoverMs };
  }
  return { round, end: cluster.end };
}

function sentinels(redis) {
  async function round(kind) {
    const old = await redis.settled();
    await wait(settledMs);
    const atMs = performance.now();
    redis.signal(old, kind);
    const failoverMs = (await redis.firstAckFromNow()) - atMs;
    if (kind === 'SIGSTOP') {
      await wait(stoppedMs);
      redis.signal(old, 'SIGCONT');
    } else await redis.restart(old);
    return { failoverMs };
  }
  return { round, end: redis.end };
}

async function firstWriteMs(startedMs, url, write) {
  const writer = createHttpWriter(url, write);
  const ackMs = await writer.firstAckFromNow();
  await writer.stop();
  return ackMs - startedMs;
}

/** The systems that are compared, each running, with the time of its cold start. */
async function startAll(say) {
  const systems = [];
  const cluster = await startCluster(say);
  systems.push({ name: 'bellwether', coldMs: cluster.electionMs, ...ours(cluster) });
  const version = etcdVersion();
  if (version === null) say('etcd is not installed (apt-get install etcd-server): not compared');
  else
    for (const [label, timing] of [
      ['defaults', {}],
      [`100/${leaseMs} ms`, { heartbeatMs: 100, electionMs: leaseMs }],
    ]) {
      const etcd = await startEtcd(timing);
      const coldMs = await firstWriteMs(etcd.startedMs, etcd.members[0].url, etcdWrite('cold'));
      systems.push({ name: `etcd ${version} (${label})`, coldMs, ...theirs(etcd) });
    }
  const redis = redisVersion();
  if (redis === null) say('redis-server and redis-sentinel are not installed: not compared');
  else {
    const started = await startRedis({ downAfterMs: leaseMs });
    const coldMs = (await started.firstAckFromNow()) - started.startedMs;
    const name = `Redis Sentinel ${redis} (down after ${leaseMs} ms)`;
    systems.push({ name, coldMs, ...sentinels(started) });
  }
  return systems;
}

function rowsOf(systems, measured) {
  const [own, ...peers] = systems;
  const rows = [];
  const compare = (what, of) => {
    for (const peer of peers.length > 0 ? peers : [null])
      rows.push(
        row({
          what,
          unit: 'ms',
          ours: of(own.name),
          peer: peer === null ? null : of(peer.name),
          peerName: peer?.name ?? null,
        }),
      );
  };
  const times = (name, kind, field) => measured.get(`${name} ${kind}`).map((each) => each[field]);
  for (const kind of ['SIGKILL', 'SIGSTOP']) {
    const what = kind === 'SIGKILL' ? 'kill -9' : kind;
    compare(`failover after ${what}`, (name) => median(times(name, kind, 'failoverMs')));
    compare(`failover after ${what}, worst`, (name) =>
      quantile(times(name, kind, 'failoverMs'), 1),
    );
    rows.push(
      row({
        what: `the new leader acts after ${what}`,
        unit: 'ms',
        ours: median(times(own.name, kind, 'actingMs')),
      }),
    );
  }
  compare('cold start of three voters', (name) => systems.find((s) => s.name === name).coldMs);
  return rows;
}

export async function run({ rounds, say }) {
  const systems = await startAll(say);
  const measured = new Map();
  try {
    for (let round = 1; round <= rounds; round++)
      for (const kind of ['SIGKILL', 'SIGSTOP'])
        for (const system of systems) {
          const done = await system.round(kind, `${kind}-${round}`);
          const key = `${system.name} ${kind}`;
          measured.set(key, [...(measured.get(key) ?? []), done]);
          say(`round ${round}, ${key}: ${rounded(done.failoverMs)} ms`);
        }
  } finally {
    for (const { end } of systems) await end();
  }
  const lines = [...measured].map(
    ([key, each]) => `${key}, ms in order: ${each.map((e) => rounded(e.failoverMs)).join(', ')}`,
  );
  return { rows: rowsOf(systems, measured), rounds, profileText: lines.join('\n') };
}
