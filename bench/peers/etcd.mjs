// Three etcd voters on this machine (Debian package etcd-server), each a process of its own with a
// fresh data folder, written to over their JSON gateway. Defaults: heartbeat 100 ms, election 1000.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../src/cli/demo-watch.ts';
import { jsonOf } from '../http-writer.mjs';

const memberCount = 3;

/** Whether the program is installed; the comparison is left out, and said so, if it is not. */
export function etcdVersion() {
  const { status, stdout } = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  return status === 0 ? /etcd Version: (\S+)/.exec(stdout)?.[1] : null;
}

export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server.address().port;
    }),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export const base64 = (text) => Buffer.from(text).toString('base64');

/** What a write is: a path and a body of its number. */
export const etcdWrite = (run) => ({
  method: 'POST',
  path: () => '/v3/kv/put',
  headers: { 'content-type': 'application/json' },
  body: (n) => JSON.stringify({ key: base64(`${run}-${n}`), value: base64(`{"n":${n}}`) }),
});

export async function startEtcd({ heartbeatMs = 100, electionMs = 1000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-etcd-'));
  const ports = await freePorts(2 * memberCount);
  const names = Array.from({ length: memberCount }, (_, i) => `e${i + 1}`);
  const peerUrl = (i) => `http://127.0.0.1:${ports[memberCount + i]}`;
  const cluster = names.map((name, i) => `${name}=${peerUrl(i)}`).join(',');
  const out = openSync(join(folder, 'etcd.log'), 'a');
  const members = names.map((name, i) => {
    const url = `http://127.0.0.1:${ports[i]}`;
    const settings = [
      ...['--name', name, '--data-dir', join(folder, name)],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl(i), '--initial-advertise-peer-urls', peerUrl(i)],
      ...['--initial-cluster', cluster],
      ...['--heartbeat-interval', String(heartbeatMs), '--election-timeout', String(electionMs)],
      ...['--log-level', 'error'],
    ];
    let child = null;
    return {
      name,
      url,
      id: null,
      start() {
        child = spawn('etcd', settings, { stdio: ['ignore', out, out] });
      },
      pid: () => child?.pid ?? null,
      alive: () => child !== null && child.exitCode === null && child.signalCode === null,
      signal: (name) => child.kill(name),
      gone: () =>
        child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null,
    };
  });
  const startedMs = performance.now();
  for (const member of members) member.start();

  const statusOf = async (member) => {
    const status = await jsonOf('POST', `${member.url}/v3/maintenance/status`, '{}');
    if (status?.header === undefined) return null;
    member.id = status.header.member_id;
    return status;
  };
  const leader = (deadlineMs = 60_000) =>
    until('a leader of etcd', deadlineMs, async () => {
      for (const member of members.filter((each) => each.alive())) {
        const status = await statusOf(member);
        if (status?.leader !== undefined && status.leader === member.id) return member;
      }
      return null;
    });
  return {
    members,
    startedMs,
    leader,
    /** All voters answer and name the same leader. */
    async settled() {
      const leading = await leader();
      await until('all voters of etcd', 60_000, async () => {
        const pages = await Promise.all(members.map(statusOf));
        return pages.every((page) => page?.leader === leading.id) ? true : null;
      });
      return leading;
    },
    async end() {
      for (const member of members.filter((each) => each.alive())) {
        member.signal('SIGCONT');
        member.signal('SIGKILL');
        await member.gone();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
