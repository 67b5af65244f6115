/**
 * The interface that existing callers use: every answer in its shape, with daemons that run, are
 * stopped, lack their program or can't be asked; wrong input by field; the token where something
 * changes.
 */
import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { daemonTypes } from '../../../../src/daemons/api.ts';
import {
  actionAnswer,
  backend,
  daemonStatusAnswer,
  enveloped,
  healthCheck,
  logs,
  overview,
  realtime,
} from '../../../../src/http/dashboard/shapes.ts';
import { createStatusPort } from '../../../../src/http/status-port.ts';
import { createFakeAgent, type FakeAgent, token } from '../fake-agent.ts';
import {
  type createFakeDaemons,
  finding,
  missingBinary,
  runningView,
  stopped,
} from './fake-daemons.ts';

let agent: FakeAgent;
let server: FastifyInstance;
let daemons: ReturnType<typeof createFakeDaemons>;

beforeEach(() => {
  agent = createFakeAgent();
  daemons = agent.fakeDaemons;
  ({ server } = createStatusPort(agent, {
    host: '127.0.0.1',
    port: 0,
    names: [],
    version: '1.2.3',
    onBug: (error) => {
      throw error;
    },
  }));
});

const bearer = { authorization: `Bearer ${token}` };
async function call(method: 'GET' | 'POST' | 'PUT', url: string, payload?: unknown, headers = {}) {
  const response = await server.inject({
    method,
    url,
    headers: { host: '127.0.0.1', ...headers },
    ...(payload === undefined ? {} : { payload: payload as object }),
  });
  return { status: response.statusCode, body: response.json() as Record<string, unknown> };
}
async function answer<T extends z.ZodType>(
  schema: T,
  method: 'GET' | 'POST',
  url: string,
  payload?: unknown,
  headers = {},
): Promise<z.infer<T>> {
  const { status, body } = await call(method, url, payload, headers);
  expect([status, body]).toMatchObject([200, {}]);
  // Strict at the top: no field that the contract doesn't name.
  return schema.parse(body);
}
const dashboard = '/api/dashboard';
const act = (payload: unknown, headers: object = bearer) =>
  answer(enveloped(actionAnswer), 'POST', `${dashboard}/daemon/action`, payload, headers);

/** What a machine may look like. */
const machines = {
  'nothing configured': () => undefined,
  'all running': () => {
    for (const type of daemonTypes) daemons.one(type).set(runningView(type));
  },
  'all stopped': () => {
    for (const type of daemonTypes) daemons.one(type).set(stopped);
  },
  'no programs': () => {
    for (const type of daemonTypes) daemons.one(type).set(missingBinary);
  },
  'running and silent': () => {
    for (const type of daemonTypes)
      daemons
        .one(type)
        .set({ ...runningView(type), finding: null, checkError: 'no answer in time' });
  },
} as const;

describe.each(Object.entries(machines))('%s: every answer has its shape', (_, arrange) => {
  beforeEach(() => arrange());

  test.each([
    ['/status', overview],
    ['/metrics/realtime', realtime],
    ['/backends/embedded/status', backend],
    ['/backends/ipfs/status', backend],
    ['/backends/ipfs_cluster/status', backend],
    ['/backends/ipfs_cluster_service/status', backend],
    ['/backends/ipfs_cluster_follow/status', backend],
    ['/backends/lotus/status', backend],
    ['/backends/libp2p/status', backend],
    ['/logs/ipfs', logs],
    ['/logs/libp2p?lines=5', logs],
  ] as const)('GET %s', async (path, schema) => {
    await answer(enveloped(schema), 'GET', `${dashboard}${path}`);
  });

  test('POST /health/check, of all and of one', async () => {
    const all = await answer(enveloped(healthCheck), 'POST', `${dashboard}/health/check`, {});
    expect(Object.keys(all.data.results).sort()).toEqual(
      ['embedded', 'ipfs', 'ipfs_cluster', 'ipfs_cluster_follow', 'libp2p', 'lotus'].sort(),
    );
    const one = await answer(enveloped(healthCheck), 'POST', `${dashboard}/health/check`, {
      backend_name: 'ipfs_cluster_service',
      include_metrics: false,
    });
    expect(Object.keys(one.data.results)).toEqual(['ipfs_cluster']);
    expect(one.data.metrics).toBeUndefined();
  });

  test('POST daemon/status, of all and of each', async () => {
    const url = '/api/v0/ipfs/daemon/status';
    const all = await answer(daemonStatusAnswer, 'POST', url, {});
    expect(all).toMatchObject({ operation: 'check_daemon_status', daemon_count: 4 });
    for (const daemon_type of daemonTypes) {
      const one = await answer(daemonStatusAnswer, 'POST', url, { daemon_type });
      expect(one.operation).toBe(`check_${daemon_type}_status`);
      expect(Object.keys(one.daemons)).toEqual([daemon_type]);
    }
  });

  test('daemon actions of every kind answer 200 with what came of it, or 409 where it is not ours', async () => {
    for (const daemon_name of [...daemonTypes, 'ipfs_cluster'])
      for (const action of ['status', 'start', 'restart', 'stop']) {
        const payload = { daemon_name, action };
        const { status, body } = await call('POST', `${dashboard}/daemon/action`, payload, bearer);
        if (status === 200) enveloped(actionAnswer).parse(body);
        else expect([status, typeof body.detail]).toEqual([409, 'string']);
      }
  });
});

