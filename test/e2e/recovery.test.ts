/**
 * A majority is lost: one node begins a new epoch, the lost ones come back and are refused on both
 * sides, and after `rejoin` they are clean members of the new epoch, blocks and all. And two
 * operators who both do it: two epochs that never mix.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Ended, jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, getJson, type Page, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

const three = ['master-1', 'master-2', 'worker-1'];

interface ClusterPage extends Page {
  readonly mode: string;
  readonly cluster: Page['cluster'] & {
    epoch: number;
    parentEpochId: string | null;
    strays: { name: string; epochId: string }[];
  };
}

interface Forced {
  readonly ok: boolean;
  readonly code: string;
  readonly epoch: number;
  readonly epochId: string;
  readonly parentEpochId: string;
  readonly plan: { lostMembers: string[]; lastIndex: number; warnings: string[] };
}

async function startThree(): Promise<Flock> {
  const it = await createFlock({ names: three, timing: { voterGraceMs: 3000, holdMs: 2000 } });
  flock = it;
  it.startAll();
  await it.leader();
  await until(
    'three vote',
    async () => ((await it.status('worker-1'))?.election.voters.length === 3 ? true : null),
    { deadlineMs: 60_000, seen: () => it.status('worker-1') },
  );
  return it;
}

const page = async (it: Flock, name: string) => (await it.status(name)) as ClusterPage | null;

const recover = (it: Flock, name: string, ...more: string[]): Promise<Ended> => {
  const { url, data } = it.node(name);
  const command = ['recover', '--force-new-epoch', '--url', url, '--data', data];
  return runCommand(it.program, [...command, ...more]);
};

const rejoin = (it: Flock, name: string, epoch: string): Promise<Ended> =>
  runCommand(it.program, [
    ...['rejoin', '--accept-epoch', epoch, '--data', it.node(name).data, '--json'],
  ]);

test('two of three are lost, one recovers, the lost ones are refused and rejoin', async () => {
  const it = await startThree();
  const target = { url: it.node('worker-1').url, token: it.token('worker-1') };
  const writer = createWriter({ target: () => target, prefix: 'k' });
  await until('writes flow', () => (writer.acknowledged.size > 100 ? true : null), {
    deadlineMs: 60_000,
  });
  await writer.stop();
  const old = await page(it, 'worker-1');
  expect(old?.cluster).toMatchObject({ epoch: 1, parentEpochId: null, strays: [] });
  const oldEpoch = old?.cluster.epochId ?? '';
  // While a majority answers nothing is recovered.
  const needless = await recover(it, 'worker-1', '--yes-old-epoch', '1', '--json');
  expect(needless.exit).toBe(6);
  await until(
    'worker-1 has everything',
    async () => {
      const found = compare(writer.acknowledged, await readIndex(target.url, 'k'));
      return found.lost.length === 0 ? true : null;
    },
    { deadlineMs: 30_000 },
  );

  for (const name of ['master-1', 'master-2']) await it.signal(name, 'SIGKILL');
  await until(
    'there is no quorum',
    async () => ((await page(it, 'worker-1'))?.mode === 'degraded' ? true : null),
    { deadlineMs: 60_000 },
  );
  // The wrong number, and nothing typed, change nothing.
  expect((await recover(it, 'worker-1', '--yes-old-epoch', '7', '--json')).exit).toBe(6);
  expect((await recover(it, 'worker-1', '--json')).exit).toBe(2);
  expect((await page(it, 'worker-1'))?.cluster.epochId).toBe(oldEpoch);

  const done = await recover(it, 'worker-1', '--yes-old-epoch', '1', '--json');
  expect(done, done.err).toMatchObject({ exit: 0 });
  const forced = jsonOf<Forced>(done);
  expect(forced).toMatchObject({ epoch: 2, parentEpochId: oldEpoch });
  expect(forced.plan.lostMembers.sort()).toEqual(['master-1', 'master-2']);
  expect(forced.plan.warnings.join(' ')).toContain('two clusters that both act');
  expect(compare(writer.acknowledged, await readIndex(target.url, 'k'))).toMatchObject({
    lost: [],
    doubled: [],
  });
  const more = createWriter({ target: () => target, prefix: 'n' });
  await until('writes flow again', () => (more.acknowledged.size > 50 ? true : null), {
    deadlineMs: 60_000,
  });
  await more.stop();

  // The lost ones come back: a majority of their old epoch, so they go on in it, by themselves.
  for (const name of ['master-1', 'master-2']) it.start(name);
  await until(
    'both sides see that they are in two epochs',
    async () => {
      const [ours, theirs] = [await page(it, 'worker-1'), await page(it, 'master-1')];
      const seen = ours?.cluster.strays.map(({ name }) => name).sort();
      const both = seen?.join() === 'master-1,master-2';
      return both && theirs?.cluster.strays.some(({ name }) => name === 'worker-1') ? true : null;
    },
    {
      deadlineMs: 60_000,
      seen: async () => [
        (await page(it, 'worker-1'))?.cluster,
        (await page(it, 'master-1'))?.cluster,
      ],
    },
  );
  await until(
    'the old epoch has its own leader',
    async () => {
      const leads = (await page(it, 'master-2'))?.election.leader?.name ?? '';
      return leads.startsWith('master-') ? leads : null;
    },
    { deadlineMs: 60_000 },
  );
  expect((await page(it, 'worker-1'))?.election.leader?.name).toBe('worker-1');
  expect((await page(it, 'worker-1'))?.cluster.epochId).toBe(forced.epochId);
  expect((await page(it, 'master-1'))?.cluster.epochId).toBe(oldEpoch);
  // What they write meanwhile is in their epoch only.
  const stray = { url: it.node('master-1').url, token: it.token('master-1') };
  const apart = createWriter({ target: () => stray, prefix: 'apart' });
  await until('the old epoch writes', () => (apart.acknowledged.size > 5 ? true : null), {
    deadlineMs: 60_000,
  });
  await apart.stop();

  // A running agent's folder is left alone.
  expect((await rejoin(it, 'master-1', forced.epochId)).exit).toBe(1);
  for (const name of ['master-1', 'master-2']) {
    await it.signal(name, 'SIGTERM');
    expect((await rejoin(it, name, 'nonsense')).exit).toBe(2);
    const back = await rejoin(it, name, forced.epochId);
    expect(back, back.err).toMatchObject({ exit: 0 });
    const [archive = ''] = readdirSync(join(it.node(name).data, 'archive'));
    for (const kept of ['log', 'catalog', 'node.json'])
      expect(existsSync(join(it.node(name).data, 'archive', archive, kept))).toBe(true);
    // There is no way back into an epoch that it has voted in.
    expect((await rejoin(it, name, oldEpoch)).exit).toBe(6);
    it.start(name);
  }
  await it.leader();
  await until(
    'all three vote in the new epoch',
    async () => {
      const seen = await page(it, 'master-1');
      const number = seen?.cluster.epoch;
      return seen?.election.voters.length === 3 && number === 2 ? true : null;
    },
    { deadlineMs: 60_000, seen: () => page(it, 'master-1') },
  );
  for (const name of three) {
    const seen = await page(it, name);
    expect(seen?.cluster).toMatchObject({ epoch: 2, epochId: forced.epochId });
    await until(
      `${name} has every write of both epochs`,
      async () => {
        const found = await readIndex(it.node(name).url, '');
        const first = compare(writer.acknowledged, found);
        const second = compare(more.acknowledged, found);
        expect([...first.doubled, ...second.doubled]).toEqual([]);
        return first.lost.length + second.lost.length === 0 ? true : null;
      },
      { deadlineMs: 30_000 },
    );
    expect((await readIndex(it.node(name).url, 'apart')).size).toBe(0);
  }
});

test('two operators who both recover make two epochs that never mix', async () => {
  const it = await startThree();
  await it.signal('master-1', 'SIGKILL');
  await it.signal('master-2', 'SIGKILL');
  const first = jsonOf<Forced>(await recover(it, 'worker-1', '--yes-old-epoch', '1', '--json'));
  expect(first.epoch).toBe(2);
  await it.signal('worker-1', 'SIGKILL');
  // The other operator sees one node as well, and knows nothing of the first.
  it.start('master-2');
  await until('master-2 answers', () => page(it, 'master-2'), { deadlineMs: 60_000 });
  // And types the number, as a person does.
  const { url, data } = it.node('master-2');
  const typed = await runCommand(
    it.program,
    ['recover', '--force-new-epoch', '--url', url, '--data', data, '--json'],
    { input: '1\n' },
  );
  expect(typed, typed.err).toMatchObject({ exit: 0 });
  const second = jsonOf<Forced>(typed);
  expect(second).toMatchObject({ epoch: 2, parentEpochId: first.parentEpochId });
  expect(second.epochId).not.toBe(first.epochId);
  it.start('worker-1');
  await until(
    'each names the other as a stray',
    async () => {
      const [a, b] = [await page(it, 'worker-1'), await page(it, 'master-2')];
      const seen = [a?.cluster.strays[0]?.epochId, b?.cluster.strays[0]?.epochId];
      return seen[0] === second.epochId && seen[1] === first.epochId ? true : null;
    },
    {
      deadlineMs: 60_000,
      seen: async () => [await page(it, 'worker-1'), await page(it, 'master-2')],
    },
  );
  const put = async (name: string, key: string) => {
    const answer = await fetch(`${it.node(name).url}/v1/index/knowledge_graph/${key}`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${it.token(name)}`,
        'content-type': 'application/json',
      },
      body: '{"by":"one"}',
    });
    expect(answer.status).toBe(200);
  };
  await put('worker-1', 'here');
  await put('master-2', 'there');
  expect(await getJson(`${it.node('worker-1').url}/v1/index/knowledge_graph/there`)).toBeNull();
  expect(await getJson(`${it.node('master-2').url}/v1/index/knowledge_graph/here`)).toBeNull();
});
