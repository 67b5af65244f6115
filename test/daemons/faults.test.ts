/**
 * The real APIs of kubo, ipfs-cluster-service and ipfs-cluster-follow, and the recorded one of
 * Lotus, behind a proxy that spoils their answers, under a real agent that leads and mirrors its
 * pins. While it burns: reads end although every daemon's answer is held back, the reason is shown,
 * nothing is unpinned that is pinned, and the agent lives. Afterwards everything is as before.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { allocations, askId, ownPins, pingingPeers } from '../../src/daemons/cluster/rest.ts';
import { createDaemonClient, type DaemonClient } from '../../src/daemons/daemon-client.ts';
import { lookAt, takeStock } from '../../src/daemons/kubo/kubo-rpc.ts';
import { createDaemonFlock, createReader, type DaemonFlock } from '../e2e/daemon-flock.ts';
import { freePorts, getJson, until } from '../e2e/flock.ts';
import {
  lotusMethods,
  type RpcServer,
  rpcToken,
  startRpcServer,
} from '../unit/daemons/lotus/rpc-server.ts';
import { addFile } from './add-file.ts';
import { daemonBinary } from './binaries.ts';
import { createFaultProxy, type FaultProxy, faults } from './fault-proxy.ts';
import { type ForeignDaemon, startFollow, startKubo } from './foreign-daemons.ts';

const name = 'master-1';
const folder = mkdtempSync(join(tmpdir(), 'bellwether-faults-'));
const types = ['ipfs', 'ipfs_cluster_service', 'ipfs_cluster_follow', 'lotus'] as const;
const proxies = {} as Record<(typeof types)[number], FaultProxy>;
const foreign: ForeignDaemon[] = [];
let lotus: RpcServer;
let flock: DaemonFlock;
/** Where the service itself answers, past its proxy. */
let serviceUrl = '';
let cids: string[] = [];

const spoilAll = (how: Parameters<FaultProxy['spoil']>[0]): void => {
  for (const type of types) proxies[type].spoil(how);
};

/** What the real service holds, asked past the proxy. */
async function held(): Promise<string[]> {
  const client = createDaemonClient({ url: serviceUrl, authorization: null, tls: null });
  try {
    return (await allocations(client, AbortSignal.timeout(10_000))).map(({ cid }) => cid).sort();
  } finally {
    await client.close();
  }
}

const unpins = (): string[] =>
  proxies.ipfs_cluster_service.passed
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => path);

const allWell = () =>
  until(
    'every daemon answers',
    async () => {
      const views = await Promise.all(types.map((type) => flock.view(name, type)));
      return views.every((view) => view?.state === 'running' && view.checkError === null)
        ? true
        : null;
    },
    {
      deadlineMs: 90_000,
      everyMs: 200,
      seen: () => Promise.all(types.map((t) => flock.view(name, t))),
    },
  );

/**
 * A proxy in the place where the agent looks for its service: the service itself listens elsewhere
 * by an operator's setting, and nobody is there yet when the agent chooses its ports.
 */
async function proxyService(real: number, api: number): Promise<void> {
  serviceUrl = `http://127.0.0.1:${real}`;
  await until(
    'the service itself answers',
    async () => ((await getJson(`${serviceUrl}/id`)) === null ? null : true),
    { deadlineMs: 90_000, everyMs: 200, seen: () => flock.view(name, 'ipfs_cluster_service') },
  );
  const chosen = (await flock.view(name, 'ipfs_cluster_service'))?.ports.api;
  expect(chosen).toBe(api);
  proxies.ipfs_cluster_service = await createFaultProxy(serviceUrl, api);
}

beforeAll(async () => {
  process.env.BELLWETHER_DAEMONS_DIR = dirname(daemonBinary('ipfs'));
  const kubo = await startKubo(join(folder, 'kubo'));
  foreign.push(kubo);
  lotus = await startRpcServer(lotusMethods());
  proxies.ipfs = await createFaultProxy(kubo.url);
  proxies.lotus = await createFaultProxy(lotus.url);
  writeFileSync(join(folder, 'token'), rpcToken);
  const [api = 0, real = 0, proxy, cluster, pinning, followProxy = 0] = await freePorts(6);
  flock = await createDaemonFlock([name], {
    checkMs: 300,
    unresponsiveMs: 86_400_000,
    ipfs: { mode: 'external', url: proxies.ipfs.url },
    ipfs_cluster_service: {
      mode: 'managed',
      autoHeal: false,
      ports: { api, proxy, cluster, pinning },
      settings: { CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: `/ip4/127.0.0.1/tcp/${real}` },
    },
    ipfs_cluster_follow: { mode: 'external', url: `http://127.0.0.1:${followProxy}` },
    lotus: {
      mode: 'external',
      url: proxies.lotus.url,
      auth: { type: 'bearer', file: join(folder, 'token') },
    },
  });
  flock.start(name);
  await flock.leader();
  await proxyService(real, api);
  const template = new URL('/v1/federation/service.json', flock.node(name).url);
  template.username = 'bellwether';
  template.password = flock.token(name);
  const initUrl = template.href;
  const follow = { folder: join(folder, 'follow'), name: 'bellwether', kubo: kubo.url, initUrl };
  const follower = await startFollow(follow);
  foreign.push(follower);
  proxies.ipfs_cluster_follow = await createFaultProxy(follower.url, followProxy);
  await allWell();
  cids = (
    await Promise.all(
      ['one', 'two', 'three'].map((text) => addFile(flock, name, text, { min: 1, max: 1 })),
    )
  ).sort();
  await until(
    'the pins are in the service',
    async () => (JSON.stringify(await held()) === JSON.stringify(cids) ? true : null),
    { deadlineMs: 60_000, everyMs: 200, seen: held },
  );
});

