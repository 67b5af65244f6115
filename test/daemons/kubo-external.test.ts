/**
 * A kubo that somebody else runs, with its API behind basic auth, a bearer token and TLS: watched
 * with the right secret, told apart with the wrong one, and never started or stopped by us.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer as createTlsServer, type Server } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSystemClock } from '../../src/agent/system-clock.ts';
import type { Daemon, DaemonView } from '../../src/daemons/api.ts';
import { createExternalDaemon } from '../../src/daemons/external-daemon.ts';
import { createKubo } from '../../src/daemons/kubo/kubo.ts';
import type { DaemonOptions } from '../../src/daemons/options.ts';
import { until } from '../e2e/flock.ts';
import { daemonBinary } from './binaries.ts';

const folder = mkdtempSync(join(tmpdir(), 'bellwether-kubo-'));
const file = (name: string): string => join(folder, name);
const watched: Daemon[] = [];
let kubo: ChildProcess;
let url = '';
let proxy: Server;

const localOnly: readonly (readonly [string, unknown])[] = [
  ['Bootstrap', []],
  ['Routing.Type', 'none'],
  ['AutoConf.Enabled', false],
  ['AutoTLS.Enabled', false],
  ['Addresses.Swarm', ['/ip4/127.0.0.1/tcp/0']],
  ['Addresses.Gateway', []],
];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const env = { ...process.env, IPFS_PATH: file('repo'), IPFS_TELEMETRY: 'off' };
  const ipfs = (...args: string[]) => execFileSync(daemonBinary('ipfs'), args, { env });
  ipfs('init');
  const allow = (secret: string) => ({ AuthSecret: secret, AllowedPaths: ['/api/v0'] });
  const authorizations = { alice: allow('basic:alice:wonder'), bob: allow('bearer:t0ken') };
  const settings = [
    ...localOnly,
    ['Addresses.API', `/ip4/127.0.0.1/tcp/${port}`],
    ['API.Authorizations', authorizations],
  ] as const;
  for (const [path, value] of settings) ipfs('config', '--json', path, JSON.stringify(value));
  kubo = spawn(daemonBinary('ipfs'), ['daemon'], { env, stdio: 'ignore' });
  writeFileSync(file('basic'), 'alice:wonder\n');
  writeFileSync(file('bearer'), 't0ken\n');
  writeFileSync(file('wrong'), 'mad:hatter\n');
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-keyout', file('key.pem'), '-out', file('cert.pem'), '-days', '2'],
    ...['-subj', '/CN=kubo.internal', '-addext', 'subjectAltName=DNS:kubo.internal'],
  ]);
  proxy = createTlsServer(
    { key: readFileSync(file('key.pem')), cert: readFileSync(file('cert.pem')) },
    (incoming, outgoing) => {
      const onward = httpRequest(
        `${url}${incoming.url}`,
        { method: incoming.method, headers: incoming.headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        },
      );
      onward.on('error', () => outgoing.destroy());
      incoming.pipe(onward);
    },
  ).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
});

afterAll(async () => {
  for (const daemon of watched) await daemon.stop({ leave: false });
  proxy.closeAllConnections();
  proxy.close();
  const gone = once(kubo, 'exit');
  kubo.kill('SIGKILL');
  await gone;
  rmSync(folder, { recursive: true, force: true });
});

async function watch(options: DaemonOptions, done: (view: DaemonView) => boolean) {
  const daemon = createExternalDaemon({
    adapter: createKubo({ role: 'worker', networkKey: async () => null }),
    options: { mode: 'external', ...options },
    checkMs: 300,
    silentMsMax: 1500,
    clock: createSystemClock(),
    tell: () => undefined,
    onFailure: (text, error) => {
      throw new Error(text, { cause: error });
    },
  });
  watched.push(daemon);
  await daemon.start();
  return until('the view', () => (done(daemon.view()) ? daemon.view() : null), {
    deadlineMs: 60_000,
    seen: async () => daemon.view(),
  });
}

const runs = ({ state }: DaemonView): boolean => state === 'running';

test.each(['basic', 'bearer'] as const)('%s auth out of a file lets us look', async (type) => {
  const view = await watch({ url, auth: { type, file: file(type) } }, runs);
  expect(view).toMatchObject({ mode: 'external', pid: null, checkError: null });
  expect(view.finding).toMatchObject({ version: '0.39.0' });
});

test('the wrong secret, or none, is told as such and is no running daemon', async () => {
  const refused = ({ state }: DaemonView): boolean => state === 'unresponsive';
  const wrong = await watch({ url, auth: { type: 'basic', file: file('wrong') } }, refused);
  expect(wrong.checkError).toContain('HTTP 403');
  expect((await watch({ url }, refused)).checkError).toContain('HTTP 403');
  const missing = await watch({ url, auth: { type: 'bearer', file: file('none') } }, refused);
  expect(missing.checkError).toContain(`${file('none')} can't be read`);
});

test('TLS is checked against the given authority and name', async () => {
  const { port } = proxy.address() as AddressInfo;
  const secure = `https://127.0.0.1:${port}`;
  const auth = { type: 'bearer', file: file('bearer') } as const;
  const tls = { caFile: file('cert.pem'), serverName: 'kubo.internal' };
  expect(await watch({ url: secure, auth, tls }, runs)).toMatchObject({ checkError: null });
  const stranger = await watch({ url: secure, auth }, ({ state }) => state === 'unresponsive');
  expect(stranger.checkError).toMatch(/self-signed certificate|SELF_SIGNED/);
});

test('it is only watched, and one that is not there is stopped', async () => {
  const [daemon] = watched;
  await expect(daemon?.ask('stop', { force: true, timeoutMs: 100 })).rejects.toMatchObject({
    code: 'daemon-external',
  });
  const gone = await watch({ url: 'http://127.0.0.1:1' }, ({ state }) => state === 'stopped');
  expect(gone.checkError).toContain('ECONNREFUSED');
});
