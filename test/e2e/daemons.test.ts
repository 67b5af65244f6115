/**
 * Agents and a small program in the place of kubo: what supervision does about every kind of
 * failure, with real processes and real signals. The same against the real kubo is in test/daemons/.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonOf, runCommand } from './command.ts';
import { createDaemonFlock, createReader, type DaemonFlock } from './daemon-flock.ts';
import { until } from './flock.ts';
import { nodeBinary } from './program.ts';

const name = 'leecher-1';
const coolDownMs = 8000;
const fakes = mkdtempSync(join(tmpdir(), 'bellwether-fakes-'));
const home = join(fakes, 'repo');
let flock: DaemonFlock;

beforeAll(() => {
  const text = readFileSync(new URL('fakes/ipfs.txt', import.meta.url), 'utf8');
  writeFileSync(join(fakes, 'ipfs'), `#!${nodeBinary()}\n${text}`);
  chmodSync(join(fakes, 'ipfs'), 0o755);
});

async function startWith(more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  flock = await createDaemonFlock(['master-1', name], {
    coolDownMs,
    unresponsiveMs: 3000,
    ipfs: {
      mode: 'managed',
      binary: join(fakes, 'ipfs'),
      folder: home,
      ports: { rpc: 35_001, gateway: 38_080, swarm: 34_001 },
      ...more,
    },
  });
  flock.start(name);
}

afterAll(async () => {
  await flock.stop();
  rmSync(fakes, { recursive: true, force: true });
});

const fault = (what: string): void => writeFileSync(join(home, 'fault'), what);
const running = () =>
  flock.viewUntil('it runs and answers', name, ({ state, finding, checkError }) => {
    return state === 'running' && finding !== null && checkError === null;
  });
const starts = (): number => readFileSync(join(home, 'starts'), 'utf8').trim().split('\n').length;

test('a daemon runs although its agent never joins anybody, and says what it finds', async () => {
  await startWith();
  const view = await running();
  expect(view).toMatchObject({ title: 'kubo', mode: 'managed', desired: 'started', restarts: 0 });
  expect(view.finding).toMatchObject({ version: '0.0.1', ready: true });
  const config = JSON.parse(readFileSync(join(home, 'config'), 'utf8'));
  expect(config.Addresses.API).toBe(`/ip4/127.0.0.1/tcp/${view.ports.rpc}`);
  expect(config.Identity.PrivKey).toBe('secret');
});

test.each(['hang', 'garbage', 'error', 'cut'])(
  'an API that answers with %s: the reason is shown, reads stay fast, probes answer',
  async (what) => {
    await running();
    const livez = createReader(`${flock.node(name).url}/livez`);
    const page = createReader(`${flock.node(name).url}/v1/daemons/ipfs`);
    fault(what);
    const wrong = await flock.viewUntil('an error is shown', name, (v) => v.checkError !== null);
    expect(wrong.checkError).toMatch(/no answer|not JSON|broken inside|closed|terminated|hang up/);
    fault('');
    await running();
    const [probes, reads] = [await livez.stop(), await page.stop()];
    expect([probes.statuses, reads.statuses]).toEqual([[200], [200]]);
    expect(probes.medianMs).toBeLessThan(50);
    expect(reads.medianMs).toBeLessThan(50);
  },
);

test('a start that fails again and again is a crash loop that is probed, and recovers', async () => {
  await flock.act(name, 'POST', 'ipfs/stop');
  fault('exit-3');
  const { body } = await flock.act(name, 'POST', 'ipfs/start', { timeoutMs: 1 });
  expect(body.state).not.toBe('running');
  const loop = await flock.viewUntil('a crash loop', name, (v) => v.state === 'crash-loop');
  expect(loop.lastFailure).toMatchObject({ cause: 'exited' });
  expect(loop.lastFailure?.detail).toContain('exit code 3; last said: Error: it does not want to');
  const before = starts();
  fault('');
  await running();
  expect(starts()).toBe(before + 1);
});

test('a full disk is no case for a hot retry, and is named', async () => {
  await flock.act(name, 'POST', 'ipfs/stop');
  fault('no-space');
  await flock.act(name, 'POST', 'ipfs/start', { timeoutMs: 1 });
  const waiting = await flock.viewUntil('it waits', name, (v) => v.state === 'cooling-down');
  expect(waiting.lastFailure).toMatchObject({ cause: 'disk-full' });
  expect(waiting.cooldownMsRemaining).toBeGreaterThan(coolDownMs / 2);
  fault('');
  await flock.act(name, 'POST', 'ipfs/start', { force: true });
  await running();
});

test('who hears neither its API nor SIGTERM is ended by force', async () => {
  fault('deaf');
  await flock.act(name, 'POST', 'ipfs/restart', { force: true });
  const { pid } = await running();
  const stopped = await flock.act(name, 'POST', 'ipfs/stop');
  expect(stopped.body).toMatchObject({ state: 'stopped', pid: null });
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH');
  fault('');
  await flock.act(name, 'POST', 'ipfs/start');
  await running();
});

test('the commands show it, follow its output and tell what is wrong', async () => {
  const at = ['--url', flock.node(name).url, '--token', flock.token(name), '--json'];
  const run = (...args: string[]) => runCommand(flock.program, [...args, ...at]);
  const list = jsonOf<{ type: string; mode: string }[]>(await run('daemon', 'ls'));
  expect(list.map(({ mode }) => mode)).toEqual(['managed', 'off', 'off', 'off']);
  const logs = jsonOf<{ lines: string[] }>(await run('daemon', 'logs', 'ipfs'));
  expect(logs.lines.at(-1)).toBe('Daemon is ready');
  expect((await run('daemon', 'heal', 'ipfs', 'off')).exit).toBe(0);
  expect(jsonOf(await run('daemon', 'status', 'ipfs'))).toMatchObject({ autoHeal: false });
  expect((await run('daemon', 'heal', 'ipfs', 'on')).exit).toBe(0);
  expect((await run('daemon', 'start', 'lotus')).exit).toBe(4);
  expect((await run('daemon', 'start', 'nothing')).exit).toBe(2);
  expect((await run('daemon', 'restart', 'ipfs')).exit).toBe(0);
  const unauthorized = await runCommand(flock.program, [
    ...['daemon', 'stop', 'ipfs', '--url', flock.node(name).url, '--token', 'wrong'],
  ]);
  expect(unauthorized.exit).toBe(6);
});

test('kill -9 of the agent: the next one takes over the same process; its stop ends it', async () => {
  const before = await running();
  await flock.signal(name, 'SIGKILL');
  flock.start(name);
  const after = await running();
  expect([after.pid, after.adopted]).toEqual([before.pid, true]);
  await flock.signal(name, 'SIGTERM');
  await until('its end', () => !alive(before.pid ?? 0) || null, { deadlineMs: 10_000 });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH') return false;
    throw thrown;
  }
}
