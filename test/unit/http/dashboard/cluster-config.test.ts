/**
 * The settings of the cluster daemons over HTTP: read without secrets, changed by a merge that keeps
 * a copy, refused by field, made by the daemon's own init (a script that does what init does).
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createStatusPort } from '../../../../src/http/status-port.ts';
import { createFakeAgent, type FakeAgent, token } from '../fake-agent.ts';
import { runningView, stopped } from './fake-daemons.ts';

const type = 'ipfs_cluster_service';
const config = '/api/dashboard/cluster/config';
let agent: FakeAgent;
let server: FastifyInstance;
let folder: string;

const service = {
  cluster: { peername: 'a', secret: 'f00d', replication_factor_min: -1, tags: ['x'] },
  api: {
    restapi: {
      http_listen_multiaddress: '/ip4/127.0.0.1/tcp/9094',
      basic_auth_credentials: { a: 'b' },
    },
  },
};
const file = () => join(folder, 'service.json');
const stored = () => JSON.parse(readFileSync(file(), 'utf8'));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-cluster-config-'));
  agent = createFakeAgent();
  agent.fakeDaemons.one(type).set({ ...stopped, folder });
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0' };
  const onBug = (error: unknown): void => {
    throw error;
  };
  ({ server } = createStatusPort(agent, { ...options, onBug }));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function call(method: 'GET' | 'PUT' | 'POST', path: string, payload?: object) {
  const response = await server.inject({
    method,
    url: `${config}${path}`,
    headers: { host: '127.0.0.1', authorization: `Bearer ${token}` },
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: response.statusCode, body: response.json(), text: response.body };
}

test('nothing there is told as that', async () => {
  const { status, body } = await call('GET', '/service');
  expect([status, body.success, body.data.config_exists]).toEqual([200, false, false]);
  expect((await call('PUT', '/service', { cluster: {} })).status).toBe(404);
});

test('what is there comes without its secrets', async () => {
  writeFileSync(file(), JSON.stringify(service));
  writeFileSync(join(folder, 'identity.json'), JSON.stringify({ id: '12D3', private_key: 'CAES' }));
  const { body, text } = await call('GET', '/service');
  expect(body.data).toMatchObject({
    config_exists: true,
    service_config: { cluster: { peername: 'a' } },
    identity_config: { id: '12D3' },
  });
  expect(text).not.toMatch(/f00d|CAES|basic_auth|private_key/);
});

test('a change is merged deeply, keeps a copy and what it does not name', async () => {
  writeFileSync(file(), JSON.stringify(service));
  const { status, body, text } = await call('PUT', '/service', { cluster: { peername: 'b' } });
  expect([status, body.data.config_updated, body.data.restart_required]).toEqual([
    200,
    true,
    false,
  ]);
  expect(text).not.toContain('f00d');
  expect(stored()).toEqual({ ...service, cluster: { ...service.cluster, peername: 'b' } });
  const copies = readdirSync(folder).filter((name) => name.startsWith('service.json.before-'));
  expect(copies.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))).toEqual([
    service,
  ]);
  agent.fakeDaemons.one(type).set({ ...runningView(type), folder });
  expect((await call('PUT', '/service', { cluster: {} })).body.data.restart_required).toBe(true);
});

test.each([
  [{ clutser: {} }, /clutser: no such section; it takes cluster, api/],
  [{ cluster: { secret: 'x' } }, /secrets are not changed here/],
  [{ cluster: { peername: 5 } }, /cluster.peername: got 5. It takes a string/],
  [{ cluster: 5 }, /cluster: got 5. It takes a object/],
  [{ cluster: ['x'] }, /in its shape/],
  [{ cluster: { tags: { a: 1 } } }, /in its shape/],
  [{ cluster: { tags: 'x' } }, /cluster.tags: got "x"/],
])('%j is refused and changes nothing', async (change, text) => {
  writeFileSync(file(), JSON.stringify(service));
  const { status, body } = await call('PUT', '/service', change);
  expect([status, body.detail[0].msg]).toEqual([422, expect.stringMatching(text)]);
  expect(stored()).toEqual(service);
  expect(readdirSync(folder)).toEqual(['service.json']);
});

test("it is made by the daemon's own init, anew only when asked, never under a running one", async () => {
  const binary = join(folder, 'ipfs-cluster-service');
  writeFileSync(
    binary,
    '#!/bin/sh\necho "{\\"made\\": {\\"by\\": \\"$*\\"}}" > "$IPFS_CLUSTER_PATH/service.json"\n' +
      'echo "{}" > "$IPFS_CLUSTER_PATH/identity.json"\n',
  );
  chmodSync(binary, 0o755);
  const daemon = agent.fakeDaemons.one(type);
  daemon.set({ binary });
  const made = await call('POST', '/create', { service_type: 'service' });
  expect([made.status, made.body.data]).toMatchObject([
    200,
    {
      ...{ success: true, config_created: true, identity_created: true, errors: [] },
      service_config: { made: { by: 'init --consensus crdt' } },
    },
  ]);
  expect((await call('POST', '/create', { service_type: 'service' })).status).toBe(409);
  const again = await call('POST', '/create', { service_type: 'service', overwrite: true });
  expect([again.status, again.body.data.identity_created]).toEqual([200, false]);
  expect(readdirSync(folder).some((name) => name.startsWith('service.json.before-'))).toBe(true);
  daemon.set({ pid: 5 });
  const running = await call('POST', '/create', { service_type: 'service', overwrite: true });
  expect(running.status).toBe(409);
});

test("a follower's are made below its folder; its identity stays, its token is not shown", async () => {
  const binary = join(folder, 'ipfs-cluster-follow');
  writeFileSync(
    binary,
    '#!/bin/sh\n[ "$1 $3 $4" = "--config theirs init" ] || exit 9\nmkdir -p "$2/$3"\n' +
      'echo "{\\"source\\": \\"$5\\"}" > "$2/$3/service.json"\n' +
      'echo "{\\"id\\": \\"12D3\\"}" > "$2/$3/identity.json"\n',
  );
  chmodSync(binary, 0o755);
  agent.fakeDaemons.one('ipfs_cluster_follow').set({ ...stopped, folder, binary });
  const create = (more: object = {}) =>
    call('POST', '/create', { service_type: 'follow', ...more });
  const made = await create({ cluster_name: 'theirs' });
  expect([made.status, made.body.data]).toMatchObject([
    200,
    { success: true, config_created: true, identity_created: true, errors: [] },
  ]);
  expect(made.text).not.toContain('t0ken');
  expect((await create()).status).toBe(409);
  const again = await create({
    overwrite: true,
    cluster_name: 'other',
    bootstrap_peer: '1.2.3.4:5',
  });
  expect(again.body.data).toMatchObject({ success: true, identity_created: false });
  expect(again.body.data.errors).toEqual([
    expect.stringContaining("cluster_name: got 'other'; it is 'theirs'"),
    expect.stringContaining('bootstrap_peer: not taken'),
  ]);
  const read = await call('GET', '/follow');
  expect(read.body.data.service_config.source).toBe('http://***@127.0.0.1:1/service.json');
  const kept = readFileSync(join(folder, 'theirs', 'service.json'), 'utf8');
  expect(JSON.parse(kept).source).toContain('t0ken');
});

test('settings of an external daemon, or of none, are not here', async () => {
  agent.fakeDaemons.one(type).set({ mode: 'external' });
  expect((await call('GET', '/service')).status).toBe(409);
  expect((await call('GET', '/follow')).status).toBe(404);
});
