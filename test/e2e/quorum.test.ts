/**
 * Five voters, three of them killed: what is left answers reads, serves content, says that and why
 * it decides nothing, and takes no write; with the others back it goes on, and nothing is lost.
 */
import { afterEach, expect, test } from 'vitest';
import { createFlock, type Flock, getJson, type Page, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

const names = ['master-1', 'master-2', 'worker-1', 'worker-2', 'worker-3'];
const survivors = ['worker-2', 'worker-3'];
let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

type ModePage = Page & { mode: string; degradedReason: string | null };

async function put(it: Flock, name: string, path: string): Promise<Response> {
  return fetch(`${it.node(name).url}${path}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${it.token(name)}`, 'content-type': 'application/json' },
    body: '{"to":"nowhere"}',
  });
}

test('three of five voters are killed', async () => {
  const it = await createFlock({ names });
  flock = it;
  it.startAll();
  await it.leader();
  await until(
    'five vote',
    async () => ((await it.status('worker-3'))?.election.voters.length === 5 ? true : null),
    { deadlineMs: 60_000, seen: () => it.status('worker-3') },
  );
  const target = { url: it.node('worker-3').url, token: it.token('worker-3') };
  const writer = createWriter({ target: () => target, prefix: 'k' });
  await until('writes flow', () => (writer.acknowledged.size > 50 ? true : null), {
    deadlineMs: 60_000,
  });
  await writer.stop();
  const text = 'content that a survivor holds';
  const added = await fetch(`${target.url}/v1/content?name=note&min=1&max=2`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${target.token}`,
      'content-type': 'application/octet-stream',
    },
    body: text,
  });
  expect(added.status).toBe(201);
  const { cid } = (await added.json()) as { cid: string };

  for (const name of names.slice(0, 3)) await it.signal(name, 'SIGKILL');
  for (const name of survivors)
    await until(
      `${name} says that there is no quorum`,
      async () => {
        const page = (await it.status(name)) as ModePage | null;
        const told = page?.mode === 'degraded' && page.degradedReason === 'no-quorum';
        // One that was elected between two kills leads until its lease is over, and tells the
        // other what was decided before.
        return told && page.election.leader === null ? page : null;
      },
      { deadlineMs: 60_000, seen: () => it.status(name) },
    );
  const ready = await fetch(`${it.node('worker-2').url}/readyz`);
  expect(ready.status).toBe(503);
  const unready = (await ready.json()) as { unmet: string[] };
  expect(unready).toMatchObject({ mode: 'degraded', degradedReason: 'no-quorum' });
  expect(unready.unmet).toContain('quorum');
  expect((await fetch(`${it.node('worker-2').url}/livez`)).status).toBe(200);

  // Reads and content go on.
  const before = await it.status('worker-3');
  for (const name of survivors)
    expect(compare(writer.acknowledged, await readIndex(it.node(name).url, 'k'))).toMatchObject({
      lost: [],
      doubled: [],
    });
  const got = await fetch(`${target.url}/v1/content/${cid}`);
  expect(await got.text()).toBe(text);
  // Nothing is decided: not a write, not a linearizable read, not by itself.
  const refused = await put(it, 'worker-3', '/v1/index/knowledge_graph/lost?timeoutMs=1000');
  expect([503, 504]).toContain(refused.status);
  const asked = '/v1/index/knowledge_graph/k1?consistency=linearizable&timeoutMs=1000';
  expect(await getJson(`${target.url}${asked}`)).toBeNull();
  const after = await it.status('worker-3');
  expect(after?.log.appliedIndex).toBe(before?.log.appliedIndex);
  expect(after?.election).toMatchObject({ acting: false, leader: null });

  it.startAll();
  await it.leader();
  const kept = await put(it, 'worker-3', '/v1/index/knowledge_graph/found');
  expect(kept.status).toBe(200);
  const page = (await it.status('worker-3')) as ModePage | null;
  expect(page).toMatchObject({ mode: 'normal', degradedReason: null });
  const found = await readIndex(it.node('worker-3').url, 'k');
  expect(compare(writer.acknowledged, found)).toMatchObject({ lost: [], doubled: [] });
});