describe('the daemon status call', () => {
  const url = '/api/v0/ipfs/daemon/status';
  const type = 'ipfs_cluster_service';

  test('a running one, to the letter of the contract', async () => {
    daemons.one(type).set(runningView(type));
    const { body } = await call('POST', url, { daemon_type: type, correlation_id: 'c-1' });
    expect(body).toMatchObject({
      success: true,
      operation: 'check_ipfs_cluster_service_status',
      overall_status: 'running',
      status_code: 200,
      role: 'master',
      daemon_type: type,
      running: true,
      daemons: {
        [type]: {
          running: true,
          type,
          process_count: 1,
          required: true,
          details: {
            success: true,
            operation: 'ipfs_cluster_service_status',
            correlation_id: 'c-1',
            process_running: true,
            process_count: 1,
            detailed_status: 'version 1.0.0, 3 peers',
          },
        },
      },
    });
  });

  test('a stopped one is 200 without success, with its stale socket and foreign processes', async () => {
    daemons.one(type).set(stopped);
    daemons.one(type).processes = [77];
    const { status, body } = await call('POST', url, { daemon_type: type });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: false,
      overall_status: 'stopped',
      status_code: 200,
      daemons: {
        [type]: {
          running: false,
          process_count: 1,
          details: { success: false, socket_exists: true, process_running: false },
        },
      },
    });
  });

  test('one that runs and does not answer keeps success, and says so', async () => {
    daemons.one(type).set({ ...runningView(type), checkError: 'no answer in time' });
    const { body } = await call('POST', url, { daemon_type: type });
    expect(body).toMatchObject({
      success: true,
      daemons: {
        [type]: {
          details: {
            success: true,
            detailed_status_failed: true,
            detailed_status_error: 'no answer in time',
          },
        },
      },
    });
  });

  test('an inner failure is told under the daemon and above', async () => {
    daemons.one(type).lookError = new Error('/proc is gone');
    const { status, body } = await call('POST', url, { daemon_type: type });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: false,
      overall_status: 'error',
      status_code: 500,
      error: '/proc is gone',
      error_type: 'internal',
      daemons: { [type]: { error: '/proc is gone' } },
    });
  });

  test('only a given timeout takes a new look', async () => {
    daemons.one('ipfs').set(runningView('ipfs'));
    await call('POST', url, { daemon_type: 'ipfs' });
    expect(daemons.one('ipfs').checks).toBe(0);
    await call('POST', url, { daemon_type: 'ipfs', timeout: 5 });
    expect(daemons.one('ipfs').checks).toBe(1);
  });
});

