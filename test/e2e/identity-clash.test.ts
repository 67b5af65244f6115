/**
 * A data folder that was copied while its agent was down, and both started: real processes. A voter
 * falls silent on both machines and stays so over restarts; a leecher goes on when its copy is gone;
 * everybody shows the alarm, and the cluster goes on without either vote.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, freePorts, getJson, type Page, until } from './flock.ts';
import { nodeBinary } from './program.ts';
import { createWriter } from './writer.ts';

const names = ['master-1', 'worker-1', 'worker-2', 'leecher-1'];

type AlarmPage = Omit<Page, 'members'> & {
  readonly degradedReason: string | null;
  readonly election: { readonly failureTolerance: number };
  readonly trust: {
    readonly identityClash: { since: string; address: string; stoppedVoting: boolean } | null;
  };
  readonly members: { name: string; alarms: string[]; health: string }[];
  readonly health: { reasons: { code: string }[] };
};

let flock: Flock;
let copies: ChildProcess[] = [];

beforeEach(async () => {
  flock = await createFlock({ names });
  flock.startAll();
  await flock.leader();
  await until(
    'all in, three voters',
    async () => {
      const page = await flock.status('master-1');
      return page?.members.length === 4 && page.election.voters.length === 3 ? page : null;
    },
    { deadlineMs: 60_000 },
  );
});

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

afterEach(async () => {
  await Promise.all(copies.map((child) => end(child, 'SIGKILL')));
  copies = [];
  await flock.stop();
});

interface Copy {
  readonly url: string;
  readonly child: ChildProcess;
}

/** Stops the node, copies its folder, and starts both. */
async function startTwice(name: string): Promise<Copy> {
  const node = flock.node(name);
  await flock.signal(name, 'SIGTERM');
  const data = join(flock.dir, `${name}-copy`);
  cpSync(node.data, data, { recursive: true });
  const [http = 0, mesh = 0] = await freePorts(2);
  flock.start(name);
  const args = ['agent', '--data', data, '--role', node.role, '--node-id', name];
  const ports = ['--http-port', `${http}`, '--mesh-host', '127.0.0.1', '--mesh-port', `${mesh}`];
  const child = spawn(nodeBinary(), [flock.program, ...args, ...ports], { stdio: 'ignore' });
  copies.push(child);
  return { url: `http://127.0.0.1:${http}`, child };
}

const pageOf = (url: string) => getJson<AlarmPage>(`${url}/status`);

/** The alarm as the node tells it of itself; a voter votes no more a turn of its loop later. */
const alarmed = (url: string, stops: boolean): Promise<AlarmPage> =>
  until(
    `an alarm at ${url}`,
    async () => {
      const page = await pageOf(url);
      return page?.trust.identityClash?.stoppedVoting === stops ? page : null;
    },
    { deadlineMs: 60_000, seen: () => pageOf(url) },
  );

const alarmsOf = (page: AlarmPage | null, name: string): string[] =>
  page?.members.find((member) => member.name === name)?.alarms ?? [];

const seenBy = (observer: string, name: string, alarm: boolean): Promise<true> =>
  until(
    `${observer} ${alarm ? 'sees' : 'no longer sees'} two machines with the key of ${name}`,
    async () => {
      const page = await pageOf(flock.node(observer).url);
      return page !== null && alarmsOf(page, name).length > 0 === alarm ? true : null;
    },
    { deadlineMs: 60_000, seen: () => pageOf(flock.node(observer).url) },
  );

const command = (name: string, ...args: string[]) => {
  const { url, data } = flock.node(name);
  return runCommand(flock.program, [...args, '--url', url, '--data', data]);
};

test('a voter that was copied votes on neither machine, and the others go on', async () => {
  const copy = await startTwice('worker-2');
  const { url } = flock.node('worker-2');
  for (const page of await Promise.all([alarmed(url, true), alarmed(copy.url, true)])) {
    expect(page.node.cannotLeadReason).toBe('identity-clash');
    expect(page.degradedReason).toBe('identity-clash');
    expect(alarmsOf(page, 'worker-2')).toEqual(['identity-clash']);
  }
  for (const at of [url, copy.url]) {
    const told = await getJson<{ events: { type: string }[] }>(`${at}/v1/events?limit=1000`);
    expect(told?.events.map(({ type }) => type)).toContain('identity-clash');
    const metrics = await (await fetch(`${at}/metrics`)).text();
    expect(metrics).toMatch(/^bellwether_identity_clashes 1$/m);
  }
  for (const observer of ['master-1', 'worker-1', 'leecher-1'])
    await seenBy(observer, 'worker-2', true);
  const doctor = jsonOf<{ findings: { what: string }[] }>(
    await command('leecher-1', 'doctor', '--json'),
  );
  expect(doctor.findings.map(({ what }) => what)).toContain('identity of worker-2');
  expect((await command('master-1', 'members')).out).toMatch(/worker-2 .*identity-clash/);

  const page = await pageOf(flock.node('master-1').url);
  expect(page?.election.leader?.name).not.toBe('worker-2');
  expect(page?.election.failureTolerance).toBe(0);
  const target = () => ({ url: flock.node('worker-1').url, token: flock.token('worker-1') });
  const writer = createWriter({ target, prefix: 'clash' });
  await until('writes go on', () => (writer.acknowledged.size > 20 ? true : null), {
    deadlineMs: 30_000,
  });
  await writer.stop();

  // The copy is gone; what either of them promised or voted is not known any the better for it.
  await end(copy.child, 'SIGKILL');
  await flock.signal('worker-2', 'SIGTERM');
  flock.start('worker-2');
  const again = await alarmed(url, true);
  expect(again.node.cannotLeadReason).toBe('identity-clash');
  await flock.signal('worker-2', 'SIGTERM');
  const repair = ['repair', '--data', flock.node('worker-2').data, '--json'];
  const refused = await runCommand(flock.program, repair);
  expect(refused.exit).not.toBe(0);
  expect(refused.err).toContain('another machine ran with the key of worker-2');
  const repaired = await runCommand(flock.program, [...repair, '--as-new-node']);
  expect(jsonOf(repaired)).toMatchObject({ ok: true, done: 'new-node' });
});

test('a leecher that was copied raises the alarm until the copy is gone', async () => {
  const copy = await startTwice('leecher-1');
  const { url } = flock.node('leecher-1');
  await Promise.all([alarmed(url, false), alarmed(copy.url, false)]);
  await seenBy('master-1', 'leecher-1', true);
  // Of which run the word is that counts in the end is chance: the alarm must not outlive either.
  await until(
    'master-1 has it by the word of a run, too',
    async () => {
      const page = await pageOf(flock.node('master-1').url);
      const row = page?.members.find(({ name }) => name === 'leecher-1');
      return row?.health === 'unhealthy' ? true : null;
    },
    { deadlineMs: 60_000 },
  );
  await end(copy.child, 'SIGKILL');
  await until(
    'the alarm is over',
    async () => {
      const page = await pageOf(url);
      return page !== null && page.trust.identityClash === null ? true : null;
    },
    { deadlineMs: 90_000 },
  );
  await seenBy('master-1', 'leecher-1', false);
});
