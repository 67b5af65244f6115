import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const program = join(root, 'dist/bellwether.mjs');

interface Up {
  readonly child: ChildProcess;
  readonly nodes: { name: string; role: string; statusUrl: string; pid: number }[];
  readonly pins: { cid: string; verified: number; min: number }[];
  readonly leader: { name: string };
  readonly lines: string[];
}

let folder: string;
let children: ChildProcess[];
let pids: number[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-e2e-'));
  children = [];
  pids = [];
  mkdirSync(join(folder, 'files'));
  writeFileSync(join(folder, 'files/one.txt'), 'one');
  writeFileSync(join(folder, 'files/two.bin'), Buffer.alloc(300_000, 2));
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw thrown;
  }
};

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A folder for temporary files of its own keeps the lock apart from other demos. */
function launch(argv: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [program, ...argv], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

async function ended(
  child: ChildProcess,
): Promise<{ code: number | null; out: string; err: string }> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    err += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

async function start(...argv: string[]): Promise<Up> {
  const child = launch(['demo', '--files', join(folder, 'files'), '--json', ...argv]);
  const lines: string[] = [];
  createInterface({ input: present(child.stderr, 'stderr') }).on('line', (line) => {
    lines.push(line);
  });
  const first = once(createInterface({ input: present(child.stdout, 'stdout') }), 'line');
  const gone = once(child, 'exit').then(() => {
    throw new Error(`the demo ended: ${lines.join('\n')}`);
  });
  const [line] = (await Promise.race([first, gone])) as [string];
  gone.catch((error: Error) => lines.push(error.message));
  const told = JSON.parse(line);
  for (const { pid } of told.nodes) pids.push(pid);
  return { child, lines, ...told };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await holds()) return;
    await wait(50);
  }
  throw new Error(`after 20 s still not: ${what}`);
}

const answers = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

const urlOf = ({ nodes }: Up, name: string): string =>
  present(
    nodes.find((node) => node.name === name),
    name,
  ).statusUrl;

async function page(up: Up, name: string) {
  return (await fetch(`${urlOf(up, name)}/status`)).json() as Promise<{
    cluster: { id: string };
  }>;
}

test('five agents come up; a second demo says so; SIGTERM leaves nothing behind', async () => {
  const up = await start();
  expect(up.nodes.map(({ role }) => role)).toEqual([
    'master',
    'master',
    'worker',
    'worker',
    'leecher',
  ]);
  expect(up.pins).toHaveLength(2);
  for (const { verified, min } of up.pins) expect(verified).toBeGreaterThanOrEqual(min);
  expect(up.nodes.every(({ pid }) => isAlive(pid))).toBe(true);

  const second = await ended(launch(['demo', '--files', join(folder, 'files')]));
  expect(second.code).toBe(1);
  expect(second.err).toBe(
    `bellwether: a demo runs already, as process ${up.child.pid}; stop it first\n`,
  );

  const status = await ended(launch(['status', '--url', urlOf(up, 'leecher-1')]));
  expect([status.code, status.out]).toEqual([0, expect.stringContaining(up.leader.name)]);

  const closed = once(up.child, 'exit');
  up.child.kill('SIGTERM');
  expect((await closed)[0]).toBe(0);
  expect(up.nodes.filter(({ pid }) => isAlive(pid))).toEqual([]);
  for (const { statusUrl } of up.nodes) expect(await answers(statusUrl)).toBe(false);
  expect(readdirSync(folder)).toEqual(['files']);
});

test('when the demo itself is killed its agents end too', async () => {
  const up = await start();
  up.child.kill('SIGKILL');
  await until('all agents have ended', () => !up.nodes.some(({ pid }) => isAlive(pid)));
});

test('all five killed at once come back as the same cluster with the same pins and entries', async () => {
  const keep = join(folder, 'kept');
  const up = await start('--keep', keep);
  const token = readFileSync(join(keep, 'worker-1/http.token'), 'utf8').trim();
  const put = await fetch(`${urlOf(up, 'worker-1')}/v1/index/knowledge_graph/kept`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{"kept":true}',
  });
  expect(put.status).toBe(200);
  const { cluster } = await page(up, 'master-1');
  for (const { pid } of up.nodes) process.kill(pid, 'SIGKILL');
  up.child.kill('SIGKILL');
  await until('all have ended', () => !up.nodes.some(({ pid }) => isAlive(pid)));

  const again = await start('--keep', keep);
  expect((await page(again, 'leecher-1')).cluster.id).toBe(cluster.id);
  expect(again.pins.map(({ cid }) => cid).sort()).toEqual(up.pins.map(({ cid }) => cid).sort());
  await until('the entry is on the leecher', async () => {
    const entry = await fetch(`${urlOf(again, 'leecher-1')}/v1/index/knowledge_graph/kept`);
    return entry.status === 200;
  });
  const closed = once(again.child, 'exit');
  again.child.kill('SIGINT');
  expect((await closed)[0]).toBe(0);
  expect(existsSync(join(keep, 'master-1'))).toBe(true);
});

test.each([
  ['no such file', ['--files', '/nowhere'], 3, 'bellwether: /nowhere: no such file or folder\n'],
  [
    'no script',
    ['--script', 'x'],
    2,
    "bellwether: --script: got 'x'. It takes: failover, daemons\n",
  ],
])('%s is one clear line', async (_, argv, code, err) => {
  expect(await ended(launch(['demo', ...argv]))).toEqual({ code, out: '', err });
});
