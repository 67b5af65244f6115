/**
 * Cluster of clusters with the real programs: masters run ipfs-cluster-service, a worker that may
 * not lead follows; nobody is told a secret or an address by hand.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../e2e/flock.ts';
import { addFile } from './add-file.ts';
import { createDaemonFlock, type DaemonFlock } from './daemon-flock.ts';

let flock: DaemonFlock;

beforeAll(async () => {
  flock = await createDaemonFlock({
    names: ['master-1', 'master-2', 'worker-1'],
    workersMayLead: false,
  });
  flock.startAll();
});
afterAll(() => flock.end());

async function statusOf(name: string) {
  return (await flock.status(name)) as unknown as {
    federation: { mirror: { state: string; code: string | null; queued: number } } | null;
  } | null;
}

test('all daemons get running, the follower hears the leader, its pinset is in sync', async () => {
  const leader = await flock.leader();
  const cid = await addFile(flock, leader, 'hello', { min: 2, max: 3 });
  const seen = async () =>
    Promise.all(
      flock.nodes.map(async ({ name }) => [await statusOf(name), await flock.daemons(name)]),
    );
  await until(
    'every daemon runs',
    async () => {
      const views = await Promise.all(flock.nodes.map(({ name }) => flock.daemons(name)));
      const managed = views.flat().filter(({ mode }) => mode === 'managed');
      return managed.length === 6 && managed.every(({ state }) => state === 'running')
        ? true
        : null;
    },
    { deadlineMs: 120_000, everyMs: 500, seen },
  );
  await until(
    'the pinset of the follower is in sync',
    async () => {
      const facts = (await flock.daemon('worker-1', 'ipfs_cluster_follow'))?.finding?.facts;
      return facts?.pinset_in_sync === true && facts.pinset_expected === 1 ? facts : null;
    },
    { deadlineMs: 200_000, everyMs: 500, seen },
  );
  expect((await statusOf(leader))?.federation?.mirror).toMatchObject({
    state: 'mirroring',
    queued: 0,
  });
  expect(cid).toMatch(/^baf/);
});

test("the follower's settings are made anew over HTTP, and no answer shows its token", async () => {
  const name = 'worker-1';
  const token = flock.token(name);
  const call = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${flock.node(name).url}/api/dashboard${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    expect([path, response.status, text.includes(token)]).toEqual([path, 200, false]);
    return JSON.parse(text).data;
  };
  const logs = await call('GET', '/logs/ipfs_cluster_follow?lines=1000');
  const lines = (logs.logs as { message: string }[]).map(({ message }) => message);
  expect(lines.find((line) => line.includes('loading configuration'))).toContain('http://***@');
  const settings = await call('GET', '/cluster/config/follow');
  expect(settings.service_config.source).toMatch(/^http:\/\/\*\*\*@.*service\.json$/);
  const act = (action: string) =>
    call('POST', '/daemon/action', { daemon_name: 'ipfs_cluster_follow', action });
  const before = (await flock.daemon(name, 'ipfs_cluster_follow'))?.finding?.facts.peer_id;
  expect((await act('stop')).success).toBe(true);
  const made = await call('POST', '/cluster/config/create', {
    ...{ service_type: 'follow', cluster_name: 'bellwether', overwrite: true },
  });
  expect(made).toMatchObject({ success: true, identity_created: false, errors: [] });
  expect((await act('start')).success).toBe(true);
  await until(
    'the follower is in sync again',
    async () => {
      const facts = (await flock.daemon(name, 'ipfs_cluster_follow'))?.finding?.facts;
      return facts?.pinset_in_sync === true && facts.peer_id === before ? true : null;
    },
    {
      deadlineMs: 120_000,
      everyMs: 300,
      seen: () => flock.daemon(name, 'ipfs_cluster_follow'),
    },
  );
  const libp2p = await call('GET', '/backends/libp2p/status');
  expect(libp2p.detailed_info.total_bytes_received).toBeGreaterThan(0);
  expect(libp2p.detailed_info.total_bytes_sent).toBeGreaterThan(0);
});
