/**
 * Who is let in, and what is refused with which words: a name that is taken, another network key, a
 * folder in use, an empty folder without peers, a changed role.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFlock, type Flock } from './flock.ts';
import { nodeBinary } from './program.ts';

let flock: Flock;

beforeEach(async () => {
  flock = await createFlock({ names: ['master-1', 'worker-1'] });
  flock.startAll();
  await flock.leader();
});

afterEach(async () => {
  await flock.stop();
});

/** Runs an agent that is expected to refuse; its exit code and what it said. */
async function runAgent(flags: readonly string[]): Promise<{ code: number; said: string }> {
  const child = spawn(nodeBinary(), [
    flock.program,
    'agent',
    ...['--http-port', '0', '--mesh-host', '127.0.0.1', '--mesh-port', '0', ...flags],
  ]);
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    said += String(chunk);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(timer);
  if (code === null) throw new Error(`ended by ${signal}: ${said}`);
  return { code, said };
}

const peersOf = async (): Promise<string> => {
  const page = (await flock.status('master-1')) as unknown as {
    members: { name: string; addresses: string[] }[];
  };
  const master = page.members.find((member) => member.name === 'master-1');
  const address = master?.addresses.find((one) => one.includes('/127.0.0.1/')) ?? '';
  return address.replace(/\/p2p\/.*$/, '');
};

test('the name of a member is refused to another key', async () => {
  const { code, said } = await runAgent([
    ...['--role', 'worker', '--node-id', 'worker-1', '--data', join(flock.dir, 'twin')],
    ...['--network-key-file', join(flock.dir, 'network.key'), '--peers', await peersOf()],
  ]);
  expect(code).not.toBe(0);
  expect(said).toMatch(/the name worker-1 belongs to the key/);
});

test('another network key is told as such', async () => {
  const key = join(flock.dir, 'other.key');
  writeFileSync(key, `${randomBytes(32).toString('hex')}\n`);
  const { code, said } = await runAgent([
    ...['--role', 'worker', '--node-id', 'stranger', '--data', join(flock.dir, 'stranger')],
    ...['--network-key-file', key, '--peers', await peersOf()],
  ]);
  expect(code).not.toBe(0);
  expect(said).toMatch(/network key/);
});

test('a folder in use, an empty folder alone, a changed role', async () => {
  const inUse = await runAgent([
    ...['--role', 'worker', '--node-id', 'worker-1', '--data', flock.node('worker-1').data],
    ...['--network-key-file', join(flock.dir, 'network.key'), '--peers', await peersOf()],
  ]);
  expect(inUse.code).not.toBe(0);
  expect(inUse.said).toMatch(/another agent uses the data folder/);

  const alone = await runAgent([
    ...['--role', 'master', '--node-id', 'alone', '--data', join(flock.dir, 'alone')],
  ]);
  expect(alone.code).not.toBe(0);
  expect(alone.said).toMatch(/is empty: give peers to join their cluster, or startCluster/);

  await flock.signal('worker-1', 'SIGTERM');
  const changed = await runAgent([
    ...['--role', 'master', '--node-id', 'worker-1', '--data', flock.node('worker-1').data],
    ...['--network-key-file', join(flock.dir, 'network.key'), '--peers', await peersOf()],
  ]);
  expect(changed.code).not.toBe(0);
  expect(changed.said).toMatch(/was admitted as worker, the configuration says master/);
});
