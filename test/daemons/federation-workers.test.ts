/**
 * Where workers may lead, every node runs ipfs-cluster-service: real ones hold each other's trust,
 * pins are placed on the very peers that the catalog names, a removal reaches every pinset, and a
 * leader without its service keeps pins queued and says so until the service is back.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FederationPage } from '../../src/agent/daemons/fleet.ts';
import { getJson, until } from '../e2e/flock.ts';
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

const ask = (name: string, method: string, path: string, body?: string) =>
  fetch(`${flock.node(name).url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${flock.token(name)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/octet-stream' }),
    },
    ...(body === undefined ? {} : { body }),
  });

async function add(name: string, text: string, copies: number): Promise<string> {
  const path = `/v1/content?name=${text}&min=${copies}&max=${copies}`;
  const response = await ask(name, 'POST', path, text.repeat(1000));
  expect(response.status).toBe(201);
  return ((await response.json()) as { cid: string }).cid;
}

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
  const cid = await add(leader, 'two', 2);
  const ids = new Map(
    (await federationOf(leader))?.peers.map(({ node, peerId }) => [node, peerId]) ?? [],
  );
  await eventually("the pin is allocated to the services of the catalog's nodes", async () => {
    const pin = await getJson<{
      allocations: string[];
      copies: { node: string; peerId: string }[];
    }>(`${flock.node(leader).url}/v1/pins/${cid}`);
    // Whoever added it may hold a copy beside the allocated ones for a while, and an allocated
    // one is among the copies only once it has reported.
    const allocated = new Set(pin?.allocations);
    const wanted = (pin?.copies ?? [])
      .filter(({ peerId }) => allocated.has(peerId))
      .map(({ node }) => ids.get(node));
    const placed = (await pinsetOf(leader)).find((each) => each.cid === cid);
    const same =
      JSON.stringify([...(placed?.allocations ?? [])].sort()) === JSON.stringify(wanted.sort());
    return wanted.length === 2 && same ? placed : null;
  });
  await everywhere([cid]);
});

test('a removal reaches every pinset, and a foreign pin in it stays', async () => {
  const leader = await flock.leader();
  const [{ cid: gone = '' } = {}] = await pinsetOf(leader);
  const kept = await add(leader, 'kept', 1);
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
  const cid = await add(leader, 'late', 1);
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
