/**
 * Who is let in, and what is refused with which words and codes: wrong, used and expired tokens, a
 * name that is taken, another network key, a folder in use or without a certificate, a role that is
 * not certified, a revoked certificate. The other side tells each of them, too.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from './command.ts';
import { createFlock, type Flock, getJson, until } from './flock.ts';

let flock: Flock;

beforeAll(async () => {
  flock = await createFlock({ names: ['master-1', 'worker-1', 'worker-2', 'leecher-1'] });
  flock.startAll();
  await flock.leader();
});

afterAll(async () => {
  await flock.stop();
});

const master = (): string[] => {
  const { url, data } = flock.node('master-1');
  return ['--url', url, '--data', data];
};
const free = ['--http-port', '0', '--mesh-host', '127.0.0.1', '--mesh-port', '0'];
const folder = (name: string): string => join(flock.dir, name);

async function token(...options: string[]): Promise<string> {
  const made = await runCommand(flock.program, ['token', 'create', ...options, ...master()]);
  expect(made).toMatchObject({ exit: 0 });
  return made.out.trim();
}

const joinOnly = (text: string, name: string, ...more: string[]) =>
  runCommand(flock.program, [
    ...['join', text, '--name', name, '--data', folder(name), '--no-start', '--json', ...more],
  ]);

const told = (out: string): unknown => JSON.parse(out.trim().split('\n').at(-1) ?? '');

/** The newest event of a kind on a node, once there is one with these words. */
const heard = (name: string, type: string, words: RegExp) =>
  until(
    `${type} ${words} on ${name}`,
    async () => {
      const url = `${flock.node(name).url}/v1/events?limit=1000`;
      const page = await getJson<{ events: { type: string; data: unknown }[] }>(url);
      const found = page?.events.find(
        (event) => event.type === type && words.test(JSON.stringify(event.data)),
      );
      return found ?? null;
    },
    { deadlineMs: 30_000 },
  );

test('a token lets one machine in, once', async () => {
  const text = await token('--role', 'worker');
  const first = await joinOnly(text, 'w-once');
  expect(told(first.out)).toMatchObject({ ok: true, name: 'w-once', role: 'worker' });
  const second = await joinOnly(text, 'w-twice');
  expect(second.exit).toBe(6);
  expect(told(second.out)).toMatchObject({ ok: false, code: 'token-used' });
  await heard('master-1', 'token-refused', /token-used/);
});

test('a token that is over, mistyped, or that nobody made', async () => {
  const short = await token('--role', 'worker', '--ttl', '1s');
  const made = Date.now();
  await until('a second has gone by', () => (Date.now() - made > 1500 ? true : null), {
    deadlineMs: 10_000,
  });
  const late = await joinOnly(short, 'w-late');
  expect([late.exit, told(late.out)]).toMatchObject([6, { code: 'token-expired' }]);
  await heard('master-1', 'token-refused', /token-expired/);

  const mistyped = await joinOnly(`${short.slice(0, -4)}AAAA`, 'w-wrong');
  expect([mistyped.exit, told(mistyped.out)]).toMatchObject([6, { code: 'token-wrong' }]);
  expect(mistyped.err).toMatch(/cut or mistyped/);
});

test('a token for one name gives that name, and a name that is taken is refused', async () => {
  const bound = await joinOnly(await token('--role', 'witness', '--name', 'w-bound'), 'w-other');
  expect(told(bound.out)).toMatchObject({ ok: true, name: 'w-bound', role: 'witness' });
  const taken = await joinOnly(await token('--role', 'worker'), 'worker-1', '--data', folder('x'));
  expect(taken.exit).toBe(4);
  expect(taken.err).toMatch(/the name worker-1 belongs to the key/);
  const refused = ['token', 'create', '--role', 'worker', '--name', 'worker-1', ...master()];
  expect((await runCommand(flock.program, refused)).exit).toBe(4);
});

test('only a master makes tokens, and others say where', async () => {
  const { url, data } = flock.node('worker-1');
  const asked = ['token', 'create', '--role', 'worker', '--url', url, '--data', data, '--json'];
  const { exit, out } = await runCommand(flock.program, asked);
  expect(exit).toBe(6);
  expect(told(out)).toMatchObject({ code: 'role-not-certified' });
  expect(out).toContain(flock.node('master-1').url);
});

test('another network key is told as such', async () => {
  expect((await joinOnly(await token('--role', 'worker'), 'w-key')).exit).toBe(0);
  const key = folder('other.key');
  writeFileSync(key, `${randomBytes(32).toString('hex')}\n`);
  const flags = ['agent', '--data', folder('w-key'), '--network-key-file', key, ...free];
  const { exit, err } = await runCommand(flock.program, flags);
  expect(exit).toBe(6);
  expect(err).toMatch(/network key/);
});

test('a folder in use, one without a certificate, a role that is not certified', async () => {
  const { data } = flock.node('worker-1');
  const inUse = await runCommand(flock.program, ['agent', '--data', data, ...free]);
  expect(inUse.exit).toBe(1);
  expect(inUse.err).toMatch(/another agent uses the data folder/);

  const bare = ['agent', '--role', 'worker', '--node-id', 'bare', '--data', folder('bare')];
  const alone = await runCommand(flock.program, [...bare, ...free]);
  expect(alone.exit).toBe(6);
  expect(alone.err).toMatch(/holds no certificate.*bellwether join TOKEN/s);

  expect((await joinOnly(await token('--role', 'worker'), 'w-role')).exit).toBe(0);
  const flags = ['agent', '--role', 'master', '--data', folder('w-role'), ...free];
  const raised = await runCommand(flock.program, flags);
  expect(raised.exit).toBe(6);
  expect(raised.err).toMatch(/w-role is certified as worker, the configuration says master/);
});

test('a revoked member is out: refused by the others, and told so itself', async () => {
  await flock.leader();
  const revoke = ['revoke', 'leecher-1', '--reason', 'lost', ...master(), '--json'];
  const done = await runCommand(flock.program, revoke);
  expect(done, done.err).toMatchObject({ exit: 0 });
  await until(
    'leecher-1 is no member',
    async () => {
      const page = await flock.status('worker-1');
      return page?.members.every(({ name }) => name !== 'leecher-1') ? true : null;
    },
    { deadlineMs: 30_000 },
  );
  await heard('master-1', 'peer-refused', /certificate-revoked/);
  await flock.signal('leecher-1', 'SIGTERM');
  flock.start('leecher-1');
  await heard('leecher-1', 'hello-failed', /certificate-revoked/);
  const back = await flock.status('master-1');
  expect(back?.members.some(({ name }) => name === 'leecher-1')).toBe(false);
});
