/**
 * The network key is rotated under running agents that are written to: a member that was away comes
 * back by the old key, a newcomer joins in the middle, and after the old key is retired whoever
 * knows only that one is refused, and both sides say so.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { NetworkKeysState } from '../../src/agent/operations/api.ts';
import { networkKeyFingerprint, networkKeyHexOf } from '../../src/wire/network-key.ts';
import { type Ended, jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, getJson, until } from './flock.ts';
import { compare, createWriter, readIndex, type Writer } from './writer.ts';

let flock: Flock | null = null;
let writer: Writer | null = null;

afterEach(async () => {
  await writer?.stop();
  await flock?.stop();
  flock = null;
  writer = null;
});

interface Told {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const command = (of: Flock, name: string, ...args: string[]): Promise<Ended> => {
  const { url, data } = of.node(name);
  return runCommand(of.program, [...args, '--url', url, '--data', data, '--json']);
};

const keysAt = (of: Flock, name: string): Promise<NetworkKeysState | null> =>
  getJson<NetworkKeysState>(`${of.node(name).url}/v1/network-keys`);

async function eventsAt(of: Flock, name: string): Promise<Told[]> {
  const page = await getJson<{ events: Told[] }>(`${of.node(name).url}/v1/events?limit=1000`);
  return page?.events ?? [];
}

/** The network's keys as one node shows them, once they are as wanted. */
function keysWhere(
  of: Flock,
  name: string,
  what: string,
  wanted: (state: NetworkKeysState) => boolean,
): Promise<NetworkKeysState> {
  const ask = async (): Promise<NetworkKeysState | null> => {
    const state = await keysAt(of, name);
    return state !== null && wanted(state) ? state : null;
  };
  return until(what, ask, { deadlineMs: 60_000, seen: () => keysAt(of, name) });
}

const follows = (state: NetworkKeysState, ...names: string[]): boolean =>
  names.every((name) => state.members.some((one) => one.name === name && one.follows));

const keyIn = (folder: string): string =>
  networkKeyHexOf(readFileSync(join(folder, 'network.key'), 'utf8'));

async function moreWrites(of: Writer, count: number): Promise<void> {
  const goal = of.acknowledged.size + count;
  const enough = (): true | null => (of.acknowledged.size >= goal ? true : null);
  await until(`${count} more writes`, enough, { deadlineMs: 60_000 });
}

async function startFlock(): Promise<Flock> {
  const names = ['master-1', 'worker-1', 'worker-2', 'worker-3'];
  // An election is to come from a rotation or not at all, however busy the machine is.
  const timing = { heartbeatMs: 500, leaseMs: 5000, electionMsMin: 8000, electionMsMax: 12_000 };
  const made = await createFlock({ names: [...names, 'worker-4'], bare: ['worker-4'], timing });
  flock = made;
  for (const name of names) made.start(name);
  expect(await made.leader()).toBe('master-1');
  const settled = async () => {
    const page = await made.status('master-1');
    return page?.election.voters.length === 3 && page.members.length === 4 ? page : null;
  };
  await until('everybody is in', settled, { deadlineMs: 60_000 });
  return made;
}

