/**
 * A cluster made by hand, as the README tells: `init`, two tokens, two joins on data folders of their
 * own; all of it survives a restart without any option but the folder, and a certificate that runs
 * out is renewed by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataFolder } from '../../src/agent/data-folder.ts';
import { foundCluster } from '../../src/agent/trust/founding.ts';
import { jsonOf, runCommand } from './command.ts';
import { freePorts, getJson, type Page, until } from './flock.ts';
import { nodeBinary, programIn } from './program.ts';

let dir = '';
let program = '';
let children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-identity-'));
  program = programIn(dir);
});

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

afterEach(async () => {
  await Promise.all(children.map((child) => end(child, 'SIGKILL')));
  children = [];
  rmSync(dir, { recursive: true, force: true });
});

function run(...args: string[]): ChildProcess {
  const child = spawn(nodeBinary(), [program, ...args], { stdio: 'ignore' });
  children.push(child);
  return child;
}

/** The page of a node once it knows a leader and sees so many members. */
const settled = (url: string, members: number): Promise<Page> =>
  until(
    `${members} members at ${url}`,
    async () => {
      const page = await getJson<Page>(`${url}/status`);
      const there = page?.members.length === members && page.election.leader !== null;
      return there ? page : null;
    },
    { deadlineMs: 60_000, seen: () => getJson(`${url}/status`) },
  );

interface Place {
  readonly data: string;
  readonly url: string;
  readonly flags: readonly string[];
}

async function places(names: readonly string[]): Promise<Place[]> {
  const ports = await freePorts(names.length * 2);
  return names.map((name, i) => {
    const data = join(dir, name);
    const http = String(ports[i * 2] ?? 0);
    const mesh = ['--mesh-host', '127.0.0.1', '--mesh-port', String(ports[i * 2 + 1] ?? 0)];
    const flags = ['--data', data, '--http-port', http, ...mesh];
    return { data, url: `http://127.0.0.1:${http}`, flags };
  });
}

test('init, token create and join make a cluster of three folders', async () => {
  const [m1, w1, l1] = await places(['m1', 'w1', 'l1']);
  if (!m1 || !w1 || !l1) throw new Error('three places');
  const made = await runCommand(program, ['init', '--name', 'm1', '--data', m1.data, '--json']);
  expect(jsonOf(made)).toMatchObject({ ok: true, name: 'm1', role: 'master' });
  expect((await runCommand(program, ['init', '--name', 'm1', '--data', m1.data])).exit).toBe(4);
  run('agent', ...m1.flags);
  await settled(m1.url, 1);

  const asked = ['--url', m1.url, '--data', m1.data];
  for (const [place, name, role] of [
    [w1, 'w1', 'worker'],
    [l1, 'l1', 'leecher'],
  ] as const) {
    const token = await runCommand(program, ['token', 'create', '--role', role, ...asked]);
    expect(token.exit, token.err).toBe(0);
    run('join', token.out.trim(), '--name', name, ...place.flags);
  }
  const page = await settled(m1.url, 3);
  expect(page.members.map(({ name }) => name).sort()).toEqual(['l1', 'm1', 'w1']);
  const before = await settled(l1.url, 3);
  expect(before.node).toMatchObject({ name: 'l1', role: 'leecher' });

  await Promise.all(children.map((child) => end(child, 'SIGTERM')));
  for (const place of [m1, w1, l1]) run('agent', ...place.flags);
  const after = await settled(l1.url, 3);
  expect(after.node.peerId).toBe(before.node.peerId);
  expect(after.cluster.id).toBe(page.cluster.id);
});

test('a certificate that runs out is renewed before anything is refused for it', async () => {
  const [m1] = await places(['m1']);
  if (!m1) throw new Error('a place');
  const folder = openDataFolder(m1.data);
  const first = { name: 'm1', zone: 'default', rank: 0, workersMayLead: true };
  await foundCluster(folder, first, Date.now() - 89 * 86_400_000);
  folder.release();
  const certificate = (): string => readFileSync(join(m1.data, 'certificate.jwt'), 'utf8');
  const old = certificate();
  run('agent', ...m1.flags);
  await settled(m1.url, 1);
  const next = await until(
    'a new certificate',
    () => (certificate() === old ? null : certificate()),
    {
      deadlineMs: 30_000,
    },
  );
  const claims = JSON.parse(Buffer.from(next.split('.')[1] ?? '', 'base64url').toString('utf8'));
  expect(claims.exp * 1000).toBeGreaterThan(Date.now() + 80 * 86_400_000);
});

