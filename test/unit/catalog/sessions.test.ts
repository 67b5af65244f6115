import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { catalogLimits } from '../../../src/catalog/limits.ts';
import { decodeResult } from '../../../src/wire/command.ts';
import { createBench, put, sessionA, sessionB } from './log-writer.ts';

const sessionOf = (n: number): string => n.toString(16).padStart(32, '0');

describe('sequences of a session', () => {
  test('a repeated one answers its stored result and changes nothing', () => {
    const { catalog, run } = createBench();
    const first = run(put('k', { n: 1 }, 0), { seq: 1 });
    const rows = catalog.digest();
    expect(run(put('k', { n: 1 }, 0), { seq: 1 })).toEqual(first);
    expect(run(put('other', { n: 2 }), { seq: 1 })).toEqual(first);
    expect(catalog.digest()).toBe(rows);
    expect(first).toMatchObject({ ok: true, index: 2 });
  });

  test('refusals are kept and repeated too', () => {
    const { run } = createBench();
    run(put('k', {}, 0), { seq: 1 });
    const refused = run(put('k', {}, 0), { seq: 2 });
    expect(refused).toMatchObject({ ok: false, code: 'conflict' });
    expect(run(put('k', {}, 0), { seq: 2 })).toEqual(refused);
  });

  test('they run in any order within the window, and never below it', () => {
    const { run } = createBench({ sessionSequencesMax: 8 });
    expect(run(put('a', {}), { seq: 10 })).toMatchObject({ ok: true });
    expect(run(put('b', {}), { seq: 3 })).toMatchObject({ ok: true });
    expect(run(put('c', {}), { seq: 2 })).toMatchObject({ ok: false, code: 'session-expired' });
    // 11 takes the slot of 3 and moves the window: what 3 answered is not known any more.
    expect(run(put('d', {}), { seq: 11 })).toMatchObject({ ok: true });
    expect(run(put('b', {}), { seq: 3 })).toMatchObject({ code: 'session-expired' });
    expect(run(put('e', {}), { seq: 4 })).toMatchObject({ ok: true });
    expect(run(put('e', {}), { seq: 4 })).toMatchObject({ ok: true });
  });

  test('an unknown session never runs anything', () => {
    const { catalog, run } = createBench();
    const before = catalog.digest();
    expect(run(put('k', {}), { session: sessionB, seq: 1 })).toMatchObject({
      ok: false,
      code: 'session-expired',
    });
    expect(catalog.digest()).toBe(before);
  });

  test('opening twice is harmless; sequence 0 is for opening only', () => {
    const { apply, log, run } = createBench();
    run(put('k', { n: 1 }), { seq: 1 });
    expect(apply(log.open())).toMatchObject({ ok: true });
    expect(run(put('k', { n: 2 }), { seq: 1 })).toMatchObject({ ok: true, index: 2 });
    expect(run(put('k', {}), { seq: 0 })).toMatchObject({ code: 'bad-request' });
    const open = { type: 'session.open', node: 'n' } as const;
    expect(run(open, { session: sessionB, seq: 4 })).toMatchObject({ code: 'bad-request' });
    expect(run({ type: 'batch', commands: [open] }, { seq: 2 })).toMatchObject({
      code: 'bad-request',
    });
  });
});

describe('eviction by log index', () => {
  test('the least recently used goes when there are too many, and stays gone', () => {
    const { apply, log, run } = createBench({ sessionsMax: 3 });
    for (const n of [1, 2]) apply(log.open(sessionOf(n)));
    run(put('k', {}), { session: sessionOf(1), seq: 1 });
    run(put('k', {}), { session: sessionA, seq: 1 });
    apply(log.open(sessionOf(3))); // 2 was used longest ago
    const use = (n: number) => run(put('k', {}), { session: sessionOf(n), seq: 2 });
    expect(use(2)).toMatchObject({ code: 'session-expired' });
    expect(use(1)).toMatchObject({ ok: true });
    expect(apply(log.open(sessionOf(2)))).toMatchObject({ ok: false, code: 'session-expired' });
    expect(use(2)).toMatchObject({ code: 'session-expired' });
  });

  test('an unused one expires by age, at the same entry on every replica', () => {
    const { run, apply, log, catalog } = createBench({ sessionEntriesMax: 20, sweepEntries: 8 });
    apply(log.open(sessionB));
    for (let i = 0; i < 21; i++) run(put('k', { i }));
    expect(run(put('k', {}), { session: sessionB, seq: 1 })).toMatchObject({
      code: 'session-expired',
    });
    for (let i = 0; i < 8; i++) run(put('k', { i }));
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
    expect(apply(log.open(sessionB))).toMatchObject({ code: 'session-expired' });
  });

  test('results, expired sessions and the window survive a dump', () => {
    const limits = { sessionsMax: 2, sessionSequencesMax: 4 };
    const { catalog, run, apply, log } = createBench(limits);
    const kept = run(put('k', { n: 1 }, 0), { seq: 5 });
    apply(log.open(sessionOf(1)));
    apply(log.open(sessionOf(2)));
    run(put('k', { n: 2 }), { session: sessionOf(1), seq: 1 });
    const copy = openCatalog(new DatabaseSync(':memory:'), { ...catalogLimits, ...limits });
    copy.restore([...catalog.dump()]);
    const both = (entry: ReturnType<typeof log.command>) => {
      const [here] = catalog.apply([entry]);
      const [there] = copy.apply([entry]);
      expect(there).toEqual(here);
      expect(copy.digest()).toBe(catalog.digest());
      return decodeResult(here?.result ?? new Uint8Array());
    };
    expect(both(log.command(put('k', {}), { seq: 5 }))).toMatchObject({ code: 'session-expired' });
    expect(kept.ok).toBe(true);
    expect(both(log.command(put('k', {}), { session: sessionOf(1), seq: 1 })).ok).toBe(true);
    expect(both(log.open(sessionA))).toMatchObject({ code: 'session-expired' });
  });
});
