/**
 * A node with a damaged store refuses to start, names the file and says the ways out; `repair` then
 * does what is safe for exactly that damage.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Ended, jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, until } from './flock.ts';
import { compare, createWriter, readIndex, type Writer } from './writer.ts';

let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

const three = ['master-1', 'master-2', 'worker-1'];

interface Repaired {
  readonly ok: boolean;
  readonly code: string;
  readonly detail: string;
  readonly done: string;
  readonly damage: string | null;
}

async function startThree(log: Record<string, number>): Promise<{ it: Flock; writer: Writer }> {
  const it = await createFlock({ names: three, log });
  flock = it;
  for (const name of three) it.start(name);
  await it.leader();
  await until(
    'three vote',
    async () => ((await it.status('worker-1'))?.election.voters.length === 3 ? true : null),
    { deadlineMs: 60_000 },
  );
  const target = { url: it.node('master-1').url, token: it.token('master-1') };
  const writer = createWriter({ target: () => target, prefix: 'k', lanes: 8 });
  return { it, writer };
}

const repair = (it: Flock, name: string, ...more: string[]): Promise<Ended> =>
  runCommand(it.program, ['repair', '--data', it.node(name).data, '--json', ...more]);

/** Starts the node, which must refuse; what it said. */
async function refusal(it: Flock, name: string): Promise<string> {
  const before = readFileSync(it.node(name).logFile, 'utf8').length;
  it.start(name);
  await until(`${name} refuses to start`, () => (it.node(name).running() ? null : true), {
    deadlineMs: 60_000,
  });
  return readFileSync(it.node(name).logFile, 'utf8').slice(before);
}

async function complete(it: Flock, name: string, writer: Writer): Promise<void> {
  const found = await until(
    `${name} has every acknowledged write`,
    async () => {
      if ((await it.status(name)) === null) return null;
      const result = compare(writer.acknowledged, await readIndex(it.node(name).url, 'k'));
      return result.lost.length === 0 ? result : null;
    },
    { deadlineMs: 60_000 },
  );
  expect(found.doubled).toEqual([]);
}

/** Changes a key in the catalog's file, as a disk might. */
function damageCatalog(it: Flock, name: string): string {
  const dir = pathOf(it.node(name).data, 'catalog');
  const file = readdirSync(dir).find((each) => each.endsWith('.sqlite')) ?? '';
  const path = pathOf(dir, file);
  const bytes = readFileSync(path);
  let damaged = 0;
  for (let at = bytes.indexOf('k20'); at >= 0; at = bytes.indexOf('k20', at + 1)) {
    bytes[at + 1] = 0x7a;
    damaged += 1;
  }
  expect(damaged).toBeGreaterThan(0);
  writeFileSync(path, bytes);
  return path;
}

test('a damaged catalog is made again from the log', async () => {
  const { it, writer } = await startThree({});
  await until('writes flow', () => (writer.acknowledged.size > 100 ? true : null), {
    deadlineMs: 60_000,
  });
  await writer.stop();
  await complete(it, 'worker-1', writer);
  await it.signal('worker-1', 'SIGTERM');
  expect(jsonOf<Repaired>(await repair(it, 'worker-1'))).toMatchObject({ done: 'nothing' });
  const path = damageCatalog(it, 'worker-1');
  const said = await refusal(it, 'worker-1');
  expect(said).toContain(path);
  expect(said).toContain('bellwether repair --data');
  expect(said).toContain('bellwether restore FILE --data');
  const mended = await repair(it, 'worker-1');
  expect(mended, mended.err).toMatchObject({ exit: 0 });
  expect(jsonOf<Repaired>(mended)).toMatchObject({ done: 'catalog-from-log' });
  it.start('worker-1');
  await complete(it, 'worker-1', writer);
});

