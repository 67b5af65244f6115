import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { queries } from '../../../src/catalog/queries.ts';
import { ask } from './ask.ts';
import { allocate, cidOf, createBench, pin, put } from './log-writer.ts';

interface Paged {
  readonly next: string | null;
}

/** All items of a paged query, asked page by page. */
function walk<T>(db: DatabaseSync, name: string, args: object, pick: (page: Paged) => T[]): T[] {
  const all: T[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 1000; pages++) {
    const page = ask(db, name, { ...args, after }) as Paged;
    all.push(...pick(page));
    after = page.next;
    if (after === null) return all;
  }
  throw new Error('the pages do not end');
}

const cidsOf = (page: Paged): string[] =>
  (page as unknown as { pins: { cid: string }[] }).pins.map(({ cid }) => cid);
const keysOf = (page: Paged): string[] =>
  (page as unknown as { entries: { key: string }[] }).entries.map(({ key }) => key);

describe('pages', () => {
  test('of pins end to end, by state and by peer', () => {
    const { db, run } = createBench();
    const all = Array.from({ length: 25 }, (_, i) => cidOf(i));
    for (const [i, cid] of all.entries()) {
      run(pin(cid, 2, 3));
      const peers = ['p1', 'p2', 'p3', 'p4'].slice(0, i % 5);
      if (peers.length > 0) run(allocate(cid, peers, 0));
    }
    const copies = (cid: string) => all.indexOf(cid) % 5;
    for (const limit of [1, 7, 25, 1000]) {
      expect(walk(db, 'pins.list', { limit }, cidsOf)).toEqual(all);
      const listed = (state: string) => walk(db, 'pins.list', { limit, state }, cidsOf);
      expect(listed('below-min')).toEqual(all.filter((cid) => copies(cid) < 2));
      expect(listed('below-max')).toEqual(all.filter((cid) => copies(cid) < 3));
      expect(listed('above-max')).toEqual(all.filter((cid) => copies(cid) > 3));
      expect(walk(db, 'allocations.forPeer', { limit, peer: 'p3' }, cidsOf)).toEqual(
        all.filter((cid) => copies(cid) >= 3),
      );
    }
    expect(ask(db, 'stats')).toMatchObject({
      counts: { pins: 25, pins_below_min: 10, pins_below_max: 15, pins_above_max: 5 },
    });
    expect(ask(db, 'pins.getMany', { cids: [cidOf(1), cidOf(99)] })).toMatchObject({
      pins: [{ cid: cidOf(1) }, null],
    });
  });

  test('of the index end to end and below a prefix', () => {
    const { db, run } = createBench();
    const keys = ['a', 'a/', 'a/1', 'a/2', 'a/\u00fc', 'a0', 'b', '\u{1f40f}'];
    for (const key of keys) run(put(key, { key }));
    run({ ...put('a/9', {}), index: 'embeddings' });
    const listed = (prefix: string | null, limit: number) =>
      walk(db, 'index.list', { index: 'knowledge_graph', prefix, limit }, keysOf);
    for (const limit of [1, 2, 100]) {
      expect(listed(null, limit)).toEqual(keys);
      expect(listed('a/', limit)).toEqual(['a/', 'a/1', 'a/2', 'a/\u00fc']);
      expect(listed('\u{1f40f}', limit)).toEqual(['\u{1f40f}']);
      expect(listed('zz', limit)).toEqual([]);
    }
    expect(ask(db, 'index.counts')).toMatchObject({ knowledge_graph: 8, embeddings: 1 });
    const wrong = { index: 'knowledge_graph', prefix: 'a/', after: 'b' };
    expect(() => ask(db, 'index.list', wrong)).toThrow('below the prefix');
  });

  test('of tombstones in the order of removal', () => {
    const { db, run } = createBench();
    for (const n of [3, 1, 2]) run(pin(cidOf(n)));
    const commands = [3, 1, 2].map(
      (n) => ({ type: 'pin.rm', cid: cidOf(n), expectedVersion: null }) as const,
    );
    run({ type: 'batch', commands });
    const pick = (page: Paged) =>
      (page as unknown as { tombstones: { cid: string }[] }).tombstones.map(({ cid }) => cid);
    expect(walk(db, 'tombstones.list', { limit: 1 }, pick)).toEqual([1, 2, 3].map(cidOf));
    expect(walk(db, 'tombstones.list', { limit: 1, above: 5 }, pick)).toEqual([]);
  });
});

test('expired pins, oldest first', () => {
  const { db, run } = createBench();
  for (const [n, at] of [
    [1, 300],
    [2, 100],
    [3, 200],
    [4, null],
  ] as const)
    run({ ...pin(cidOf(n)), expiresAtMs: at });
  expect(ask(db, 'pins.expired', { atMs: 200 })).toMatchObject({
    pins: [{ cid: cidOf(2) }, { cid: cidOf(3) }],
  });
});