const ask = (place: Place): string[] => ['--url', place.url, '--data', place.data];

/** The row of a member on the page of `place` once `wanted` holds for it. */
const memberOn = (
  place: Place,
  name: string,
  what: string,
  wanted: (row: Page['members'][number], page: Page) => boolean,
): Promise<Page> =>
  until(
    `${name} ${what} at ${place.url}`,
    async () => {
      const page = await getJson<Page>(`${place.url}/status`);
      const row = page?.members.find((one) => one.name === name);
      return page && row && wanted(row, page) ? page : null;
    },
    { deadlineMs: 60_000, seen: () => getJson(`${place.url}/status`) },
  );

test('role set: a worker becomes a master while it runs, the leader a leecher, one that is away follows', async () => {
  const [m1, w1, w2, l1] = await places(['m1', 'w1', 'w2', 'l1']);
  if (!m1 || !w1 || !w2 || !l1) throw new Error('four places');
  await runCommand(program, ['init', '--name', 'm1', '--data', m1.data]);
  const processes = new Map([['m1', run('agent', ...m1.flags)]]);
  await settled(m1.url, 1);
  for (const [place, name, role] of [
    [w1, 'w1', 'worker'],
    [w2, 'w2', 'worker'],
    [l1, 'l1', 'leecher'],
  ] as const) {
    const token = await runCommand(program, ['token', 'create', '--role', role, ...ask(m1)]);
    processes.set(name, run('join', token.out.trim(), '--name', name, ...place.flags));
    await settled(place.url, processes.size);
  }
  const set = (at: Place, name: string, role: string) =>
    runCommand(program, ['role', 'set', name, role, '--json', ...ask(at)]);

  // The only master stays one, and nobody else can decide about roles.
  const only = await set(m1, 'm1', 'worker');
  expect([only.exit, only.err + only.out]).toEqual([4, expect.stringContaining('only master')]);
  expect((await set(w1, 'w2', 'leecher')).exit).toBe(6);

  expect(jsonOf(await set(m1, 'w1', 'master'))).toMatchObject({ changed: true, was: 'worker' });
  await memberOn(
    w1,
    'w1',
    'is a master',
    (row, page) => row.role === 'master' && page.node.role === 'master',
  );
  // It has the authority's key by now or soon, so it can let somebody in.
  await until(
    'a token by w1',
    async () => {
      const made = await runCommand(program, ['token', 'create', '--role', 'leecher', ...ask(w1)]);
      return made.exit === 0 ? made : null;
    },
    { deadlineMs: 30_000 },
  );

  // w2 is away while it becomes a leecher; l1, a worker by then, gets its vote.
  expect(jsonOf(await set(m1, 'l1', 'worker'))).toMatchObject({ changed: true });
  const gone = processes.get('w2');
  if (gone) await end(gone, 'SIGKILL');
  expect(jsonOf(await set(m1, 'w2', 'leecher'))).toMatchObject({ changed: true });
  expect(jsonOf(await set(m1, 'w2', 'leecher'))).toMatchObject({ changed: false });
  run('agent', ...w2.flags);
  await memberOn(
    w2,
    'w2',
    'is a leecher',
    (row, page) => row.role === 'leecher' && page.node.role === 'leecher',
  );
  await memberOn(m1, 'l1', 'votes', (_, page) =>
    page.election.voters.some(({ name }) => name === 'l1'),
  );

  // The leader gives the lead away and its key with it; it leads no more, also when it restarts.
  const before = await settled(m1.url, 4);
  const leader = before.election.leader?.name === 'm1' ? m1 : w1;
  const name = leader === m1 ? 'm1' : 'w1';
  const other = leader === m1 ? w1 : m1;
  const moved = jsonOf(await set(other, name, 'leecher'));
  expect(moved).toMatchObject({ changed: true, was: 'master', handedOver: true });
  await memberOn(
    leader,
    name,
    'is a leecher',
    (row, page) =>
      row.role === 'leecher' && page.node.role === 'leecher' && page.election.leader?.name !== name,
  );
  await until(
    'the key is deleted',
    async () => (existsSync(join(leader.data, 'authority.key')) ? null : true),
    { deadlineMs: 30_000 },
  );
  const voters = (await settled(other.url, 4)).election.voters.map((one) => one.name);
  expect(voters).not.toContain(name);
  const process = processes.get(name);
  if (process) await end(process, 'SIGTERM');
  const wrong = await runCommand(program, ['agent', '--role', 'master', ...leader.flags]);
  expect([wrong.exit, wrong.err]).toEqual([6, expect.stringContaining('certified as leecher')]);
}, 240_000);
