import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encode as encodeCbor } from 'cborg';
import { afterEach, describe, expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { schemaVersion } from '../../../src/catalog/schema.ts';
import { nestingMax } from '../../../src/wire/command.ts';
import { ask } from './ask.ts';
import { cidOf, createBench, createLogWriter, pin, put, sessionA } from './log-writer.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'catalog-'));
  folders.push(made);
  return made;
}

describe('apply', () => {
  test('keeps the applied index and refuses gaps and repeats', () => {
    const { catalog, log, apply, entries } = createBench();
    apply(log.command(put('a', { n: 1 })));
    log.raw('empty', new Uint8Array());
    expect(() => apply(log.raw('empty', new Uint8Array()))).toThrow('follows');
    expect(() => catalog.apply(entries.slice(0, 1))).toThrow('follows');
    expect(catalog.appliedIndex()).toBe(2);
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('put, get, compare-and-set, remove', () => {
    const { db, run } = createBench();
    expect(run(put('k', { n: 1 }, 0))).toMatchObject({ ok: true, version: 2 });
    expect(run(put('k', { n: 2 }, 0))).toMatchObject({ ok: false, code: 'conflict', version: 2 });
    expect(run(put('k', { n: 3 }, 2))).toMatchObject({ ok: true, version: 4 });
    expect(ask(db, 'index.get', { index: 'knowledge_graph', key: 'k' })).toMatchObject({
      value: { n: 3 },
      version: 4,
      updatedAtMs: 1_700_000_000_003,
    });
    const remove = { type: 'index.rm', index: 'knowledge_graph', key: 'k' } as const;
    expect(run({ ...remove, expectedVersion: 2 })).toMatchObject({ code: 'conflict', version: 4 });
    expect(run({ ...remove, expectedVersion: 4 })).toMatchObject({ ok: true });
    expect(run({ ...remove, expectedVersion: null })).toMatchObject({ code: 'not-found' });
    expect(run(put('k', {}, 4))).toMatchObject({ code: 'conflict', version: 0 });
  });

  test('values keep bytes, nesting and numbers', () => {
    const { db, run } = createBench();
    const value = { bytes: Uint8Array.of(1, 2), list: [1.5, null, { deep: true }], big: 2 ** 53 };
    run(put('k', value));
    expect(ask(db, 'index.get', { index: 'knowledge_graph', key: 'k' })).toMatchObject({ value });
  });

  test('keys may hold any character', () => {
    const { db, run, catalog } = createBench();
    const keys = ['a\u0000b', 'a', '__proto__', '\u{1f40f}/\n', "'; DROP TABLE pins; --"];
    for (const key of keys) expect(run(put(key, { key }, 0))).toMatchObject({ ok: true });
    for (const key of keys)
      expect(ask(db, 'index.get', { index: 'knowledge_graph', key })).toMatchObject({
        key,
        value: { key },
      });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
    const copy = openCatalog(new DatabaseSync(':memory:'));
    copy.restore([...catalog.dump()]);
    expect(copy.recomputedDigest()).toBe(catalog.digest());
  });

  test('replication_state is derived and takes no writes', () => {
    const { run } = createBench();
    const command = { ...put('k', {}), index: 'replication_state' } as const;
    expect(run(command)).toMatchObject({ ok: false, code: 'bad-request' });
  });

  test('a throw leaves the state of before the call', () => {
    const { catalog, log, entries } = createBench();
    const before = catalog.digest();
    const good = log.command(put('a', {}));
    log.raw('empty', new Uint8Array());
    const gap = log.command(put('b', {}));
    expect(() => catalog.apply([good, gap])).toThrow('follows');
    expect(catalog.digest()).toBe(before);
    expect(catalog.appliedIndex()).toBe(entries.length);
    catalog.apply([good]);
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });
});

describe('a poisoned entry is answered and changes nothing', () => {
  const deep = (levels: number): Uint8Array =>
    Uint8Array.from([...new Array<number>(levels).fill(0x81), 0xf6]);
  const envelope = (command: unknown) =>
    encodeCbor({ v: 1, session: sessionA, seq: 1, atMs: 1, idempotency: null, command });
  test.each<[string, Uint8Array, string]>([
    ['no bytes', new Uint8Array(), 'bad-request'],
    ['no CBOR', Uint8Array.of(0xff, 0x00), 'bad-request'],
    ['not an envelope', encodeCbor({ hello: 1 }), 'bad-request'],
    ['nested as deep as an entry allows', deep(1024 * 1024), 'bad-request'],
    ['nested too deep', deep(nestingMax + 1), 'bad-request'],
    ['a wrong field', envelope({ type: 'pin.rm', cid: 5 }), 'bad-request'],
    ['a command from the future', envelope({ type: 'moon.orbit' }), 'not-built'],
    [
      'a batch with a command from the future',
      envelope({ type: 'batch', commands: [put('k', {}), { type: 'moon.orbit' }] }),
      'not-built',
    ],
    ['a batch of odd things', envelope({ type: 'batch', commands: [null, 4] }), 'bad-request'],
    ['an empty batch', envelope({ type: 'batch', commands: [] }), 'bad-request'],
  ])('%s', (_, data, code) => {
    const { catalog, apply, log } = createBench();
    const before = catalog.digest();
    expect(apply(log.raw('command', data))).toMatchObject({ ok: false, index: 2, code });
    expect(catalog.digest()).toBe(before);
    expect(catalog.appliedIndex()).toBe(2);
  });

  test('a configuration that makes no sense', () => {
    const { catalog, apply, log } = createBench();
    const before = catalog.digest();
    const result = apply(log.raw('config', Uint8Array.of(1, 2, 3)));
    expect(result).toMatchObject({ ok: false, code: 'bad-request' });
    expect(catalog.digest()).toBe(before);
  });
});

describe('batches', () => {
  test('apply whole, or not at all', () => {
    const { db, catalog, run } = createBench();
    run(put('a', { n: 1 }));
    const before = ask(db, 'index.list', { index: 'knowledge_graph' });
    const refused = run({
      type: 'batch',
      commands: [pin(cidOf(1)), put('a', { n: 2 }), put('b', {}), put('a', { n: 3 }, 2)],
    });
    expect(refused).toMatchObject({ ok: false, code: 'conflict', version: 3 });
    expect(refused).toMatchObject({ detail: expect.stringContaining('command 3 of the batch') });
    expect(ask(db, 'index.list', { index: 'knowledge_graph' })).toEqual(before);
    expect(ask(db, 'stats')).toMatchObject({ counts: { pins: 0 } });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
    const commands = [put('a', { n: 2 }, 2), put('b', {}, 0), put('a', { n: 4 }, 4)];
    expect(run({ type: 'batch', commands })).toMatchObject({
      ok: true,
      version: 4,
      value: { versions: [4, 4, 4] },
    });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('a refused batch takes its words out of the full text again', () => {
    const { db, run } = createBench();
    const metadata = (key: string, expectedVersion: number | null) =>
      ({ ...put(key, { name: 'walrus' }), index: 'content_metadata', expectedVersion }) as const;
    run({ type: 'batch', commands: [metadata('a', null), metadata('b', 99)] });
    expect(ask(db, 'search.text', { text: 'walrus' })).toEqual({ hits: [] });
    run({ type: 'batch', commands: [metadata('a', null), metadata('b', null)] });
    expect(ask(db, 'search.text', { text: 'walrus' })).toMatchObject({
      hits: [{ key: 'a' }, { key: 'b' }],
    });
  });
});

describe('idempotency keys', () => {
  const keyed = (key: string, hash = 'h') => ({
    idempotency: { key, requestHash: hash.repeat(64).slice(0, 64) },
  });

  test('one answer per key, through whatever session; another request is a conflict', () => {
    const { apply, log, run } = createBench();
    const session = 'c'.repeat(32);
    apply(log.open(session));
    const first = run(put('k', { n: 1 }, 0), keyed('key'));
    expect(first).toMatchObject({ ok: true });
    expect(run(put('k', { n: 1 }, 0), { ...keyed('key'), session })).toEqual(first);
    expect(run(put('k', { n: 2 }), keyed('key', 'x'))).toMatchObject({ code: 'conflict' });
  });

  test('bounded by number and by age', () => {
    const limits = { idempotencyKeysMax: 4, idempotencyEntriesMax: 30, sweepEntries: 4 };
    const { run, catalog, db } = createBench(limits);
    for (let i = 0; i < 6; i++) run(put('k', { i }), keyed(`key-${i}`));
    expect(ask(db, 'stats')).toMatchObject({ counts: { idempotency: 4 } });
    expect(run(put('k', {}, 0), keyed('key-0'))).toMatchObject({ code: 'conflict' });
    for (let i = 0; i < 40; i++) run(put('k', { i }));
    expect(ask(db, 'stats')).toMatchObject({ counts: { idempotency: 0 } });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });
});

describe('ballots and take-overs', () => {
  test('one ballot a term, the newest are kept', () => {
    const { db, run, catalog } = createBench({ ballotsMax: 2 });
    const ballot = (term: unknown) =>
      ({ type: 'ballot.put', ballot: { term, won: true } }) as const;
    expect(run(ballot(1))).toMatchObject({ ok: true });
    expect(run(ballot(1))).toMatchObject({ code: 'conflict' });
    expect(run(ballot('two'))).toMatchObject({ code: 'bad-request' });
    run(ballot(2));
    run(ballot(3));
    expect(ask(db, 'ballots.list', { limit: 1 })).toMatchObject({
      ballots: [{ term: 3, ballot: { won: true } }],
      next: '3',
    });
    expect(ask(db, 'ballots.list', { after: '3' })).toMatchObject({ ballots: [{ term: 2 }] });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('take-overs keep the cool-down that follows', () => {
    const { db, run, catalog } = createBench({ takeoversMax: 1 });
    const takeover = { type: 'takeover.put', from: 'a', to: 'b', term: 4, result: 'held' } as const;
    run({ ...takeover, cooldownMs: 30_000 });
    run({ ...takeover, cooldownMs: 60_000 });
    expect(ask(db, 'takeovers.list')).toMatchObject({
      takeovers: [{ index: 3, record: { from: 'a', to: 'b', cooldownMs: 60_000 } }],
    });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });
});

describe('the file', () => {
  test('a full disk throws, keeps the state of before, and goes on when there is room', () => {
    const db = new DatabaseSync(join(folder(), 'catalog.db'));
    const catalog = openCatalog(db);
    const log = createLogWriter();
    catalog.apply([log.open(), log.command(put('small', {}))]);
    const before = { digest: catalog.digest(), pages: db.prepare('PRAGMA page_count').get() };
    db.exec(`PRAGMA max_page_count = ${Number(before.pages?.page_count) + 2}`);
    const large = [
      log.command(put('a', {})),
      log.command(put('big', { text: 'x'.repeat(90_000) })),
    ];
    expect(() => catalog.apply(large)).toThrow('full');
    expect(catalog.digest()).toBe(before.digest);
    expect(catalog.appliedIndex()).toBe(2);
    expect(catalog.recomputedDigest()).toBe(before.digest);
    db.exec('PRAGMA max_page_count = 1000000');
    catalog.apply(large);
    expect(catalog.appliedIndex()).toBe(4);
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
    expect(ask(db, 'index.counts')).toMatchObject({ knowledge_graph: 3 });
  });

  test('a restore that meets a full disk says so and keeps the old state', () => {
    const { catalog: source, run } = createBench();
    run(put('big', { text: 'x'.repeat(200_000) }));
    const db = new DatabaseSync(join(folder(), 'catalog.db'));
    const catalog = openCatalog(db);
    const log = createLogWriter();
    catalog.apply([log.open()]);
    const before = catalog.digest();
    const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count);
    db.exec(`PRAGMA max_page_count = ${pages + 2}`);
    expect(() => catalog.restore(source.dump())).toThrow('full');
    expect(catalog.digest()).toBe(before);
    expect(catalog.recomputedDigest()).toBe(before);
    catalog.apply([log.command(put('small', {}))]);
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('is found again as it was left', () => {
    const path = join(folder(), 'catalog.db');
    const log = createLogWriter();
    const first = new DatabaseSync(path);
    openCatalog(first).apply([log.open(), log.command(put('k', { n: 1 }, 0))]);
    const digest = openCatalog(first).digest();
    first.close();
    const catalog = openCatalog(new DatabaseSync(path));
    expect(catalog.appliedIndex()).toBe(2);
    expect(catalog.digest()).toBe(digest);
    catalog.apply([log.command(put('k', { n: 2 }, 2))]);
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('two connections: the second writer sees what the first wrote', () => {
    const path = join(folder(), 'catalog.db');
    const log = createLogWriter();
    const one = openCatalog(new DatabaseSync(path));
    const two = openCatalog(new DatabaseSync(path));
    one.apply([log.open(), log.command(put('a', {}))]);
    two.apply([log.command(put('b', {}))]);
    one.apply([log.command(put('c', {}))]);
    expect(two.appliedIndex()).toBe(4);
    expect(two.digest()).toBe(one.digest());
    expect(two.recomputedDigest()).toBe(one.digest());
  });

  test('a read-only connection opens and dumps', () => {
    const path = join(folder(), 'catalog.db');
    const log = createLogWriter();
    const writer = openCatalog(new DatabaseSync(path));
    writer.apply([log.open(), log.command(put('a', {}))]);
    const reader = openCatalog(new DatabaseSync(path, { readOnly: true }));
    expect([...reader.dump()].length).toBe(1);
    expect(reader.digest()).toBe(writer.digest());
  });

  test('tables of another version are refused by name', () => {
    const db = new DatabaseSync(':memory:');
    db.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    expect(() => openCatalog(db)).toThrow(`schema ${schemaVersion + 1}`);
  });
});