test('rotated under load: who was away follows, who missed it is refused, nothing is lost', async () => {
  const it = await startFlock();
  const running = ['master-1', 'worker-1', 'worker-2'];
  const first = await keysWhere(it, 'master-1', 'all are on one key', (state) =>
    follows(state, ...running, 'worker-3'),
  );
  const oldKey = keyIn(it.node('master-1').data);
  expect(first).toMatchObject({ sending: networkKeyFingerprint(oldKey), next: null });
  writer = createWriter({
    target: () => ({ url: it.node('worker-1').url, token: it.token('worker-1') }),
    prefix: 'k',
  });
  await moreWrites(writer, 20);
  await it.signal('worker-3', 'SIGTERM');
  const { data: away } = it.node('worker-3');
  const kept = join(it.dir, 'kept');
  cpSync(away, kept, { recursive: true });
  const term = (await it.status('master-1'))?.election.term;

  // Paused, the key is added and not switched to, however long everybody has followed.
  expect((await command(it, 'worker-2', 'pause')).exit).toBe(0);
  expect((await command(it, 'worker-1', 'network-key', 'switch')).err).toContain('rotate adds one');
  const added = await command(it, 'worker-1', 'network-key', 'rotate');
  expect(added.exit, added.err).toBe(0);
  const { next } = jsonOf<NetworkKeysState>(added);
  await keysWhere(it, 'worker-2', 'the running ones follow', (state) => follows(state, ...running));
  await moreWrites(writer, 50);
  expect(await keysAt(it, 'master-1')).toMatchObject({ next, sending: first.sending });
  expect((await command(it, 'worker-1', 'network-key', 'rotate')).err).toContain('switch first');

  // Whoever joins now comes by the old key and hears of the new one from the log.
  const token = await command(it, 'master-1', 'token', 'create', '--role', 'worker');
  const newcomer = it.node('worker-4').data;
  const joined = await runCommand(it.program, [
    ...[
      'join',
      jsonOf<{ token: string }>(token).token,
      '--name',
      'worker-4',
      '--data',
      newcomer,
      '--no-start',
    ],
  ]);
  expect(joined.exit, joined.err).toBe(0);
  it.start('worker-4');
  await keysWhere(it, 'master-1', 'the newcomer follows', (state) => follows(state, 'worker-4'));

  expect((await command(it, 'worker-2', 'resume')).exit).toBe(0);
  await keysWhere(it, 'worker-2', 'the leader has switched', (state) => state.sending === next);
  await keysWhere(it, 'master-1', 'all that run send it', (state) =>
    follows(state, ...running, 'worker-4'),
  );
  const early = await command(it, 'master-1', 'network-key', 'retire');
  expect(early.exit).not.toBe(0);
  expect(early.err).toContain('worker-3 does not accept');
  expect(early.err).not.toContain('worker-2');

  it.start('worker-3');
  await keysWhere(it, 'master-1', 'who was away has followed', (state) =>
    follows(state, 'worker-3'),
  );
  const retired = await command(it, 'master-1', 'network-key', 'retire');
  expect(retired.exit, retired.err).toBe(0);
  const newKey = keyIn(away);
  for (const name of [...running, 'worker-3', 'worker-4']) {
    const only = await keysWhere(
      it,
      name,
      `${name} accepts one key`,
      ({ keys, members }) =>
        keys.length === 1 && members.some((one) => one.name === name && one.accepts?.length === 1),
    );
    expect(only.sending).toBe(networkKeyFingerprint(newKey));
    expect(keyIn(it.node(name).data)).toBe(newKey);
  }

  // As it was before the rotation: it knows the old key alone.
  await it.signal('worker-3', 'SIGKILL');
  rmSync(away, { recursive: true });
  cpSync(kept, away, { recursive: true });
  expect(keyIn(away)).toBe(oldKey);
  const before = (await eventsAt(it, 'master-1')).length;
  it.start('worker-3');
  await until(
    'it says why it does not come in',
    async () =>
      (await eventsAt(it, 'worker-3')).find(
        ({ type, data }) => type === 'failure' && JSON.stringify(data).includes('network key'),
      ) ?? null,
    { deadlineMs: 60_000, seen: () => eventsAt(it, 'worker-3') },
  );
  await until(
    'the others say that they refused it',
    async () =>
      (await eventsAt(it, 'master-1'))
        .slice(before)
        .find(({ type, data }) => type === 'connection-refused' && data.host === 'mesh') ?? null,
    { deadlineMs: 60_000, seen: () => eventsAt(it, 'master-1') },
  );

  await writer.stop();
  const { acknowledged } = writer;
  const found = await readIndex(it.node('master-1').url, 'k');
  expect(compare(acknowledged, found)).toMatchObject({ lost: [], doubled: [] });
  for (const name of running) expect((await it.status(name))?.election.term).toBe(term);

  // By fingerprint everywhere, and the keys themselves nowhere.
  const shown = [
    ...it.nodes.map(({ logFile }) => readFileSync(logFile, 'utf8')),
    ...[added.out, retired.out, JSON.stringify(await eventsAt(it, 'master-1'))],
    JSON.stringify(await it.status('master-1')),
    JSON.stringify(await keysAt(it, 'master-1')),
  ].join('\n');
  expect(shown).toContain(networkKeyFingerprint(newKey));
  for (const key of [oldKey, newKey]) expect(shown).not.toContain(key);
});
