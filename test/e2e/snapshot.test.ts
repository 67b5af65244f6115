/**
 * The log is cut while the cluster works, a newcomer and a member that was away for long get the
 * state as a snapshot, and everything is still there after kill -9 of all.
 */
import { afterEach, expect, test } from 'vitest';
import { createFlock, type Flock, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

const names = ['master-1', 'master-2', 'worker-1', 'leecher-1'];
let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

test('newcomers and stragglers get a snapshot once the log is cut', async () => {
  const it = await createFlock({ names, log: { keepEntries: 50, cutEntries: 100 } });
  flock = it;
  for (const name of names.slice(0, 3)) it.start(name);
  await it.leader();
  await until(
    'three vote',
    async () => ((await it.status('worker-1'))?.election.voters.length === 3 ? true : null),
    { deadlineMs: 20_000 },
  );
  const target = { url: it.node('master-1').url, token: it.token('master-1') };
  const writer = createWriter({ target: () => target, prefix: 'k', lanes: 8 });
  await it.signal('worker-1', 'SIGKILL');
  await until(
    'the log is cut on the leader',
    async () => {
      const page = await it.status('master-1');
      return page !== null && page.log.firstIndex > 100 ? page : null;
    },
    { deadlineMs: 60_000, seen: () => it.status('master-1') },
  );
  // One that was away for long, and one that was never there.
  it.start('worker-1');
  it.start('leecher-1');
  await until(
    'both start from a snapshot',
    async () => {
      const pages = await Promise.all(['worker-1', 'leecher-1'].map(it.status));
      return pages.every((page) => page !== null && page.log.firstIndex > 100) ? true : null;
    },
    { deadlineMs: 60_000, seen: () => Promise.all(['worker-1', 'leecher-1'].map(it.status)) },
  );
  await writer.stop();
  const complete = (name: string) =>
    until(
      `${name} has every acknowledged write`,
      async () => {
        const found = compare(writer.acknowledged, await readIndex(it.node(name).url, 'k'));
        return found.lost.length === 0 ? found : null;
      },
      { deadlineMs: 20_000 },
    );
  for (const name of names) expect(await complete(name)).toMatchObject({ doubled: [] });
  await Promise.all(names.map((name) => it.signal(name, 'SIGKILL')));
  it.startAll();
  await it.leader();
  for (const name of names) expect(await complete(name)).toMatchObject({ lost: [], doubled: [] });
});