describe('what a person sees', () => {
  test('backends that are not set up count nowhere and raise no alert', async () => {
    const { data } = await answer(enveloped(overview), 'GET', `${dashboard}/status`);
    expect(data).toMatchObject({
      overall_health: 'healthy',
      metrics: { total_backends: 2, healthy_backends: 2 },
      alerts: [{ type: 'under_replicated', severity: 'warning' }],
      backends: { lotus: { status: 'not_configured', health: 'unknown', last_check: null } },
    });
  });

  test('a stopped lotus is unavailable in every field', async () => {
    daemons.one('lotus').set(stopped);
    const { data } = await answer(enveloped(realtime), 'GET', `${dashboard}/metrics/realtime`);
    expect(data.lotus).toEqual({
      status: 'stopped',
      health: 'unhealthy',
      version: 'unavailable',
      sync_status: 'unavailable',
      chain_height: 0,
      peers_count: 0,
      wallet_balance: 'unavailable',
      last_check: null,
    });
  });

  test('a running lotus and a connected follower, as callers read them most', async () => {
    const wallets = JSON.stringify([{ address: 'f01', balance: '1.5 FIL', default: true }]);
    daemons.one('lotus').set({
      ...runningView('lotus'),
      finding: finding({
        ...{ version: '1.33.0+mainnet+git.7bdccad3d', sync_status: 'synced', wallets },
        ...{ chain_height: 2850123, peers_count: 42, wallet_balance: '1.5 FIL' },
      }),
    });
    daemons.one('ipfs_cluster_follow').set({
      ...runningView('ipfs_cluster_follow'),
      ports: { api: 9097 },
      finding: finding({
        ...{ leader_connected: true, cluster_name: 'my-cluster', addresses: '/ip4/1 /ip4/2' },
        ...{ pinset_expected: 4, pinset_pinned: 3, pinset_missing: 1, pinset_in_sync: false },
      }),
    });
    agent.scores = { lotus: 100, ipfs_cluster_follow: 100 };
    const { data } = await answer(enveloped(realtime), 'GET', `${dashboard}/metrics/realtime`);
    expect(data.lotus).toMatchObject({
      ...{ status: 'running', health: 'healthy', sync_status: 'synced', chain_height: 2850123 },
      ...{ peers_count: 42, wallet_balance: '1.5 FIL' },
    });
    expect(data.cluster_follow).toMatchObject({
      ...{ status: 'running', health: 'healthy', api_port: 9097, api_reachable: true },
      ...{ connection_status: 'connected', cluster_name: 'my-cluster' },
    });
    const status = await answer(enveloped(overview), 'GET', `${dashboard}/status`);
    expect(status.data.backends.lotus?.detailed_info.wallets).toEqual(JSON.parse(wallets));
    expect(status.data.backends.ipfs_cluster_follow?.detailed_info).toMatchObject({
      addresses: ['/ip4/1', '/ip4/2'],
      pinset: { expected: 4, pinned: 3, missing: 1, in_sync: false, last_synced: null },
    });
  });

  test('a daemon whose API is silent is at most degraded, whatever it scored before', async () => {
    daemons.one('ipfs').set({ ...runningView('ipfs'), checkError: 'no answer in time' });
    agent.scores = { ipfs: 100 };
    const { data } = await answer(enveloped(backend), 'GET', `${dashboard}/backends/ipfs/status`);
    expect(data).toMatchObject({ status: 'running', health: 'degraded', score: 84 });
    expect(data.errors).toHaveLength(1);
  });

  test('a cool-down and a healing are told in seconds and by time', async () => {
    const lastHealAt = '2026-01-02T00:00:00.000Z';
    daemons.one('ipfs').set({ ...missingBinary, lastHealAt });
    const { data } = await answer(enveloped(backend), 'GET', `${dashboard}/backends/ipfs/status`);
    expect(data.detailed_info).toMatchObject({
      ...{ auto_healed: true, heal_action: 'restart', heal_timestamp: lastHealAt },
      restart_cooldown_remaining: 12.5,
    });
  });

  test('log lines come newest first, cut by number and level', async () => {
    daemons.one('ipfs').lines = [
      '2026-01-01T10:00:00.000Z INFO started',
      '2026-01-01T10:00:01.000Z ERROR broken',
      'Daemon is ready',
    ];
    const at = `${dashboard}/logs/ipfs`;
    const { data } = await answer(enveloped(logs), 'GET', `${at}?lines=2`);
    expect(data.logs.map(({ message }) => message)).toEqual([
      'Daemon is ready',
      '2026-01-01T10:00:01.000Z ERROR broken',
    ]);
    expect(data.logs[1]).toMatchObject({
      formatted_time: '10:00:01',
      formatted_date: '2026-01-01',
    });
    const only = await answer(enveloped(logs), 'GET', `${at}?level=ERROR`);
    expect(only.data.logs).toHaveLength(1);
  });

  test('a forced check takes a new look at what is set up, and at nothing else', async () => {
    daemons.one('ipfs').set(runningView('ipfs'));
    await answer(enveloped(healthCheck), 'POST', `${dashboard}/health/check`, {
      force_check: true,
    });
    expect([daemons.one('ipfs').checks, daemons.one('lotus').checks]).toEqual([1, 0]);
  });
});