afterAll(async () => {
  await flock.stop();
  for (const daemon of [...foreign].reverse()) await daemon.end();
  await Promise.all(Object.values(proxies).map((proxy) => proxy.close()));
  await lotus.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Every kind of answer that is not there in whole, at each byte of what the real API answers. */
describe('an answer that is cut off, at every byte, is an error', () => {
  async function lengthOf(url: string, method: string): Promise<number> {
    const response = await fetch(url, { method });
    return (await response.arrayBuffer()).byteLength;
  }

  async function cutEverywhere(
    proxy: FaultProxy,
    path: string,
    method: 'GET' | 'POST',
    ask: (client: DaemonClient, signal: AbortSignal) => Promise<unknown>,
  ): Promise<void> {
    proxy.spoil(null);
    const client = createDaemonClient({ url: proxy.url, authorization: null, tls: null });
    try {
      await ask(client, AbortSignal.timeout(20_000));
      const bytes = await lengthOf(`${proxy.url}${path}`, method);
      expect(bytes).toBeGreaterThan(20);
      // A long answer at 200 places, its first and last bytes among them.
      const step = Math.max(1, Math.floor(bytes / 200));
      const only = new RegExp(path.replace(/\?.*/, ''));
      for (let at = 0; at < bytes; at += at + step < bytes ? step : bytes - 1 - at || 1) {
        proxy.spoil({ type: 'cut-at', bytes: at }, only);
        await expect(ask(client, AbortSignal.timeout(20_000)), `cut at ${at}`).rejects.toThrow();
      }
      proxy.spoil(null);
      await ask(client, AbortSignal.timeout(20_000));
    } finally {
      proxy.spoil(null);
      await client.close();
    }
  }

  const idOf = (client: DaemonClient, signal: AbortSignal) => askId(client, null, signal);
  const pinsOf = (client: DaemonClient, signal: AbortSignal) => ownPins(client, 'x', signal);
  const anything = z.record(z.string(), z.unknown());
  const peersOf = (client: DaemonClient, signal: AbortSignal) =>
    client.lines(anything, { path: '/peers', signal });

  test.each([
    ['ipfs_cluster_service', '/allocations', allocations],
    ['ipfs_cluster_service', '/pins?local=true', pinsOf],
    ['ipfs_cluster_service', '/peers', peersOf],
    ['ipfs_cluster_service', '/id', idOf],
    ['ipfs_cluster_follow', '/pins?local=true', pinsOf],
    ['ipfs_cluster_follow', '/id', idOf],
    ['ipfs_cluster_follow', '/monitor/metrics/ping', pingingPeers],
  ] as const)('%s %s', async (type, path, ask) => {
    await cutEverywhere(proxies[type], path, 'GET', ask);
  });

  test.each([
    ['/api/v0/id', lookAt],
    ['/api/v0/pin/ls?type=recursive&stream=true', takeStock],
  ] as const)('kubo %s', async (path, ask) => {
    await cutEverywhere(proxies.ipfs, path, 'POST', ask);
  });
});

test('a list that ends too early but properly is an error unless its last line is whole', async () => {
  const proxy = proxies.ipfs_cluster_service;
  const client = createDaemonClient({ url: proxy.url, authorization: null, tls: null });
  const whole = await (await fetch(`${serviceUrl}/allocations`)).text();
  const ends = new Set([...whole.matchAll(/\n/g)].map(({ index }) => index + 1));
  for (let bytes = 1; bytes < whole.length; bytes += 3) {
    if (ends.has(bytes)) continue;
    proxy.spoil({ type: 'short', bytes }, /allocations/);
    await expect(allocations(client, AbortSignal.timeout(20_000)), `${bytes}`).rejects.toThrow();
  }
  proxy.spoil(null);
  await client.close();
});

const reads = [
  '/livez',
  '/status',
  '/v1/daemons',
  '/v1/daemons/ipfs',
  '/api/dashboard/status',
  '/api/dashboard/metrics/realtime',
  ...['ipfs', 'ipfs_cluster', 'ipfs_cluster_follow', 'lotus'].map(
    (backend) => `/api/dashboard/backends/${backend}/status`,
  ),
  ...['service', 'follow'].flatMap((which) =>
    ['status', 'peers', 'pins'].map((kind) => `/api/dashboard/cluster/${which}/${kind}`),
  ),
];

test('reads end while the answer of every daemon is held back', async () => {
  spoilAll({ type: 'hang' });
  const waiting = () => types.map((type) => proxies[type].held());
  await until(
    'every daemon is being asked',
    () => waiting().every(({ size }) => size > 0) || null,
    {
      deadlineMs: 30_000,
    },
  );
  const tookMs: number[] = [];
  // A look ends by its deadline now and then; a read that waited for one would always outlive it.
  for (const path of reads)
    await until(
      `a read of ${path} that waits for nobody`,
      async () => {
        const before = waiting();
        const fromMs = performance.now();
        const response = await fetch(`${flock.node(name).url}${path}`);
        await response.arrayBuffer();
        expect([path, response.status]).toEqual([path, 200]);
        tookMs.push(performance.now() - fromMs);
        const after = waiting();
        const outlived = before.every((ids, i) => [...ids].some((id) => after[i]?.has(id)));
        return outlived || null;
      },
      { deadlineMs: 60_000 },
    );
  spoilAll(null);
  tookMs.sort((a, b) => a - b);
  const median = tookMs[Math.floor(tookMs.length / 2)] ?? Number.POSITIVE_INFINITY;
  console.log(
    `${tookMs.length} reads beside four hung daemons: median ${median.toFixed(1)} ms, ` +
      `longest ${tookMs.at(-1)?.toFixed(1)} ms`,
  );
  expect(median).toBeLessThan(1000);
  await allWell();
});

const reasons: Record<(typeof faults)[number], RegExp> = {
  hang: /no answer/,
  error: /HTTP 500: .*broken inside/,
  garbage: /not JSON|not what is expected|without an end mark/,
  cut: /closed|terminated|reset|hang up|aborted|not JSON|cut off/i,
  slow: /no answer/,
  reset: /closed|reset|hang up|ECONNRESET/i,
};

test.each(faults)(
  'every daemon spoiled by %s: shown, survived, nothing unpinned',
  async (fault) => {
    const livez = createReader(`${flock.node(name).url}/livez`);
    const listed = (): number =>
      proxies.ipfs_cluster_service.asked.filter(({ path }) => path.startsWith('/allocations'))
        .length;
    const before = listed();
    spoilAll({ type: fault });
    for (const type of types) {
      const view = await until(
        `${type} shows why`,
        async () => {
          const seen = await flock.view(name, type);
          return seen?.checkError != null && reasons[fault].test(seen.checkError) ? seen : null;
        },
        { deadlineMs: 60_000, everyMs: 100, seen: () => flock.view(name, type) },
      );
      const backend = type === 'ipfs_cluster_service' ? 'ipfs_cluster' : type;
      const url = `${flock.node(name).url}/api/dashboard/backends/${backend}/status`;
      const page = await getJson<{ data: { health: string; errors: { error: string }[] } }>(url);
      expect([type, page?.data.health]).not.toEqual([type, 'healthy']);
      expect(page?.data.errors.length, `${type}: ${view.checkError}`).toBeGreaterThan(0);
    }
    await until(
      'the mirror says that it can not',
      async () => {
        const page = (await flock.status(name)) as unknown as {
          federation: { mirror: { code: string | null } };
        };
        return page.federation.mirror.code;
      },
      { deadlineMs: 60_000, everyMs: 100, seen: () => flock.status(name) },
    );
    await until('the mirror asks for the pinset', () => listed() > before || null, {
      deadlineMs: 90_000,
    });
    spoilAll(null);
    await allWell();
    expect(await held()).toEqual(cids);
    expect(unpins()).toEqual([]);
    expect((await livez.stop()).statuses).toEqual([200]);
  },
);

test('a removal waits while the pinset comes cut off, and is done once it comes whole', async () => {
  const proxy = proxies.ipfs_cluster_service;
  const [gone = '', ...rest] = cids;
  proxy.spoil({ type: 'cut' }, /allocations/);
  const response = await fetch(`${flock.node(name).url}/v1/pins/${gone}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${flock.token(name)}` },
  });
  expect(response.ok).toBe(true);
  const asked = () => proxy.asked.filter(({ path }) => path.startsWith('/allocations')).length;
  const before = asked();
  await until('three cut lists', () => asked() >= before + 3 || null, { deadlineMs: 60_000 });
  expect(await held()).toEqual(cids);
  proxy.spoil(null);
  await until(
    'it is unpinned',
    async () => (JSON.stringify(await held()) === JSON.stringify(rest) ? true : null),
    { deadlineMs: 60_000, everyMs: 200, seen: held },
  );
  expect(unpins()).toEqual([`/pins/${gone}`]);
});
