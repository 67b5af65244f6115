import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { queries } from '../../../src/catalog/queries.ts';
import type { Query } from '../../../src/catalog/query.ts';
import { allocate, cidOf, createBench, pin, put } from './log-writer.ts';

const ask = (db: DatabaseSync, name: string, args: unknown = {}) =>
  (queries[name] as Query)(db, args);

describe('apply', () => {
  test('keeps the applied index and refuses gaps', () => {
    const { catalog, log, apply } = createBench();
    apply(log.command(put('a', { n: 1 })));
    expect(catalog.appliedIndex()).toBe(2);
    log.raw('empty', new Uint8Array());
    expect(() => apply(log.raw('empty', new Uint8Array()))).toThrow('follows');
    expect(catalog.appliedIndex()).toBe(2);
  });

  test('put, get, compare-and-set, remove', () => {
    const { db, run } = createBench();
    expect(run(put('k', { n: 1 }, 0))).toMatchObject({ ok: true, version: 2 });
    expect(run(put('k', { n: 2 }, 0))).toMatchObject({ ok: false, code: 'conflict', version: 2 });
    expect(run(put('k', { n: 3 }, 2))).toMatchObject({ ok: true, version: 4 });
    expect(ask(db, 'index.get', { index: 'knowledge_graph', key: 'k' })).toMatchObject({
      value: { n: 3 },
      version: 4,
    });
    const remove = { type: 'index.rm', index: 'knowledge_graph', key: 'k' } as const;
    expect(run({ ...remove, expectedVersion: 2 })).toMatchObject({ code: 'conflict', version: 4 });
    expect(run({ ...remove, expectedVersion: 4 })).toMatchObject({ ok: true });
    expect(run({ ...remove, expectedVersion: null })).toMatchObject({ code: 'not-found' });
  });

  test('a dump restores to the same digest', () => {
    const { catalog, run, db } = createBench();
    for (let i = 0; i < 500; i++) run(put(`key-${i}`, { n: i, text: 'x'.repeat(300) }));
    run(pin(cidOf(1)));
    run(allocate(cidOf(1), ['p1', 'p2'], 0));
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
    const other = new DatabaseSync(':memory:');
    const copy = openCatalog(other);
    copy.restore([...catalog.dump()]);
    expect(copy.digest()).toBe(catalog.digest());
    expect(copy.recomputedDigest()).toBe(catalog.digest());
    expect(ask(other, 'stats')).toEqual(ask(db, 'stats'));
    expect(ask(other, 'allocations.forPeer', { peer: 'p1' })).toMatchObject({
      pins: [{ cid: cidOf(1) }],
    });
  });
});
