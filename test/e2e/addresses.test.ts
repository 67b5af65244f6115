/**
 * Two machines and a witness, and how nodes name each other: IPv6 and DNS names work like IPv4
 * addresses do.
 */
import { afterEach, expect, test } from 'vitest';
import { runCommand } from './command.ts';
import { createFlock, type Flock, type FlockOptions, getJson, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

const two = ['master-1', 'worker-1', 'witness-1'];

async function startTwo(options: Partial<FlockOptions> = {}): Promise<Flock> {
  const made = await createFlock({ names: two, timing: { holdMs: 1500 }, ...options });
  flock = made;
  made.startAll();
  await made.leader();
  await until(
    'all three vote',
    async () => {
      const page = await made.status('master-1');
      return page?.election.voters.length === 3 ? page : null;
    },
    { deadlineMs: 60_000, seen: () => made.status('master-1') },
  );
  return made;
}

test('two machines and a witness bear the loss of one, and the witness holds nothing', async () => {
  const it = await startTwo();
  expect(await it.leader()).toBe('master-1');
  const target = () => ({ url: it.node('worker-1').url, token: it.token('worker-1') });
  const writer = createWriter({ target, prefix: 'k' });
  await until('writes flow', () => (writer.acknowledged.size > 20 ? true : null), {
    deadlineMs: 30_000,
  });
  await it.signal('master-1', 'SIGKILL');
  expect(await it.leader()).toBe('worker-1');
  const before = writer.acknowledged.size;
  await until('writes go on', () => (writer.acknowledged.size > before + 20 ? true : null), {
    deadlineMs: 30_000,
  });
  type Own = { node: { canLead: boolean; cannotLeadReason: string }; election: { state: string } };
  const witness = await getJson<Own>(`${it.node('witness-1').url}/status`);
  expect(witness?.node).toMatchObject({ canLead: false, cannotLeadReason: 'role' });
  expect(witness?.election.state).toBe('follower');
  // It keeps log and catalog like any voter, and no copies.
  await writer.stop();
  await until(
    'the witness has every acknowledged write',
    async () => {
      const found = await readIndex(it.node('witness-1').url, 'k');
      return compare(writer.acknowledged, found).lost.length === 0 ? true : null;
    },
    { deadlineMs: 30_000 },
  );
  it.start('master-1');
  await until(
    'the master leads again',
    async () => ((await it.leader()) === 'master-1' ? true : null),
    { deadlineMs: 90_000 },
  );
});

test.each([
  ['IPv6 addresses', { meshHost: '::1', seedHost: '[::1]' }],
  ['a DNS name', { seedHost: 'localhost' }],
])('nodes find each other by %s', async (_, hosts) => {
  const it = await startTwo(hosts);
  type Addresses = { members: { name: string; addresses: string[] }[] };
  const page = await getJson<Addresses>(`${it.node('worker-1').url}/status`);
  const master = page?.members.find(({ name }) => name === 'master-1');
  expect(master?.addresses.join()).toContain(
    hosts.seedHost === 'localhost' ? '/ip4/127.0.0.1/' : '/ip6/::1/',
  );
});

test('a node that nobody can dial gets no vote and is named; a leecher may only dial out', async () => {
  const names = ['master-1', 'worker-1', 'worker-2', 'leecher-1'];
  const configOf = (name: string): Record<string, unknown> => {
    if (name === 'worker-2') return { announce: ['/ip4/127.0.0.1/tcp/1'] };
    return name === 'leecher-1' ? { dialOutOnly: true } : {};
  };
  const made = await createFlock({ names, configOf });
  flock = made;
  made.startAll();
  await made.leader();
  interface Row {
    readonly name: string;
    readonly state: string;
    readonly addresses: readonly string[];
    readonly dialable: boolean | null;
    readonly notDialledBy: readonly string[];
  }
  const rows = async (name: string): Promise<readonly Row[]> =>
    (await getJson<{ members: Row[] }>(`${made.node(name).url}/status`))?.members ?? [];
  const row = async (of: string, name: string): Promise<Row | undefined> =>
    (await rows(of)).find((one) => one.name === name);
  const hidden = await until(
    'all four are alive and worker-2 is known as one that nobody can dial',
    async () => {
      const all = await rows('master-1');
      const found = all.find(({ name, dialable }) => name === 'worker-2' && dialable === false);
      const there = all.length === 4 && all.every(({ state }) => state === 'alive');
      return there && found !== undefined ? found : null;
    },
    { deadlineMs: 90_000, seen: () => rows('master-1') },
  );
  expect(hidden.notDialledBy).toContain('master-1');
  // worker-1 gets its vote when it is known to be reached, which may be a moment later.
  const page = await until(
    'the two that can be dialled vote, as worker-2 sees it',
    async () => {
      const own = await made.status('worker-2');
      return own && own.election.voters.length > 1 ? own : null;
    },
    { deadlineMs: 60_000, seen: () => made.status('worker-2') },
  );
  expect(page.node.cannotLeadReason).toBe('not-dialable');
  expect(page.election.voters.map(({ name }) => name).sort()).toEqual(['master-1', 'worker-1']);
  const { url, data } = made.node('leecher-1');
  // Gossip brings it to the leecher, which may take a moment longer.
  const ask = () => runCommand(made.program, ['doctor', '--url', url, '--data', data]);
  await until(
    'doctor on the leecher names worker-2',
    async () => (/address of worker-2 .*can't dial it/.test((await ask()).out) ? true : null),
    { deadlineMs: 60_000, everyMs: 500, seen: ask },
  );
  expect(await row('leecher-1', 'leecher-1')).toMatchObject({ addresses: [], state: 'alive' });
  const added = await fetch(`${made.node('master-1').url}/v1/content?name=f&min=1&max=1`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${made.token('master-1')}`,
      'content-type': 'application/octet-stream',
    },
    body: 'for whoever only dials out',
  });
  const { cid } = (await added.json()) as { cid: string };
  const text = await until(
    'the leecher reads it',
    async () => {
      const got = await fetch(`${url}/v1/content/${cid}`);
      return got.ok ? got.text() : null;
    },
    { deadlineMs: 60_000 },
  );
  expect(text).toBe('for whoever only dials out');
});
