/**
 * Health over real processes: every node shows every node's score and machine, a killed one is
 * failed everywhere within five seconds by default timing, one that stopped on purpose has left,
 * and one that stood still for two seconds blames nobody.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFlock, type Flock, getJson, until } from './flock.ts';

const names = ['master-1', 'master-2', 'worker-1', 'worker-2', 'leecher-1'];
const first = 'master-1';

interface Row {
  readonly name: string;
  readonly state: string;
  readonly health: string;
  readonly score: number | null;
}
interface Page {
  readonly members: Row[];
  readonly counts: { total: number; healthy: number };
  readonly health: { state: string; score: number; reasons: unknown[] };
}
interface Event {
  readonly type: string;
  readonly at: string;
  readonly data: Record<string, unknown>;
}

let flock: Flock;
beforeAll(async () => {
  flock = await createFlock({ names });
  flock.startAll();
  await flock.leader(60_000);
});
afterAll(() => flock.stop());

const pageOf = (name: string) => getJson<Page>(`${flock.node(name).url}/status`);
const rowsOf = async (about: string, from: readonly string[]) => {
  const pages = await Promise.all(from.map(pageOf));
  return pages.map((page) => page?.members.find(({ name }) => name === about));
};
const eventsOf = async (name: string, type: string): Promise<Event[]> => {
  const page = await getJson<{ events: Event[] }>(`${flock.node(name).url}/v1/events?limit=1000`);
  return (page?.events ?? []).filter((event) => event.type === type);
};
const allHealthy = (count: number, from: readonly string[]) =>
  until(
    `everybody sees ${count} healthy members`,
    async () => {
      const pages = await Promise.all(from.map(pageOf));
      return pages.every((page) => page?.counts.healthy === count) ? true : null;
    },
    { deadlineMs: 60_000, seen: () => Promise.all(from.map(pageOf)) },
  );

test("every node shows every node's score, reasons and machine", async () => {
  await allHealthy(names.length, names);
  for (const from of names) {
    const page = await pageOf(from);
    expect(page?.health).toMatchObject({ state: 'healthy' });
    for (const about of names) {
      const member = await getJson(`${flock.node(from).url}/v1/members/${about}`);
      expect(member).toMatchObject({
        name: about,
        state: 'alive',
        health: 'healthy',
        components: expect.arrayContaining([expect.objectContaining({ name: 'agent', weight: 3 })]),
        healthAgeMs: expect.any(Number),
        resources: { memoryPercent: expect.any(Number), load: expect.any(Array), gpu: null },
      });
    }
  }
});

test('one that stands still for two seconds blames nobody', async () => {
  const before = (await eventsOf('worker-2', 'member-suspect')).length;
  await flock.signal('worker-2', 'SIGSTOP');
  await wait(2000);
  await flock.signal('worker-2', 'SIGCONT');
  await allHealthy(names.length, names);
  expect(await eventsOf('worker-2', 'member-failed')).toEqual([]);
  expect((await eventsOf('worker-2', 'member-suspect')).length).toBe(before);
});

test('a killed node is failed everywhere within five seconds', async () => {
  const others = names.filter((name) => name !== 'worker-1');
  const killedAt = Date.now();
  await flock.signal('worker-1', 'SIGKILL');
  await until(
    'worker-1 is failed everywhere',
    async () => {
      const rows = await rowsOf('worker-1', others);
      return rows.every((row) => row?.state === 'failed' && row.score === 0) ? true : null;
    },
    { deadlineMs: 30_000, seen: () => rowsOf('worker-1', others) },
  );
  // By the clock of the events, not by how fast this test could ask.
  for (const name of others) {
    const failed = (await eventsOf(name, 'member-failed')).filter(
      ({ data }) => data.name === 'worker-1',
    );
    expect(failed).toHaveLength(1);
    // A step of doubt stands for half a second and more in which its own loop stood still.
    const limitMs = 5000 + 1000 * Number(failed[0]?.data.doubt);
    const tookMs = Date.parse(failed[0]?.at ?? '') - killedAt;
    process.stdout.write(`${name}: failed after ${tookMs} ms, doubt ${failed[0]?.data.doubt}\n`);
    expect(tookMs).toBeLessThan(limitMs);
  }
  // A loop that stood still a moment ago is told by a lower score until it has passed.
  await until(
    'the others are healthy',
    async () => ((await pageOf(first))?.counts.healthy === names.length - 1 ? true : null),
    { deadlineMs: 60_000, seen: () => pageOf(first) },
  );
  flock.start('worker-1');
  await allHealthy(names.length, names);
});

test('a node that was stopped on purpose has left, and is back when it starts again', async () => {
  const others = names.filter((name) => name !== 'leecher-1');
  await flock.signal('leecher-1', 'SIGTERM');
  await until(
    'leecher-1 has left',
    async () => {
      const rows = await rowsOf('leecher-1', others);
      return rows.every((row) => row?.state === 'left') ? true : null;
    },
    { deadlineMs: 30_000, seen: () => rowsOf('leecher-1', others) },
  );
  flock.start('leecher-1');
  await allHealthy(names.length, names);
});
