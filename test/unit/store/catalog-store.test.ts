import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { openCatalogStore } from '../../../src/store/catalog-store.ts';
import { decodeResult, encodeEnvelope } from '../../../src/wire/command.ts';
import { chainStart, type Entry, makeEntry } from '../../../src/wire/entry.ts';
import { epoch, withFolder } from './log-fixture.ts';

const session = 'a'.repeat(32);

/** Entry 1 opens a session, the others put one index row each. */
function puts(count: number): Entry[] {
  const out: Entry[] = [];
  let previousHash = chainStart;
  for (let index = 1; index <= count; index++) {
    const command =
      index === 1
        ? ({ type: 'session.open', node: 'node-1' } as const)
        : ({
            type: 'index.put',
            index: 'peer_lists',
            key: `key-${index}`,
            value: { n: index },
            expectedVersion: null,
          } as const);
    const seq = index - 1;
    const data = encodeEnvelope({ v: 1, session, seq, atMs: 5, idempotency: null, command });
    const entry = makeEntry({ previousHash, epoch, index, term: 1, kind: 'command', data });
    previousHash = entry.hash;
    out.push(entry);
  }
  return out;
}

/** A log that says what the test wants it to say. */
function fakeLog(start: number, last: number) {
  const log = { start, last, startIndex: () => log.start, lastIndex: () => log.last };
  return log;
}

const list = (dir: string) => readdir(dir).then((names) => names.filter((n) => /sqlite$/.test(n)));

describe('a catalog', () => {
  test('applies in its thread, answers queries with the index they saw, survives a restart', () =>
    withFolder(async (dir) => {
      const log = fakeLog(0, 100);
      const store = await openCatalogStore({ dir, log });
      const results = await store.apply(puts(20));
      expect(results.map(({ index }) => index)).toEqual(puts(20).map(({ index }) => index));
      expect(decodeResult(results[7]?.result ?? Buffer.alloc(0))).toMatchObject({ ok: true });
      expect(store.appliedIndex()).toBe(20);
      const answers = await Promise.all(
        [7, 8, 9].map((n) => store.query('index.get', { index: 'peer_lists', key: `key-${n}` })),
      );
      for (const answer of answers) expect(answer.appliedIndex).toBe(20);
      expect(answers[0]?.value).toMatchObject({ key: 'key-7', value: { n: 7 } });
      const digest = await store.digest();
      expect(await store.checkpoint()).toBe(20);
      await store.close();
      const again = await openCatalogStore({ dir, log });
      expect(again.appliedIndex()).toBe(20);
      expect(await again.digest()).toBe(digest);
      await again.close();
    }));

  test('names an unknown query and keeps the code of an error from the thread', () =>
    withFolder(async (dir) => {
      const store = await openCatalogStore({ dir, log: fakeLog(0, 9) });
      await expect(store.query('nothing', {})).rejects.toMatchObject({ code: 'bad-request' });
      await expect(store.install(join(dir, 'nowhere'))).rejects.toThrow('ENOENT');
      await store.close();
      await expect(store.apply(puts(1))).rejects.toMatchObject({ code: 'stopped' });
      await expect(store.query('stats', {})).rejects.toMatchObject({ code: 'stopped' });
    }));

  test('refuses entries that are not durable in the log, and gaps', () =>
    withFolder(async (dir) => {
      const store = await openCatalogStore({ dir, log: fakeLog(0, 5) });
      await expect(store.apply(puts(6))).rejects.toThrow('durable to 5');
      await expect(store.apply(puts(5).slice(2))).rejects.toThrow('entry 3 follows 0');
      await store.apply(puts(5));
      expect(store.appliedIndex()).toBe(5);
      await store.close();
    }));

  test('ahead of its log or behind the start of its log is refused', () =>
    withFolder(async (dir) => {
      const store = await openCatalogStore({ dir, log: fakeLog(0, 20) });
      await store.apply(puts(20));
      await store.close();
      await expect(openCatalogStore({ dir, log: fakeLog(0, 19) })).rejects.toMatchObject({
        code: 'damaged',
        message: expect.stringContaining('applied entry 20, but the log ends at entry 19'),
      });
      await expect(openCatalogStore({ dir, log: fakeLog(21, 30) })).rejects.toMatchObject({
        code: 'damaged',
      });
      await (await openCatalogStore({ dir, log: fakeLog(20, 20) })).close();
    }));
});

