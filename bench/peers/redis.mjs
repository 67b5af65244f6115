// A Redis master with two replicas and three sentinels on this machine (Debian packages redis-server
// and redis-sentinel). The master acknowledges before its replicas have a write, and syncs its file
// once a second: what is compared is only how long nobody takes writes.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../src/cli/demo-watch.ts';
import { freePorts } from './etcd.mjs';

const serverCount = 3;
const quorum = 2;
const answerMsMax = 500;

export function redisVersion() {
  const { status, stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  const hasSentinel = spawnSync('redis-sentinel', ['--version']).status === 0;
  return status === 0 && hasSentinel ? /v=(\S+)/.exec(stdout)?.[1] : null;
}

/** One command over a connection of its own; its answer as text, or null when there is none. */
function ask(port, ...words) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let text = '';
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(answerMsMax, () => end(null));
    socket.setEncoding('utf8');
    socket.on('error', () => end(null));
    socket.on('close', () => end(null));
    socket.on('connect', () => {
      const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      socket.write(`*${words.length}\r\n${parts.join('')}`);
    });
    socket.on('data', (chunk) => {
      text += chunk;
      if (text.endsWith('\r\n')) end(text);
    });
  });
}

export async function startRedis({ downAfterMs }) {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-redis-'));
  const out = openSync(join(folder, 'redis.log'), 'a');
  const ports = await freePorts(2 * serverCount);
  const [first] = ports;
  const children = new Map();
  const start = (port, program, args) =>
    children.set(port, spawn(program, args, { stdio: ['ignore', out, out] }));
  const alive = (port) => {
    const child = children.get(port);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  };
  const startServer = (port) => {
    const dir = join(folder, String(port));
    mkdirSync(dir, { recursive: true });
    const settings = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes'];
    const follows = port === first ? [] : ['--replicaof', '127.0.0.1', first];
    start(port, 'redis-server', [...settings, ...follows].map(String));
  };
  const servers = ports.slice(0, serverCount);
  const sentinels = ports.slice(serverCount);
  const startedMs = performance.now();
  for (const port of servers) startServer(port);
  for (const port of sentinels) {
    const file = join(folder, `sentinel-${port}.conf`);
    writeFileSync(
      file,
      `port ${port}\nbind 127.0.0.1\ndir ${folder}\n` +
        `sentinel monitor bench 127.0.0.1 ${first} ${quorum}\n` +
        `sentinel down-after-milliseconds bench ${downAfterMs}\n` +
        'sentinel failover-timeout bench 10000\n',
    );
    start(port, 'redis-sentinel', [file]);
  }

  const masterPort = async () => {
    for (const port of sentinels) {
      const answer = await ask(port, 'SENTINEL', 'get-master-addr-by-name', 'bench');
      const found = /\r\n(\d+)\r\n$/.exec(answer ?? '')?.[1];
      if (found !== undefined) return Number(found);
    }
    return null;
  };
  /** When the first write from now on was taken by whom the sentinels name. */
  const firstAckFromNow = () =>
    until(
      'a write of Redis',
      120_000,
      async () => {
        const port = await masterPort();
        if (port === null) return null;
        return (await ask(port, 'SET', 'n', '1')) === '+OK\r\n' ? performance.now() : null;
      },
      3,
    );
  return {
    startedMs,
    firstAckFromNow,
    /** The master's port, once it has both replicas and the sentinels know of each other. */
    settled: () =>
      until('Redis to settle', 60_000, async () => {
        const port = await masterPort();
        if (port === null || !alive(port)) return null;
        const info = await ask(port, 'INFO', 'replication');
        const replicas = [...(info ?? '').matchAll(/state=online/g)].length;
        const quorate = await ask(sentinels[0], 'SENTINEL', 'ckquorum', 'bench');
        // They look at the replicas every ten seconds, and promote none that they don't know.
        const known = await Promise.all(
          sentinels.map((at) => ask(at, 'SENTINEL', 'MASTER', 'bench')),
        );
        const all = known.every((text) => text?.includes(`num-slaves\r\n$1\r\n${replicas}`));
        return all && replicas === serverCount - 1 && quorate?.startsWith('+OK 3') ? port : null;
      }),
    signal: (port, name) => children.get(port).kill(name),
    async restart(port) {
      if (alive(port)) await once(children.get(port), 'exit');
      startServer(port);
    },
    async end() {
      for (const [port, child] of children) {
        if (!alive(port)) continue;
        child.kill('SIGCONT');
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
