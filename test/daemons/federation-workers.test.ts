/**
 * Where workers may lead, every node runs ipfs-cluster-service: real ones hold each other's trust,
 * pins are placed on the very peers that the catalog names, a removal reaches every pinset, and a
 * leader without its service keeps pins queued and says so until the service is back.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FederationPage } from '../../src/agent/daemons/fleet.ts';
import { getJson, until } from '../e2e/flock.ts';
import { addFile } from './add-file.ts';
import { createDaemonFlock, type DaemonFlock } from './daemon-flock.ts';

const names = ['master-1', 'master-2', 'worker-1'];
const type = 'ipfs_cluster_service';
let flock: DaemonFlock;

beforeAll(() =>
  createDaemonFlock({ names, workersMayLead: true }).then((made) => {
    flock = made;
    flock.startAll();
  }),
);
afterAll(() => flock.end());

const ask = (name: string, method: string, path: string) =>
  fetch(`${flock.node(name).url}${path}`, {
    method,
    headers: { authorization: `Bearer ${flock.token(name)}` },
  });

async function federationOf(name: string): Promise<FederationPage | null> {
  const page = await getJson<{ federation: FederationPage | null }>(
    `${flock.node(name).url}/status`,
  );
  return page?.federation ?? null;
}

interface Allocation {
  readonly cid: string;
  readonly allocations: string[];
}

/** The pinset as that node's own service has it. */
async function pinsetOf(name: string): Promise<Allocation[]> {
  const view = await flock.daemon(name, type);
  const text = await (await fetch(`${view?.url}/allocations`)).text();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Allocation);
}

const seen = () =>
  Promise.all(
    names.map(async (name) => [name, await federationOf(name), await flock.daemon(name, type)]),
  );
const eventually = <T>(what: string, ask: () => Promise<T | null>): Promise<T> =>
  until(what, ask, { deadlineMs: 150_000, everyMs: 300, seen });

/** Every pinset has exactly these CIDs. */
const everywhere = (cids: readonly string[]) =>
  eventually('all pinsets agree', async () => {
    const sets = await Promise.all(names.map(pinsetOf));
    const wanted = JSON.stringify([...cids].sort());
    return sets.every((set) => JSON.stringify(set.map(({ cid }) => cid).sort()) === wanted)
      ? sets
      : null;
  });

/**
 * Waits until a pin of two copies is allocated, on none of `without`, and the leader's service names
 * the very services of those nodes; the nodes.
 */
const settled = (leader: string, cid: string, without: readonly string[]): Promise<string[]> =>
  eventually("the pin is allocated to the services of the catalog's nodes", async () => {
    const pin = await getJson<{
      allocations: string[];
      copies: { node: string; peerId: string }[];
    }>(`${flock.node(leader).url}/v1/pins/${cid}`);
    const peers = (await federationOf(leader))?.peers ?? [];
    const services = new Map(peers.map(({ node, peerId }) => [node, peerId]));
    // Whoever added it may hold a copy beside the allocated ones for a while, and an allocated
    // one is among the copies only once it has reported.
    const allocated = new Set(pin?.allocations);
    const nodes = (pin?.copies ?? [])
      .filter(({ peerId }) => allocated.has(peerId))
      .map(({ node }) => node);
    const placed = (await pinsetOf(leader)).find((each) => each.cid === cid);
    const same =
      JSON.stringify([...(placed?.allocations ?? [])].sort()) ===
      JSON.stringify(nodes.map((node) => services.get(node)).sort());
    const moved = nodes.every((node) => !without.includes(node));
    return nodes.length === 2 && moved && same ? nodes : null;
  });

test('every node runs a service, all of them trusted, and pins go where the catalog says', async () => {
  const leader = await flock.leader();
  await eventually('all services run and trust each other', async () => {
    const pages = await Promise.all(names.map(federationOf));
    const views = await Promise.all(names.map((name) => flock.daemon(name, type)));
    const well = pages.every(
      (page) =>
        page?.peers.length === 3 &&
        page.peers.every(({ kind, trusted }) => kind === type && trusted),
    );
    return well && views.every((view) => view?.finding?.facts.peer_count === 3) ? pages : null;
  });
  const cid = await addFile(flock, leader, 'two', { min: 2, max: 2 });
  await settled(leader, cid, []);
  await everywhere([cid]);
});

test('a pin moves away from the service of a node that drains', async () => {
  const leader = await flock.leader();
  const cid = (await pinsetOf(leader))[0]?.cid ?? '';
  const placed = await settled(leader, cid, []);
  const name = [...placed].find((node) => node !== leader) ?? '';
  expect((await ask(leader, 'PUT', `/v1/drains/${name}`)).ok).toBe(true);
  expect(await settled(leader, cid, [name])).not.toContain(name);
  expect((await ask(leader, 'DELETE', `/v1/drains/${name}`)).ok).toBe(true);
});

test('a removal reaches every pinset, and a foreign pin in it stays', async () => {
  const leader = await flock.leader();
  const [{ cid: gone = '' } = {}] = await pinsetOf(leader);
  const kept = await addFile(flock, leader, 'kept', { min: 1, max: 1 });
  // Pinned by somebody else in the same cluster: no mark of ours, so it is not ours to unpin.
  const foreign = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
  const view = await flock.daemon(leader, type);
  expect((await fetch(`${view?.url}/pins/${foreign}`, { method: 'POST' })).ok).toBe(true);
  expect((await ask(leader, 'DELETE', `/v1/pins/${gone}`)).ok).toBe(true);
  await everywhere([kept, foreign]);
});

test('a leader without its service keeps pins queued, says so, and catches up', async () => {
  const leader = await flock.leader();
  expect((await ask(leader, 'POST', `/v1/daemons/${type}/stop`)).ok).toBe(true);
  const before = (await pinsetOf(names.find((name) => name !== leader) ?? '')).length;
  const cid = await addFile(flock, leader, 'late', { min: 1, max: 1 });
  const page = await eventually('the leader says that it has no service', async () => {
    const now = await federationOf(leader);
    return now?.mirror.code === 'no-trusted-service' && now.mirror.pins === 2 ? now : null;
  });
  expect(page.mirror).toMatchObject({ state: 'queued', queued: 2 });
  expect(page.mirror.detail).toContain("leader's ipfs-cluster-service is stopped");
  const other = names.find((name) => name !== leader) ?? '';
  const there = await pinsetOf(other);
  expect([there.length, there.some((pin) => pin.cid === cid)]).toEqual([before, false]);
  const { mirror } = (await federationOf(other)) as FederationPage;
  expect(mirror).toMatchObject({ state: 'following', code: null });
  expect((await ask(leader, 'POST', `/v1/daemons/${type}/start`)).ok).toBe(true);
  await eventually('the mirror goes on', async () => {
    const now = await federationOf(leader);
    return now?.mirror.state === 'mirroring' && now.mirror.queued === 0 ? now : null;
  });
  await eventually('the pin is there', async () =>
    (await pinsetOf(other)).some((pin) => pin.cid === cid) ? true : null,
  );
});