test('a changed byte in the database is refused, or changes nothing that matters', () =>
  withFolder(async (dir) => {
    // So many rows that most pages hold some: a byte of an empty table matters to nobody.
    const log = fakeLog(0, 800);
    const store = await openCatalogStore({ dir, log });
    await store.apply(puts(800));
    await store.verify();
    const digest = await store.digest();
    await store.close();
    const path = join(dir, 'catalog-1.sqlite');
    const whole = await readFile(path);
    let refused = 0;
    for (let at = 20; at < whole.length; at += Math.ceil(whole.length / 14)) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await writeFile(path, changed);
      const opened = await openCatalogStore({ dir, log }).catch((thrown: AgentError) => thrown);
      if (opened instanceof AgentError) {
        expect(['damaged', 'internal']).toContain(opened.code);
        refused += 1;
        continue;
      }
      expect(await opened.digest()).toBe(digest);
      await opened.close();
    }
    expect(refused).toBeGreaterThan(1);
  }));

describe('snapshots', () => {
  test('go to another node and give the same state there', () =>
    withFolder(async (dir) => {
      const first = await openCatalogStore({ dir: join(dir, 'a'), log: fakeLog(0, 50) });
      await first.apply(puts(50));
      const facts = await first.snapshot();
      expect(facts).toMatchObject({ index: 50, bytes: (await readFile(facts.path)).length });
      const log = fakeLog(0, 0);
      const second = await openCatalogStore({ dir: join(dir, 'b'), log });
      expect(await second.query('stats', {})).toMatchObject({ appliedIndex: 0 });
      expect(await second.install(facts.path)).toBe(50);
      [log.start, log.last] = [50, 50];
      expect(await second.digest()).toBe(await first.digest());
      expect(await second.query('stats', {})).toMatchObject({ appliedIndex: 50 });
      expect(await second.checkpoint()).toBe(50);
      expect(await list(join(dir, 'b'))).toEqual(['catalog-2.sqlite']);
      await first.close();
      await second.close();
    }));

  test('that the log never took are taken back; that it took are kept', () =>
    withFolder(async (dir) => {
      const first = await openCatalogStore({ dir: join(dir, 'a'), log: fakeLog(0, 50) });
      await first.apply(puts(50));
      const { path } = await first.snapshot();
      await first.close();
      const there = join(dir, 'b');
      const second = await openCatalogStore({ dir: there, log: fakeLog(0, 70) });
      await second.apply(puts(10));
      await second.install(path);
      await second.close();
      const third = await openCatalogStore({ dir: there, log: fakeLog(0, 70) });
      expect(third.appliedIndex()).toBe(10);
      await third.install(path);
      await third.close();
      const fourth = await openCatalogStore({ dir: there, log: fakeLog(50, 50) });
      expect(fourth.appliedIndex()).toBe(50);
      expect(await list(there)).toHaveLength(1);
      await fourth.close();
    }));

  test('with any byte changed or missing are refused, and the catalog stays as it was', () =>
    withFolder(async (dir) => {
      const store = await openCatalogStore({ dir, log: fakeLog(0, 5) });
      await store.apply(puts(5));
      const { path } = await store.snapshot();
      const whole = await readFile(path);
      const digest = await store.digest();
      const step = Math.ceil(whole.length / 25);
      for (let at = 0; at < whole.length; at += step) {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ 0x10;
        for (const bytes of [changed, whole.subarray(0, at)]) {
          await writeFile(path, bytes);
          await expect(store.install(path)).rejects.toMatchObject({ code: 'damaged' });
        }
      }
      expect(await store.digest()).toBe(digest);
      expect(await list(dir)).toEqual(['catalog-1.sqlite']);
      await store.close();
    }));
});