describe('full text', () => {
  const metadata = (key: string, value: Record<string, unknown>) =>
    ({ ...put(key, value), index: 'content_metadata' }) as const;
  const keys = (found: unknown): string[] =>
    (found as { hits: { key: string }[] }).hits.map(({ key }) => key);

  test('finds names, text and labels; names first; follows changes and removals', () => {
    const { db, run } = createBench();
    run(metadata('a', { name: 'Walrus facts', text: 'they swim' }));
    run(metadata('b', { name: 'sea', text: 'one walrus and much water, water, water' }));
    run(metadata('c', { name: 'x', labels: { animal: 'walrus' } }));
    run(metadata('d', { name: 'y', labels: ['walrus', 4] }));
    expect(keys(ask(db, 'search.text', { text: 'walrus' })).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(keys(ask(db, 'search.text', { text: 'WALRUS' }))[0]).toBe('a');
    expect(keys(ask(db, 'search.text', { text: 'walrus water' }))).toEqual(['b']);
    expect(keys(ask(db, 'search.text', { text: 'swim water', mode: 'any' })).sort()).toEqual([
      'a',
      'b',
    ]);
    run(metadata('b', { name: 'empty' }));
    run({ type: 'index.rm', index: 'content_metadata', key: 'a', expectedVersion: null });
    expect(keys(ask(db, 'search.text', { text: 'walrus' })).sort()).toEqual(['c', 'd']);
  });

  test.each(['"', 'AND', 'a" OR "b', 'name:', '*', '^', 'NEAR(a b)', '()', '-x', '\u0000'])(
    'takes %j literally',
    (text) => {
      const { db, run } = createBench();
      run(metadata('a', { name: 'nothing of it' }));
      expect(() => ask(db, 'search.text', { text })).not.toThrow();
    },
  );

  test('odd values are no error', () => {
    const { db, run } = createBench();
    run(metadata('a', { name: 5, text: null, labels: { a: 1, b: [] } }));
    expect(ask(db, 'search.text', { text: 'anything' })).toEqual({ hits: [] });
  });
});

test('wrong arguments are refused by name', () => {
  const { db } = createBench();
  for (const [name, args] of [
    ['pins.list', { limit: 0 }],
    ['pins.list', { limit: 1001 }],
    ['pins.get', {}],
    ['index.get', { index: 'nonsense', key: 'a' }],
    ['search.text', { text: '' }],
    ['allocations.forPeer', { peer: 5 }],
  ] as const)
    expect(() => ask(db, name, args)).toThrow(expect.objectContaining({ code: 'bad-request' }));
});

/** Runs every query on a connection that notes the statements, then explains each of them. */
test('no page reads a whole table', () => {
  const { db, run } = createBench();
  run(pin(cidOf(1)));
  const statements = new Set<string>();
  const prepare = db.prepare.bind(db);
  const noting = new Proxy(db, {
    get: (target, property) => {
      if (property !== 'prepare') return Reflect.get(target, property, target);
      return (sql: string) => {
        statements.add(sql);
        return prepare(sql);
      };
    },
  });
  const args: Record<string, object[]> = {
    'pins.list': ['all', 'below-min', 'below-max', 'above-max'].map((state) => ({ state })),
    'pins.get': [{ cid: cidOf(1) }],
    'pins.getMany': [{ cids: [cidOf(1)] }],
    'pins.expired': [{ atMs: 1 }],
    'allocations.forPeer': [{ peer: 'p' }],
    'tombstones.get': [{ cid: cidOf(1) }],
    'index.get': [{ index: 'embeddings', key: 'a' }],
    'index.list': [{ index: 'embeddings' }, { index: 'embeddings', after: 'a' }],
    'search.text': [{ text: 'word' }],
    'ballots.get': [{ term: 1 }],
    'allocations.count': [{ peer: 'p' }],
  };
  for (const [name, query] of Object.entries(queries))
    for (const one of args[name] ?? [{}]) query(noting, one);
  expect(statements.size).toBeGreaterThan(12);
  const small =
    /\b(members|counters|meta|ballots|takeovers|tokens|revocations|certificates|drains|pauses|network_keys|statements|federation|federation_peers)\b/;
  for (const sql of statements) {
    const steps = prepare(`EXPLAIN QUERY PLAN ${sql}`).all();
    for (const { detail } of steps) {
      const step = String(detail);
      if (small.test(step) || step.includes('VIRTUAL TABLE') || step.includes('CO-ROUTINE'))
        continue;
      if (sql.includes('search_text')) {
        expect(step).toMatch(/^SEARCH|^SCAN found|TEMP B-TREE/);
        continue;
      }
      // A partial index is scanned in the order of the page, after its cursor.
      expect(step, sql).not.toMatch(/^SCAN|TEMP B-TREE/);
    }
  }
});

test.each([
  ['copies < copies_min', 'pins_below_min'],
  ['copies < copies_max', 'pins_below_max'],
  ['copies > copies_max', 'pins_above_max'],
])('pins with %s have an index of their own', (condition, index) => {
  const { db } = createBench();
  const sql = `SELECT * FROM pins WHERE cid > ? AND ${condition} ORDER BY cid LIMIT ?`;
  const [step] = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all();
  expect(step?.detail).toContain(`INDEX ${index}`);
});

test('many pins: a page and the totals cost the page', () => {
  const db = new DatabaseSync(':memory:');
  const catalog = openCatalog(db);
  db.exec(`INSERT INTO pins
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)
    SELECT printf('bafkrei%08d', i), '', 1, 1, 2, 3, '{}', NULL, 1, 1, 0,
      CASE WHEN i % 1000 = 0 THEN '["p1"]' ELSE '["p1","p2","p3"]' END,
      CASE WHEN i % 1000 = 0 THEN 1 ELSE 3 END, 1, '[]', 1, '' FROM n`);
  const started = performance.now();
  for (let i = 0; i < 100; i++) {
    ask(db, 'pins.list', { after: `bafkrei${String(i * 1999).padStart(8, '0')}`, limit: 100 });
    ask(db, 'pins.list', { state: 'below-min', after: 'bafkrei00100000', limit: 100 });
    ask(db, 'stats');
  }
  expect((performance.now() - started) / 100).toBeLessThan(50);
  expect(catalog.appliedIndex()).toBe(0);
});
