/**
 * The paths under /api/ against live daemons: a real kubo that runs, hangs, is stopped and started
 * again by its callers' own words, and a lotus whose program is missing. Every answer in its shape.
 */
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import {
  actionAnswer,
  backend,
  daemonStatusAnswer,
  enveloped,
  healthCheck,
  logs,
  overview,
  realtime,
} from '../../src/http/dashboard/shapes.ts';
import { createFlock, type Flock, until } from '../e2e/flock.ts';
import { daemonBinary } from './binaries.ts';

const name = 'master-1';
let flock: Flock;
/** The kubo that was seen running; ended at last by its own pid, if it still is. */
let pid: number | null = null;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

beforeAll(async () => {
  process.env.BELLWETHER_DAEMONS_DIR = dirname(daemonBinary('ipfs'));
  const [rpc, gateway, swarm] = [await freePort(), await freePort(), await freePort()];
  const daemons = {
    checkMs: 500,
    unresponsiveMs: 60_000,
    ipfs: { mode: 'managed', network: 'local', ports: { rpc, gateway, swarm } },
    lotus: { mode: 'managed', binary: join(tmpdir(), 'no-lotus-here') },
  };
  flock = await createFlock({ names: [name], daemons });
  flock.startAll();
  await flock.leader(60_000);
});

afterAll(async () => {
  if (pid !== null)
    try {
      process.kill(pid, 'SIGCONT');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
    }
  if (flock.node(name).running()) await flock.signal(name, 'SIGTERM');
  await flock.stop();
});

async function call<T extends z.ZodType>(
  schema: T,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<z.infer<T>> {
  const response = await fetch(`${flock.node(name).url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${flock.token(name)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  expect([path, response.status, text.slice(0, 300)]).toMatchObject([path, 200, {}]);
  return schema.parse(JSON.parse(text));
}

const ipfs = async () =>
  (await call(enveloped(backend), 'GET', '/api/dashboard/backends/ipfs/status')).data;
const ipfsUntil = (what: string, wanted: (one: z.infer<typeof backend>) => boolean) =>
  until(
    `kubo is ${what}`,
    async () => {
      const seen = await ipfs();
      return wanted(seen) ? seen : null;
    },
    { deadlineMs: 120_000, everyMs: 200, seen: ipfs },
  );
const act = (action: string) =>
  call(enveloped(actionAnswer), 'POST', '/api/dashboard/daemon/action', {
    daemon_name: 'ipfs',
    action,
  });

const reads = [
  ['/api/dashboard/status', enveloped(overview)],
  ['/api/dashboard/metrics/realtime', enveloped(realtime)],
  ['/api/dashboard/backends/ipfs/status', enveloped(backend)],
  ['/api/dashboard/backends/lotus/status', enveloped(backend)],
  ['/api/dashboard/backends/libp2p/status', enveloped(backend)],
  ['/api/dashboard/logs/ipfs', enveloped(logs)],
] as const;
async function readAll(): Promise<number[]> {
  const tookMs: number[] = [];
  for (const [path, schema] of reads) {
    const startedMs = performance.now();
    await call(schema, 'GET', path);
    tookMs.push(performance.now() - startedMs);
  }
  return tookMs;
}

test('a live kubo beside a lotus without its program', async () => {
  const seen = await ipfsUntil('running and healthy', ({ health }) => health === 'healthy');
  pid = seen.daemon_pid;
  expect(seen).toMatchObject({
    status: 'running',
    detailed_info: { version: expect.stringMatching(/^\d+\.\d+/), peer_count: expect.any(Number) },
  });
  await readAll();
  const status = await call(daemonStatusAnswer, 'POST', '/api/v0/ipfs/daemon/status', {
    daemon_type: 'ipfs',
    timeout: 10,
  });
  expect(status).toMatchObject({ success: true, overall_status: 'running', status_code: 200 });
  expect(status.daemons.ipfs?.details.detailed_status).toContain('kubo');
  const lotus = await call(enveloped(backend), 'GET', '/api/dashboard/backends/lotus/status');
  expect(lotus.data).toMatchObject({
    status: 'error',
    health: 'unhealthy',
    detailed_info: { version: 'unavailable', wallet_balance: 'unavailable', chain_height: 0 },
  });
  expect(lotus.data.status_message).toContain('binary-missing');
  const lines = await call(enveloped(logs), 'GET', '/api/dashboard/logs/ipfs?lines=1000');
  expect(lines.data.logs.some(({ message }) => message.includes('Daemon is ready'))).toBe(true);
});

test('a kubo that hangs holds up no read, and is told as what it is', async () => {
  process.kill(pid ?? 0, 'SIGSTOP');
  const hung = await ipfsUntil('silent', ({ health }) => health !== 'healthy');
  expect(hung.errors.length).toBeGreaterThan(0);
  const tookMs: number[] = [];
  for (let i = 0; i < 10; i++) tookMs.push(...(await readAll()));
  tookMs.sort((a, b) => a - b);
  const median = tookMs[Math.floor(tookMs.length / 2)] ?? 0;
  process.stdout.write(`reads beside a hung kubo: median ${median.toFixed(1)} ms\n`);
  // Its own look waits for three seconds; a read never does.
  expect(median).toBeLessThan(1000);
  const live = await fetch(`${flock.node(name).url}/livez`);
  expect(live.status).toBe(200);
  process.kill(pid ?? 0, 'SIGCONT');
  await ipfsUntil('healthy again', ({ health }) => health === 'healthy');
});

test('stopped and started by its callers', async () => {
  expect((await act('stop')).data).toMatchObject({
    success: true,
    details: { status: 'stopped', processes_stopped: [{ pid }] },
  });
  const { status, health, daemon_pid } = await ipfs();
  expect([status, health, daemon_pid]).toEqual(['stopped', 'unhealthy', null]);
  await readAll();
  const stopped = await call(daemonStatusAnswer, 'POST', '/api/v0/ipfs/daemon/status', {
    daemon_type: 'ipfs',
  });
  expect(stopped).toMatchObject({ success: false, overall_status: 'stopped', status_code: 200 });
  expect((await act('stop')).data.details).toMatchObject({ status: 'already_stopped' });
  expect((await act('start')).data).toMatchObject({ success: true });
  const again = await ipfsUntil('back', ({ health: now }) => now === 'healthy');
  pid = again.daemon_pid;
  expect((await act('start')).data.details).toMatchObject({ status: 'already_running_healthy' });
  const checked = await call(enveloped(healthCheck), 'POST', '/api/dashboard/health/check', {
    force_check: true,
  });
  expect(checked.data.results.ipfs).toMatchObject({ health: 'healthy' });
});
