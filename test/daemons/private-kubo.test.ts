/**
 * Two real kubos in the flock's private network: they exchange blocks with each other, and one
 * without the key reaches neither.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaemonView } from '../../src/daemons/api.ts';
import { until } from '../e2e/flock.ts';
import { createDaemonFlock, type DaemonFlock } from './daemon-flock.ts';
import { type ForeignDaemon, startKubo } from './foreign-daemons.ts';

const names = ['master-1', 'worker-1'] as const;
const folder = mkdtempSync(join(tmpdir(), 'bellwether-public-'));
let flock: DaemonFlock;
let stranger: ForeignDaemon;

beforeAll(async () => {
  flock = await createDaemonFlock({
    names,
    workersMayLead: false,
    kubo: { privateNetwork: true },
    daemonsOf: () => ({
      ipfs_cluster_service: { mode: 'off' },
      ipfs_cluster_follow: { mode: 'off' },
    }),
  });
  flock.startAll();
  stranger = await startKubo(join(folder, 'kubo'));
});
afterAll(async () => {
  await flock.end();
  await stranger.end();
  rmSync(folder, { recursive: true, force: true });
});

const runs = (name: string): Promise<DaemonView> =>
  until(
    `kubo of ${name} runs`,
    async () => {
      const view = await flock.daemon(name, 'ipfs');
      return view?.state === 'running' && view.finding !== null ? view : null;
    },
    { deadlineMs: 90_000, everyMs: 200, seen: () => flock.daemon(name, 'ipfs') },
  );

const rpc = (url: string | null, path: string, body?: FormData) =>
  fetch(`${url}/api/v0/${path}`, {
    method: 'POST',
    signal: AbortSignal.timeout(30_000),
    ...(body === undefined ? {} : { body }),
  });

test('those who have the key exchange blocks', async () => {
  const [a, b] = [await runs(names[0]), await runs(names[1])];
  expect([a.finding?.facts.private_network, b.finding?.facts.private_network]).toEqual([
    true,
    true,
  ]);
  const key = readFileSync(join(flock.node(names[0]).data, 'network.key'), 'utf8');
  const [, , digits = ''] = key.trim().split('\n');
  for (const { folder: home } of [a, b])
    expect(readFileSync(join(home ?? '', 'swarm.key'), 'utf8')).toContain(digits || key.trim());
  const peer = `/ip4/127.0.0.1/tcp/${b.ports.swarm}/p2p/${b.finding?.facts.peer_id}`;
  expect((await rpc(a.url, `swarm/connect?arg=${peer}`)).status).toBe(200);
  const form = new FormData();
  form.append('file', new Blob(['only among us\n'.repeat(50_000)]));
  const added = await rpc(a.url, 'add?cid-version=1', form);
  const { Hash } = (await added.json()) as { Hash: string };
  const got = await rpc(b.url, `cat?arg=${Hash}`);
  expect([got.status, (await got.text()).length]).toEqual([200, 14 * 50_000]);
});

test('one without the key is turned away', async () => {
  const a = await runs(names[0]);
  const peer = `/ip4/127.0.0.1/tcp/${a.ports.swarm}/p2p/${a.finding?.facts.peer_id}`;
  const refused = await rpc(stranger.url, `swarm/connect?arg=${peer}`);
  expect(refused.status).toBe(500);
  const peers = (await (await rpc(stranger.url, 'swarm/peers')).json()) as { Peers: unknown };
  expect(peers.Peers).toBeNull();
});