test('a damaged catalog of a cut log comes from a backup of another member', async () => {
  const { it, writer } = await startThree({ keepEntries: 50, cutEntries: 100 });
  await until(
    'the log of worker-1 is cut',
    async () => {
      const page = await it.status('worker-1');
      return page !== null && page.log.firstIndex > 100 ? page : null;
    },
    { deadlineMs: 60_000, seen: () => it.status('worker-1') },
  );
  await it.signal('worker-1', 'SIGTERM');
  const path = damageCatalog(it, 'worker-1');
  // The others go on, and beyond the end of its log.
  const target = writer.acknowledged.size + 300;
  await until('more is written', () => (writer.acknowledged.size > target ? true : null), {
    deadlineMs: 60_000,
  });
  await writer.stop();
  expect(await refusal(it, 'worker-1')).toContain(path);
  const alone = await repair(it, 'worker-1');
  expect(alone.exit).toBe(1);
  expect(jsonOf<Repaired>(alone).detail).toContain('--from FILE');
  const file = pathOf(it.dir, 'other.backup');
  const { url, data } = it.node('master-2');
  const made = await runCommand(it.program, ['backup', file, '--url', url, '--data', data]);
  expect(made, made.err).toMatchObject({ exit: 0 });
  const mended = await repair(it, 'worker-1', '--from', file);
  expect(mended, mended.err).toMatchObject({ exit: 0 });
  expect(jsonOf<Repaired>(mended)).toMatchObject({ done: 'catalog-from-backup' });
  it.start('worker-1');
  await complete(it, 'worker-1', writer);
});

test('a damaged log lets a node come back as a new one only', async () => {
  const { it, writer } = await startThree({});
  await until('writes flow', () => (writer.acknowledged.size > 200 ? true : null), {
    deadlineMs: 60_000,
  });
  const added = await fetch(`${it.node('worker-1').url}/v1/content?name=note&min=1&max=1`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${it.token('worker-1')}`,
      'content-type': 'application/octet-stream',
    },
    body: 'a block that stays',
  });
  expect(added.status).toBe(201);
  const { cid } = (await added.json()) as { cid: string };
  await writer.stop();
  const before = await it.status('worker-1');
  await it.signal('worker-1', 'SIGTERM');
  const dir = pathOf(it.node('worker-1').data, 'log');
  const segment =
    readdirSync(dir).find((name) => name.endsWith('.log')) ?? readdirSync(dir)[0] ?? '';
  const path = pathOf(dir, segment);
  const bytes = readFileSync(path);
  bytes[6000] = (bytes[6000] ?? 0) ^ 4;
  writeFileSync(path, bytes);
  expect(await refusal(it, 'worker-1')).toContain(path);
  const kept = await repair(it, 'worker-1');
  expect(kept.exit).toBe(1);
  expect(jsonOf<Repaired>(kept).detail).toContain('--as-new-node');
  const done = await repair(it, 'worker-1', '--as-new-node');
  expect(done, done.err).toMatchObject({ exit: 0 });
  expect(jsonOf<Repaired>(done)).toMatchObject({ done: 'new-node' });
  // Its name belongs to the lost key until that is forgotten; then a token lets a new key have it.
  const leads = it.node(await it.leader());
  const at = ['--url', leads.url, '--data', leads.data, '--json'];
  const forgotten = await runCommand(it.program, ['forget', 'worker-1', '--force', ...at]);
  expect(forgotten, forgotten.err).toMatchObject({ exit: 0 });
  const wish = ['token', 'create', '--role', 'worker', '--name', 'worker-1', ...at];
  const made = await runCommand(it.program, wish);
  expect(made, made.err).toMatchObject({ exit: 0 });
  const { token } = jsonOf<{ token: string }>(made);
  const place = it.node('worker-1').data;
  const join = ['join', token, '--name', 'worker-1', '--data', place, '--no-start', '--json'];
  const joined = await runCommand(it.program, join);
  expect(joined, joined.err).toMatchObject({ exit: 0 });
  it.start('worker-1');
  await complete(it, 'worker-1', writer);
  const page = await it.status('worker-1');
  expect(page?.node.peerId).not.toBe(before?.node.peerId);
  const got = await fetch(`${it.node('worker-1').url}/v1/content/${cid}`);
  expect(await got.text()).toBe('a block that stays');
});