describe('actions', () => {
  test('start, start again, restart, stop, stop again', async () => {
    daemons.one('ipfs').set(stopped);
    const details = async (action: string) =>
      (await act({ daemon_name: 'ipfs', action })).data.details;
    expect(await details('start')).toMatchObject({
      status: 'started_healthy',
      api_responsive: true,
    });
    expect(await details('start')).toMatchObject({ status: 'already_running_healthy' });
    expect(await details('restart')).toMatchObject({
      success: true,
      stop_result: { status: 'stopped', processes_stopped: [{ pid: expect.any(Number) }] },
      start_result: { status: 'started_healthy' },
    });
    expect(await details('stop')).toMatchObject({ status: 'stopped' });
    expect(await details('stop')).toMatchObject({ status: 'already_stopped' });
  });

  test('a start without its program is no success and says why', async () => {
    daemons.one('ipfs').set({ ...stopped, binary: null });
    const { success, data } = await act({ daemon_name: 'ipfs', action: 'start' });
    expect([success, data.success]).toEqual([false, false]);
    expect(data.error).toContain('no ipfs on PATH');
  });

  test('libp2p restarts by redialling, and tells what it did', async () => {
    const url = `${dashboard}/backends/libp2p/restart`;
    const { data } = await answer(enveloped(actionAnswer), 'POST', url, undefined, bearer);
    expect(data).toMatchObject({
      action: 'restart',
      details: { redialled: 1, asked: 2, rejoined: 0 },
    });
    expect((await call('POST', `${dashboard}/backends/embedded/restart`, {}, bearer)).status).toBe(
      409,
    );
  });

  test('an external daemon is not ours to act on', async () => {
    daemons.one('ipfs').set({ ...runningView('ipfs'), mode: 'external' });
    const payload = { daemon_name: 'ipfs', action: 'stop' };
    const { status, body } = await call('POST', `${dashboard}/daemon/action`, payload, bearer);
    expect([status, body.detail]).toEqual([409, expect.stringContaining('external')]);
  });

  test('what changes something needs the token, what looks does not', async () => {
    const refused = async (method: 'POST' | 'PUT', path: string, payload: unknown) =>
      (await call(method, `${dashboard}${path}`, payload)).status;
    expect(await refused('POST', '/daemon/action', { daemon_name: 'ipfs', action: 'stop' })).toBe(
      401,
    );
    expect(await refused('POST', '/cluster/action', { action: 'restart' })).toBe(401);
    expect(await refused('POST', '/backends/ipfs/restart', undefined)).toBe(401);
    expect(await refused('PUT', '/cluster/config/service', {})).toBe(401);
    expect(await refused('POST', '/cluster/config/create', { service_type: 'service' })).toBe(401);
    expect(await refused('POST', '/daemon/action', { daemon_name: 'ipfs', action: 'status' })).toBe(
      200,
    );
    expect(await refused('POST', '/cluster/action', { action: 'peers' })).toBe(200);
    expect(await refused('POST', '/health/check', {})).toBe(200);
  });
});

describe('wrong input names its field and what it takes', () => {
  test.each([
    ['/daemon/action', { daemon_name: 'ipfz', action: 'start' }, 'daemon_name', /"ipfs"/],
    ['/daemon/action', { daemon_name: 'ipfs', action: 'jump' }, 'action', /"restart"/],
    ['/daemon/action', { daemon_name: 'ipfs', action: 'stop', force: 'yes' }, 'force', /boolean/],
    ['/daemon/action', { action: 'stop' }, 'daemon_name', /nothing/],
    ['/daemon/action', { daemon_name: 'ipfs', action: 'stop', more: 1 }, 'body', /more/],
    ['/cluster/action', { action: 'jump' }, 'action', /"peers"/],
    ['/health/check', { backend_name: 'vfs' }, 'backend_name', /"libp2p"/],
    ['/cluster/config/create', { service_type: 'x' }, 'service_type', /"follow"/],
  ])('POST %s %j', async (path, payload, field, text) => {
    const { status, body } = await call('POST', `${dashboard}${path}`, payload, bearer);
    expect(status).toBe(422);
    const [first] = body.detail as { loc: string[]; msg: string; type: string }[];
    expect(first?.loc.at(-1)).toBe(field);
    expect(first?.msg).toMatch(text);
  });

  test.each([
    ['/backends/vfs/status', 'name'],
    ['/logs/ipfs?lines=0', 'lines'],
    ['/logs/ipfs?lines=1001', 'lines'],
    ['/cluster/leader/status', 'which'],
  ])('GET %s', async (path, field) => {
    const { status, body } = await call('GET', `${dashboard}${path}`);
    expect(status).toBe(422);
    expect((body.detail as { loc: string[] }[])[0]?.loc.at(-1)).toBe(field);
  });

  test.each([0, 61, 'soon'])('a timeout of %j', async (timeout) => {
    const { status, body } = await call('POST', '/api/v0/ipfs/daemon/status', { timeout });
    expect(status).toBe(422);
    expect((body.detail as { loc: string[] }[])[0]?.loc).toEqual(['body', 'timeout']);
  });

  test('what is no JSON, and what is not there', async () => {
    const response = await server.inject({
      method: 'POST',
      url: '/api/v0/ipfs/daemon/status',
      headers: { host: '127.0.0.1', 'content-type': 'application/json' },
      payload: '{"daemon_type":',
    });
    expect(response.statusCode).toBe(422);
    expect(response.json().detail[0].msg).toMatch(/JSON/);
    const { status, body } = await call('GET', `${dashboard}/nothing`);
    expect([status, typeof body.detail]).toEqual([404, 'string']);
    expect((await call('GET', `${dashboard}/vfs/journal`)).status).toBe(404);
  });
});
