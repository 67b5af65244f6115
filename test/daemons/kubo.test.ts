/**
 * The real kubo under a real agent: killed, stopped in its tracks, left behind by its agent and
 * taken over, in the way of somebody else's port. One story, in order; what it took is printed.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDaemonFlock, createReader, type DaemonFlock } from '../e2e/daemon-flock.ts';
import { until } from '../e2e/flock.ts';
import { daemonBinary } from './binaries.ts';

const name = 'master-1';
const coolDownMs = 15_000;
let flock: DaemonFlock;
let foreign: Server;
let foreignPort = 0;

beforeAll(async () => {
  process.env.BELLWETHER_DAEMONS_DIR = dirname(daemonBinary('ipfs'));
  foreign = createServer((socket) => socket.end('not kubo\n')).listen(0, '127.0.0.1');
  await once(foreign, 'listening');
  foreignPort = (foreign.address() as { port: number }).port;
  flock = await createDaemonFlock([name], {
    coolDownMs,
    unresponsiveMs: 4000,
    ipfs: {
      mode: 'managed',
      network: 'local',
      storageMax: 1_000_000_000,
      ports: { rpc: foreignPort, gateway: 48_080, swarm: 44_001 },
      limits: { memoryBytes: 3_000_000_000, files: 4096, cpus: 1 },
    },
  });
  flock.start(name);
});

afterAll(async () => {
  await flock.stop();
  foreign.close();
});

const since = (at: string, fromMs: number): number => Date.parse(at) - fromMs;

/** The first event of a kind after a moment. */
const toldAfter = (type: string, fromMs: number) =>
  until(
    `event ${type}`,
    async () =>
      (await flock.events(name)).find(
        (event) => event.type === type && Date.parse(event.at) >= fromMs,
      ) ?? null,
    { deadlineMs: 60_000 },
  );

async function pidOf(): Promise<number> {
  const { pid } = await flock.viewUntil('kubo runs', name, ({ state }) => state === 'running');
  return pid ?? 0;
}

// A fresh repo holds one pin: the empty folder.
test('kubo starts beside a foreign port, and tells what it is', async () => {
  const view = await flock.viewUntil(
    'kubo is counted',
    name,
    ({ state, finding }) => state === 'running' && finding?.facts.pins_count === 1,
    120_000,
  );
  expect(view.finding).toMatchObject({ ready: true, version: '0.39.0', problems: [] });
  expect(view.finding?.facts).toMatchObject({
    storage_max: 1_000_000_000,
    datastore_type: 'flatfs',
    peer_count: 0,
  });
  expect(view.ports.rpc).toBeGreaterThan(foreignPort);
  expect(view.notes[0]).toContain(`port ${foreignPort} is held by pid ${process.pid}`);
  expect(view.unenforced).toEqual([]);
  const status = readFileSync(`/proc/${view.pid}/status`, 'utf8');
  expect(status).toMatch(/^Cpus_allowed_list:\s*\d+$/m);
  const limits = readFileSync(`/proc/${view.pid}/limits`, 'utf8');
  expect(limits).toMatch(/Max open files +4096/);
  expect(limits).toMatch(
    /Max data size +3000000512|Max data size +2999999488|Max data size +3\d{9}/,
  );
  const config = JSON.parse(readFileSync(join(view.folder ?? '', 'config'), 'utf8'));
  expect(config.Addresses.API).toBe(`/ip4/127.0.0.1/tcp/${view.ports.rpc}`);
  expect(config.Swarm.ConnMgr.HighWater).toBe(400);
  expect(foreign.listening).toBe(true);
});

