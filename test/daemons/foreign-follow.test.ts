/**
 * Following a cluster that the agents don't run, with the real programs: a foreign
 * ipfs-cluster-service with a secret of its own, followed by one node that was given host, port and
 * secret, and by one that was given the URL of the configuration that its followers start from.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaemonView } from '../../src/daemons/api.ts';
import { freePorts, getJson, until } from '../e2e/flock.ts';
import { createDaemonFlock, type DaemonFlock } from './daemon-flock.ts';
import { type ForeignDaemon, serveJson, startKubo, startService } from './foreign-daemons.ts';

const folder = mkdtempSync(join(tmpdir(), 'bellwether-theirs-'));
const secret = randomBytes(32).toString('hex');
const type = 'ipfs_cluster_follow';
let kubo: ForeignDaemon;
let service: ForeignDaemon;
let template: Awaited<ReturnType<typeof serveJson>>;
let flock: DaemonFlock;
let cid = '';

/** Adds a file to their kubo and pins it in their cluster, by their own APIs. */
async function pinTheirs(text: string): Promise<string> {
  const form = new FormData();
  form.append('file', new Blob([text]));
  const added = await fetch(`${kubo.url}/api/v0/add?cid-version=1&pin=false`, {
    method: 'POST',
    body: form,
  });
  const { Hash } = (await added.json()) as { Hash: string };
  expect((await fetch(`${service.url}/pins/${Hash}`, { method: 'POST' })).ok).toBe(true);
  return Hash;
}

beforeAll(async () => {
  kubo = await startKubo(join(folder, 'kubo'));
  service = await startService({ folder: join(folder, 'service'), kubo: kubo.url, secret });
  const address = `/ip4/127.0.0.1/tcp/${service.swarm}/p2p/${service.peerId}`;
  template = await serveJson(() => ({
    cluster: {
      ...{ secret, peer_addresses: [address], mdns_interval: '0s' },
      listen_multiaddress: ['/ip4/0.0.0.0/tcp/9096'],
    },
    consensus: { crdt: { cluster_name: 'ipfs-cluster', trusted_peers: [service.peerId] } },
    datastore: { pebble: {} },
    informer: { disk: { metric_ttl: '10s', metric_type: 'freespace' } },
  }));
  const secretFile = join(folder, 'secret');
  writeFileSync(secretFile, secret);
  const clusterName = 'ipfs-cluster';
  const peer = `127.0.0.1:${service.swarm}`;
  const follows: Record<string, object> = {
    'master-1': { clusterName, bootstrapPeers: [peer], secretFile },
    'worker-1': { clusterName, initUrl: template.url, bootstrapPeers: [peer] },
  };
  const [a = 0, b = 0, c = 0, d = 0] = await freePorts(4);
  const ports: Record<string, object> = {
    'master-1': { api: a, cluster: b },
    'worker-1': { api: c, cluster: d },
  };
  flock = await createDaemonFlock({
    names: ['master-1', 'worker-1'],
    workersMayLead: false,
    daemonsOf: (name) => ({
      ipfs_cluster_service: { mode: 'off' },
      ipfs_cluster_follow: { mode: 'managed', ports: ports[name], follow: follows[name] },
    }),
  });
  flock.startAll();
  await flock.leader();
  cid = await pinTheirs('what they keep\n'.repeat(100));
});

afterAll(async () => {
  await flock.end();
  await template.close();
  await service.end();
  await kubo.end();
  rmSync(folder, { recursive: true, force: true });
});

const followerOf = (name: string, what: string, wanted: (view: DaemonView) => boolean) =>
  until(
    `the follower of ${name} ${what}`,
    async () => {
      const view = await flock.daemon(name, type);
      return view !== null && wanted(view) ? view : null;
    },
    { deadlineMs: 120_000, everyMs: 300, seen: () => flock.daemon(name, type) },
  );

test.each(['master-1', 'worker-1'])(
  '%s follows, and pins what their service pins',
  async (name) => {
    const view = await followerOf(
      name,
      'holds their pin',
      ({ finding }) =>
        finding?.facts.leader_connected === true && finding.facts.pinset_pinned === 1,
    );
    expect(view).toMatchObject({ state: 'running', checkError: null, lastFailure: null });
    expect(view.finding?.facts).toMatchObject({
      cluster_name: 'ipfs-cluster',
      trusted_peers: service.peerId,
      bootstrap_peer: service.peerId,
      pin_count: 1,
    });
    expect(view.finding?.problems).toEqual([]);
    const own = await flock.daemon(name, 'ipfs');
    const held = await fetch(`${own?.url}/api/v0/pin/ls?arg=${cid}`, { method: 'POST' });
    expect(held.status).toBe(200);
    const page = await getJson<{ data: Record<string, unknown> }>(
      `${flock.node(name).url}/api/dashboard/metrics/realtime`,
    );
    expect(page?.data.cluster_follow).toMatchObject({
      ...{ status: 'running', api_reachable: true },
      ...{ connection_status: 'connected', cluster_name: 'ipfs-cluster' },
    });
  },
);

test('a bootstrap peer that answers nobody is told as that, and nothing is started', async () => {
  const [nobody = 0] = await freePorts(1);
  const lost = await createDaemonFlock({
    names: ['master-1'],
    workersMayLead: false,
    daemonsOf: () => ({
      ipfs_cluster_service: { mode: 'off' },
      ipfs_cluster_follow: {
        mode: 'managed',
        follow: { clusterName: 'theirs', bootstrapPeers: [`127.0.0.1:${nobody}`] },
      },
    }),
  });
  try {
    lost.startAll();
    const view = await until(
      'the follower says why it waits',
      async () => {
        const seen = await lost.daemon('master-1', type);
        return seen?.lastFailure == null ? null : seen;
      },
      { deadlineMs: 90_000, everyMs: 300, seen: () => lost.daemon('master-1', type) },
    );
    expect(view.lastFailure).toMatchObject({
      cause: 'dependency-down',
      detail: expect.stringMatching(
        new RegExp(`bootstrapPeers: .*tcp/${nobody} did not tell its peer id.*ECONNREFUSED`),
      ),
    });
    expect(view.pid).toBeNull();
  } finally {
    await lost.end();
  }
});

test('their service is untouched', async () => {
  expect([service.alive(), kubo.alive()]).toEqual([true, true]);
  await flock.signal('worker-1', 'SIGTERM');
  expect([service.alive(), kubo.alive()]).toEqual([true, true]);
});
