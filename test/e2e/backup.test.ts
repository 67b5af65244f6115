/**
 * A backup of a cluster that is being written to, read back, damaged and refused, and restored into
 * a new cluster that has every write acknowledged before it and shares nothing with the old one.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Ended, jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

interface Facts {
  readonly ok: boolean;
  readonly code: string;
  readonly detail: string;
  readonly index: number;
  readonly digest: string;
  readonly pins: number;
  readonly linearizable: boolean;
  readonly clusterId: string;
  readonly newClusterId: string;
}

test('a backup is made while writes go on, and restored into a new cluster', async () => {
  const it = await createFlock({
    names: ['master-1', 'master-2', 'worker-1', 'master-9', 'worker-9'],
    bare: ['master-9', 'worker-9'],
  });
  flock = it;
  for (const name of ['master-1', 'master-2', 'worker-1']) it.start(name);
  await it.leader();
  await until(
    'three are in',
    async () => ((await it.status('master-1'))?.members.length === 3 ? true : null),
    { deadlineMs: 60_000 },
  );
  const { url, data } = it.node('worker-1');
  const target = { url, token: it.token('worker-1') };
  const writer = createWriter({ target: () => target, prefix: 'k' });
  await until('writes flow', () => (writer.acknowledged.size > 100 ? true : null), {
    deadlineMs: 60_000,
  });
  const file = join(it.dir, 'cluster.backup');
  const run = (...args: string[]): Promise<Ended> => runCommand(it.program, args);
  const before = new Map(writer.acknowledged);
  const made = await run('backup', file, '--url', url, '--data', data, '--json');
  await writer.stop();
  expect(made).toMatchObject({ exit: 0 });
  const facts = jsonOf<Facts>(made);
  expect(facts).toMatchObject({ ok: true, linearizable: true });
  expect(jsonOf<Facts>(await run('backup', 'verify', file, '--json'))).toMatchObject({
    ok: true,
    index: facts.index,
    digest: facts.digest,
  });
  // Without the token nobody gets one.
  const refused = await run('backup', `${file}.2`, '--url', url, '--token', 'wrong', '--json');
  expect(refused.exit).toBe(6);

  // One flipped bit anywhere is found.
  const bytes = readFileSync(file);
  for (const at of [3, 40, Math.floor(bytes.length / 2), bytes.length - 5]) {
    const bad = Buffer.from(bytes);
    bad[at] = (bad[at] ?? 0) ^ 1;
    writeFileSync(`${file}.bad`, bad);
    const found = await run('backup', 'verify', `${file}.bad`, '--json');
    expect(found.exit).toBe(1);
    expect(jsonOf<Facts>(found).code).toBe('damaged');
  }
  writeFileSync(`${file}.bad`, bytes.subarray(0, bytes.length - 100));
  expect((await run('backup', 'verify', `${file}.bad`)).exit).toBe(1);

  const place = it.node('master-9');
  const occupied = await run('restore', file, '--data', data, '--json');
  expect(occupied.exit).toBe(2);
  const restored = await run('restore', file, '--data', place.data, '--name', 'master-9', '--json');
  expect(restored).toMatchObject({ exit: 0 });
  expect(jsonOf<Facts>(restored).newClusterId).not.toBe(facts.clusterId);
  // The old cluster runs on, on the same network; the two never mix.
  it.start('master-9');
  const page = await until(
    'the restored master leads alone',
    async () => {
      const seen = await it.status('master-9');
      return seen?.election.acting === true ? seen : null;
    },
    { deadlineMs: 60_000, seen: () => it.status('master-9') },
  );
  expect(page.cluster.id).toBe(jsonOf<Facts>(restored).newClusterId);
  expect(page.members.map((member) => member.name)).toEqual(['master-9']);
  expect(compare(before, await readIndex(place.url, 'k'))).toMatchObject({ lost: [], doubled: [] });
  const put = await fetch(`${place.url}/v1/index/knowledge_graph/new`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${it.token('master-9')}`,
      'content-type': 'application/json',
    },
    body: '{"to":"here"}',
  });
  expect(put.status).toBe(200);
  // The new cluster's own authority certifies others.
  const made9 = await run(
    'token',
    'create',
    '--role',
    'worker',
    '--url',
    place.url,
    ...[...['--name', 'worker-9', '--data', place.data, '--json']],
  );
  expect(made9, made9.err).toMatchObject({ exit: 0 });
  const { token } = jsonOf<{ token: string }>(made9);
  const newcomer = it.node('worker-9');
  const joined = await run(
    'join',
    token,
    '--name',
    'worker-9',
    '--data',
    newcomer.data,
    ...[...['--no-start', '--json']],
  );
  expect(joined, joined.err).toMatchObject({ exit: 0 });
  const old = await it.status('master-1');
  expect(old?.cluster.id).toBe(facts.clusterId);
  expect(old?.members.length).toBe(3);
});

test('the blocks come along as CAR and are there in the new cluster at once', async () => {
  const it = await createFlock({ names: ['master-1', 'master-9'], bare: ['master-9'] });
  flock = it;
  it.start('master-1');
  await it.leader();
  const from = it.node('master-1');
  const headers = {
    authorization: `Bearer ${it.token('master-1')}`,
    'content-type': 'application/octet-stream',
  };
  const body = Buffer.alloc(3_000_000, 'bellwether ');
  const added = await fetch(`${from.url}/v1/content?name=big&min=1&max=1`, {
    method: 'POST',
    headers,
    body,
  });
  expect(added.status).toBe(201);
  const { cid, blocks } = (await added.json()) as { cid: string; blocks: number };
  const file = join(it.dir, 'whole.backup');
  const run = (...args: string[]): Promise<Ended> => runCommand(it.program, [...args, '--json']);
  const made = await run('backup', file, '--with-blocks', '--url', from.url, '--data', from.data);
  expect(made, made.err).toMatchObject({ exit: 0 });
  expect(jsonOf(made)).toMatchObject({ blocks, pins: 1, pinsWithBlocks: 1 });
  const place = it.node('master-9');
  const restored = await run('restore', file, '--data', place.data, '--name', 'master-9');
  expect(restored, restored.err).toMatchObject({ exit: 0 });
  // Nobody else is there to fetch from.
  await it.signal('master-1', 'SIGKILL');
  it.start('master-9');
  await it.leader();
  const got = await until(
    'the content is served',
    async () => {
      const answer = await fetch(`${place.url}/v1/content/${cid}`);
      return answer.ok ? Buffer.from(await answer.arrayBuffer()) : null;
    },
    { deadlineMs: 60_000 },
  );
  expect(got.equals(body)).toBe(true);
  await until(
    'its copy counts there',
    async () => {
      const page = await it.status('master-9');
      return page?.replication?.pins === 1 && page.replication.underReplicated === 0 ? page : null;
    },
    { deadlineMs: 60_000, seen: () => it.status('master-9') },
  );
});