test('kill -9 is noticed within 3 s and healed within 15 s; the second one waits', async () => {
  const livez = createReader(`${flock.node(name).url}/livez`);
  const first = await pidOf();
  const killedMs = Date.now();
  process.kill(first, 'SIGKILL');
  const noticed = await toldAfter('daemon-failed', killedMs);
  const ready = await toldAfter('daemon-ready', killedMs);
  const [noticedMs, healthyMs] = [since(noticed.at, killedMs), since(ready.at, killedMs)];
  expect(noticed.data).toMatchObject({ daemon: 'ipfs', cause: 'killed', failures: 1 });
  expect(noticedMs).toBeLessThan(3000);
  expect(healthyMs).toBeLessThan(15_000);
  const second = await pidOf();
  expect(second).not.toBe(first);
  const againMs = Date.now();
  process.kill(second, 'SIGKILL');
  const waiting = await flock.viewUntil('it waits', name, ({ state }) => state === 'cooling-down');
  expect(waiting.cooldownMsRemaining).toBeGreaterThan(0);
  expect(waiting.alertSince).not.toBeNull();
  const refused = await flock.act(name, 'POST', 'ipfs/start');
  expect([refused.status, refused.body.code]).toEqual([409, 'cooling-down']);
  const healed = await toldAfter('daemon-starting', againMs);
  const readyMs = Date.parse(ready.at);
  expect(Date.parse(healed.at) - readyMs).toBeGreaterThan(coolDownMs - (healthyMs + 2000));
  await pidOf();
  const { answers, statuses, medianMs } = await livez.stop();
  expect(statuses).toEqual([200]);
  console.log(
    `kubo killed: noticed ${noticedMs} ms, healthy ${healthyMs} ms; second waited ` +
      `${since(healed.at, againMs)} ms; livez ${answers} answers, median ${medianMs.toFixed(1)} ms`,
  );
});

test('kubo that stands still is unresponsive, then healed; reads stay fast meanwhile', async () => {
  const { lastHealAt } = await flock.viewUntil('kubo runs', name, (v) => v.state === 'running');
  await until(
    'the cool-down',
    () => Date.now() > Date.parse(lastHealAt ?? '') + coolDownMs * 1.2 || null,
    {
      deadlineMs: 60_000,
    },
  );
  const pid = await pidOf();
  const page = createReader(`${flock.node(name).url}/v1/daemons/ipfs`);
  const stoppedMs = Date.now();
  process.kill(pid, 'SIGSTOP');
  const unresponsive = await toldAfter('daemon-unresponsive', stoppedMs);
  const ready = await toldAfter('daemon-ready', stoppedMs);
  expect(await pidOf()).not.toBe(pid);
  const { statuses, medianMs } = await page.stop();
  expect(statuses).toEqual([200]);
  expect(medianMs).toBeLessThan(50);
  console.log(
    `kubo stopped: unresponsive after ${since(unresponsive.at, stoppedMs)} ms, healed after ` +
      `${since(ready.at, stoppedMs)} ms; reads took ${medianMs.toFixed(1)} ms in the median`,
  );
});

test('kill -9 of the agent leaves kubo running, and the next agent takes it over', async () => {
  const before = await flock.viewUntil('kubo runs', name, ({ state }) => state === 'running');
  await flock.signal(name, 'SIGKILL');
  const answer = await fetch(`${before.url}/api/v0/version`, { method: 'POST' });
  expect(answer.status).toBe(200);
  flock.start(name);
  const after = await flock.viewUntil('kubo runs', name, ({ state }) => state === 'running');
  expect([after.pid, after.adopted, after.ports]).toEqual([before.pid, true, before.ports]);
});

test("a person's stop is kept over a restart of the agent; auto_heal off heals nothing", async () => {
  const stopped = await flock.act(name, 'POST', 'ipfs/stop');
  expect(stopped.body).toMatchObject({ state: 'stopped', desired: 'stopped', pid: null });
  await flock.signal(name, 'SIGTERM');
  flock.start(name);
  const view = await flock.viewUntil('the agent is back', name, () => true);
  expect(view).toMatchObject({ state: 'stopped', desired: 'stopped', pid: null });
  const off = await flock.act(name, 'PUT', 'ipfs', { auto_heal: false });
  expect(off.body.autoHeal).toBe(false);
  const started = await flock.act(name, 'POST', 'ipfs/start');
  expect(started.body).toMatchObject({ state: 'running', desired: 'started' });
  process.kill(started.body.pid ?? 0, 'SIGKILL');
  const dead = await flock.viewUntil('it is dead', name, ({ pid }) => pid === null);
  expect(dead).toMatchObject({ state: 'stopped', desired: 'started', held: 'auto-heal-off' });
  await flock.act(name, 'PUT', 'ipfs', { auto_heal: true });
  await flock.act(name, 'POST', 'ipfs/start', { force: true });
  await pidOf();
});

test('stopping the agent ends exactly its own', async () => {
  const pid = await pidOf();
  await flock.signal(name, 'SIGTERM');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(foreign.listening).toBe(true);
});
