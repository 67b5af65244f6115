/**
 * Five real agents: they come up to one leader, survive losing it, survive losing all, and the
 * leecher never leads.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { createFlock, type Flock, getJson, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

const five = ['master-1', 'master-2', 'worker-1', 'worker-2', 'leecher-1'];
let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

async function startFive(): Promise<Flock> {
  const made = await createFlock({ names: five, timing: { holdMs: 2000, voterGraceMs: 3000 } });
  flock = made;
  made.startAll();
  await made.leader();
  await allMembers(made);
  return made;
}

/** Everybody is in, the voters are as many as the table asks for, and both masters are of them. */
async function allMembers(of: Flock): Promise<void> {
  await until(
    'all five are members, three vote, both masters with them',
    async () => {
      const page = await of.status('worker-1');
      const voters = page?.election.voters.map((voter) => voter.name) ?? [];
      const masters = voters.filter((name) => name.startsWith('master-'));
      const settled = voters.length === 3 && masters.length === 2;
      return page?.members.length === 5 && settled ? page : null;
    },
    { deadlineMs: 60_000, seen: () => of.status('worker-1') },
  );
}

/** The node's copy has every acknowledged key, at the version that was acknowledged. */
async function sameOn(of: Flock, name: string, acknowledged: ReadonlyMap<string, number>) {
  return until(
    `${name} has every acknowledged write`,
    async () => {
      const result = compare(acknowledged, await readIndex(of.node(name).url, 'k'));
      return result.lost.length === 0 ? result : null;
    },
    { deadlineMs: 30_000 },
  );
}

describe('a flock of five', () => {
  test('elects a master, fails over to the other, and the leecher reads the same', async () => {
    const it = await startFive();
    const leader = await it.leader();
    expect(leader).toBe('master-1');
    const target = { url: it.node('worker-1').url, token: it.token('worker-1') };
    const writer = createWriter({ target: () => target, prefix: 'k' });
    await until('writes flow', () => (writer.acknowledged.size > 20 ? true : null), {
      deadlineMs: 30_000,
    });
    await it.signal('master-1', 'SIGKILL');
    const killedMs = performance.now();
    const before = writer.acknowledged.size;
    expect(await it.leader()).toBe('master-2');
    await until('writes flow again', () => (writer.acknowledged.size > before + 20 ? true : null), {
      deadlineMs: 30_000,
    });
    await writer.stop();
    const first = writer.atMs.find((atMs) => atMs > killedMs) ?? Number.POSITIVE_INFINITY;
    expect(first - killedMs).toBeLessThan(5000);
    for (const name of ['master-2', 'worker-1', 'worker-2', 'leecher-1']) {
      const result = await sameOn(it, name, writer.acknowledged);
      expect(result).toMatchObject({ lost: [], doubled: [] });
    }
    const leecher = await it.status('leecher-1');
    expect(leecher?.election.state).toBe('learner');
    expect(leecher?.node.cannotLeadReason).not.toBeNull();
  });

  test('kill -9 of all five, then start: same cluster, nothing acknowledged lost', async () => {
    const it = await startFive();
    const target = { url: it.node('worker-2').url, token: it.token('worker-2') };
    const writer = createWriter({ target: () => target, prefix: 'k' });
    await until('writes flow', () => (writer.acknowledged.size > 50 ? true : null), {
      deadlineMs: 30_000,
    });
    const before = await it.status('master-1');
    await Promise.all(five.map((name) => it.signal(name, 'SIGKILL')));
    const stopped = writer.stop();
    it.startAll();
    await stopped;
    await until(
      'a master leads, if need be after its hold',
      async () => ((await it.leader()).startsWith('master-') ? true : null),
      { deadlineMs: 60_000 },
    );
    for (const name of five) {
      const page = await it.status(name);
      expect(page?.cluster).toEqual(before?.cluster);
      expect(page?.members.map((member) => member.name).sort()).toEqual([...five].sort());
      const result = await sameOn(it, name, writer.acknowledged);
      expect(result).toMatchObject({ lost: [], doubled: [] });
    }
  });

  test('a worker leads when no master can, and a master that returns gets the lead back', async () => {
    const it = await startFive();
    const votes = (name: string) => async () => {
      const page = await it.status('worker-1');
      const voters = page?.election.voters.map((voter) => voter.name) ?? [name];
      return voters.includes(name) ? null : page;
    };
    await it.signal('master-1', 'SIGKILL');
    expect(await it.leader()).toBe('master-2');
    await until('master-1 votes no more', votes('master-1'), { deadlineMs: 30_000 });
    await it.signal('master-2', 'SIGKILL');
    expect(await it.leader()).toMatch(/^worker-/);
    const target = { url: it.node('worker-1').url, token: it.token('worker-1') };
    const writer = createWriter({ target: () => target, prefix: 'k' });
    it.start('master-1');
    await until('master-1 leads', async () => ((await it.leader()) === 'master-1' ? true : null), {
      deadlineMs: 40_000,
      seen: () => it.status('master-1'),
    });
    await writer.stop();
    expect(await sameOn(it, 'master-1', writer.acknowledged)).toMatchObject({ doubled: [] });
  });

  test('SIGTERM hands the lead over; nobody waits for an election', async () => {
    const it = await startFive();
    const target = { url: it.node('worker-1').url, token: it.token('worker-1') };
    const writer = createWriter({ target: () => target, prefix: 'k' });
    await until('writes flow', () => (writer.acknowledged.size > 20 ? true : null), {
      deadlineMs: 30_000,
    });
    await it.signal('master-1', 'SIGTERM');
    expect(await it.leader()).toBe('master-2');
    const after = writer.acknowledged.size;
    await until('writes flow again', () => (writer.acknowledged.size > after + 20 ? true : null), {
      deadlineMs: 30_000,
    });
    await writer.stop();
    expect(await sameOn(it, 'worker-2', writer.acknowledged)).toMatchObject({ doubled: [] });
    // A stop is not a leave.
    const page = await it.status('master-2');
    expect(page?.members).toHaveLength(5);
  });

  test('a leader that was stopped for three leases does not act when it wakes', async () => {
    const it = await startFive();
    const target = { url: it.node('worker-1').url, token: it.token('worker-1') };
    const writer = createWriter({ target: () => target, prefix: 'k' });
    await until('writes flow', () => (writer.acknowledged.size > 20 ? true : null), {
      deadlineMs: 30_000,
    });
    await it.signal('master-1', 'SIGSTOP');
    const stoppedMs = performance.now();
    const next = await until(
      'another one acts',
      async () => {
        const pages = await Promise.all(['master-2', 'worker-1', 'worker-2'].map(it.status));
        return pages.find((page) => page?.election.acting) ?? null;
      },
      { deadlineMs: 10_000 },
    );
    await until('three leases are over', () => performance.now() - stoppedMs > 1500 || null, {
      deadlineMs: 5000,
    });
    const term = next.election.term;
    await it.signal('master-1', 'SIGCONT');
    // From its first word on it must not act in the old term.
    await until(
      'the old leader follows',
      async () => {
        const acting = await getJson<{ term: number }>(`${it.node('master-1').url}/leader`);
        if (acting !== null) expect(acting.term).toBeGreaterThan(term - 1);
        const page = await it.status('master-1');
        return page !== null && page.election.term >= term ? page : null;
      },
      { deadlineMs: 10_000, everyMs: 5 },
    );
    await it.leader();
    await writer.stop();
    for (const name of ['master-1', 'master-2', 'worker-1', 'worker-2'])
      expect(await sameOn(it, name, writer.acknowledged)).toMatchObject({ lost: [], doubled: [] });
  });
});
