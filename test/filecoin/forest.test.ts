/**
 * The real Forest under a real agent, without any network: started, told truthfully (far behind and
 * without peers), killed and healed, left behind by its agent and taken over. Needs
 * `scripts/install-daemons --filecoin`; part of the long suite.
 */
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaemonView } from '../../src/daemons/api.ts';
import { daemonBinary } from '../daemons/binaries.ts';
import { createFlock, type Flock, freePorts, getJson, until } from '../e2e/flock.ts';

const name = 'master-1';
let flock: Flock;
let pid = 0;

beforeAll(async () => {
  const binary = daemonBinary('forest');
  process.env.BELLWETHER_DAEMONS_DIR = dirname(binary);
  const [rpc, p2p, health, metrics] = await freePorts(4);
  const daemons = {
    coolDownMs: 5000,
    lotus: {
      mode: 'managed',
      binary,
      ports: { rpc, p2p, health, metrics },
      settings: {
        FOREST_F3_SIDECAR_FFI_ENABLED: '0',
        chain: 'calibnet',
        stateless: true,
        kademlia: false,
        'no-gc': true,
        'p2p-listen-address': `/ip4/127.0.0.1/tcp/${p2p}`,
        'network.bootstrap_peers': [
          '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf',
        ],
      },
    },
  };
  flock = await createFlock({ names: [name], daemons });
  flock.startAll();
  await flock.leader(60_000);
});

afterAll(async () => {
  if (flock.node(name).running()) await flock.signal(name, 'SIGTERM');
  await flock.stop();
});

const view = () => getJson<DaemonView>(`${flock.node(name).url}/v1/daemons/lotus`);
const viewUntil = (what: string, wanted: (one: DaemonView) => boolean) =>
  until(
    `Forest is ${what}`,
    async () => {
      const seen = await view();
      return seen !== null && wanted(seen) ? seen : null;
    },
    { deadlineMs: 180_000, everyMs: 200, seen: view },
  );
const answers = (one: DaemonView): boolean =>
  one.state === 'running' && one.checkError === null && one.finding !== null;

test('it starts, and is told as it is: far behind, without peers, with its wallet', async () => {
  // It writes its token after it opens its port, so the first look may come without one.
  const authorized = (one: DaemonView): boolean =>
    one.finding?.problems.every(({ code }) => code !== 'unauthorized') ?? false;
  const seen = await viewUntil('answering', (one) => answers(one) && authorized(one));
  pid = seen.pid ?? 0;
  expect(seen.finding?.facts).toMatchObject({
    version: expect.stringMatching(/^0\.39\.0/),
    node_type: 'forest',
    network: expect.stringMatching(/calib/),
    sync_status: 'syncing',
    chain_height: 0,
    peers_count: 0,
  });
  expect(Number(seen.finding?.facts.epochs_behind)).toBeGreaterThan(4_000_000);
  expect(String(seen.finding?.facts.wallet_balance)).toMatch(/FIL|no wallet|unavailable/);
  expect(seen.finding?.problems.map(({ code }) => code)).toEqual(
    expect.arrayContaining(['no-peers', 'behind']),
  );
  const page = await getJson<{ data: Record<string, unknown> }>(
    `${flock.node(name).url}/api/dashboard/metrics/realtime`,
  );
  expect(page?.data.lotus).toMatchObject({ status: 'running', sync_status: 'syncing' });
});

test('killed, it comes back', async () => {
  expect(pid).toBeGreaterThan(1);
  process.kill(pid, 'SIGKILL');
  const again = await viewUntil('back', (one) => answers(one) && one.pid !== pid);
  pid = again.pid ?? 0;
  expect(again.restarts).toBeGreaterThan(0);
});

test('an agent that is killed leaves it running, and the next one takes it over', async () => {
  await flock.signal(name, 'SIGKILL');
  flock.start(name);
  const adopted = await viewUntil('taken over', answers);
  expect([adopted.pid, adopted.adopted]).toEqual([pid, true]);
});
