import { describe, expect, test } from 'vitest';
import { mayDrop, type PinRecord } from '../../../src/catalog/query-pins.ts';
import type { Certificate } from '../../../src/wire/member.ts';
import { ask } from './ask.ts';
import { allocate, cidOf, createBench, pin } from './log-writer.ts';

const c1 = cidOf(1);
const remove = (cid: string, expectedVersion: number | null = null) =>
  ({ type: 'pin.rm', cid, expectedVersion }) as const;

describe('pins', () => {
  test('put, change by version, remove', () => {
    const { db, run } = createBench();
    expect(run(pin(c1, 2, 3, 0))).toMatchObject({ ok: true, version: 2 });
    expect(run(pin(c1, 1, 2, 0))).toMatchObject({ code: 'conflict', version: 2 });
    expect(run(pin(c1, 1, 2, 2))).toMatchObject({ ok: true, version: 4 });
    expect(run(pin(c1, 3, 2))).toMatchObject({ code: 'bad-request' });
    expect(ask(db, 'pins.get', { cid: c1 })).toMatchObject({ min: 1, max: 2, createdIndex: 2 });
    expect(run(remove(c1, 2))).toMatchObject({ code: 'conflict', version: 4 });
    expect(run(remove(c1, 4))).toMatchObject({ ok: true });
    expect(run(remove(c1))).toMatchObject({ code: 'not-found' });
    expect(ask(db, 'pins.get', { cid: c1 })).toBeNull();
  });

  test('a removed pin takes its allocation along and leaves a tombstone until it is back', () => {
    const { db, run, catalog } = createBench();
    run(pin(c1));
    run(allocate(c1, ['p1', 'p2'], 0));
    run(remove(c1));
    expect(ask(db, 'allocations.forPeer', { peer: 'p1' })).toEqual({ pins: [], next: null });
    expect(ask(db, 'tombstones.get', { cid: c1 })).toMatchObject({ removedIndex: 4 });
    expect(ask(db, 'tombstones.list', { above: 3 })).toMatchObject({ tombstones: [{ cid: c1 }] });
    expect(ask(db, 'tombstones.list', { above: 4 })).toMatchObject({ tombstones: [] });
    run(pin(c1));
    expect(ask(db, 'tombstones.get', { cid: c1 })).toBeNull();
    expect(ask(db, 'pins.get', { cid: c1 })).toMatchObject({ allocation: { version: 0 } });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });

  test('tombstones are bounded, the oldest go first', () => {
    const { db, run, catalog } = createBench({ tombstonesMax: 3 });
    for (let i = 0; i < 6; i++) {
      run(pin(cidOf(i)));
      run(remove(cidOf(i)));
    }
    expect(ask(db, 'tombstones.list')).toMatchObject({
      tombstones: [{ cid: cidOf(3) }, { cid: cidOf(4) }, { cid: cidOf(5) }],
    });
    expect(catalog.recomputedDigest()).toBe(catalog.digest());
  });
});

describe('allocations', () => {
  test('compare-and-set on their own version; stale when the pin is gone', () => {
    const { db, run } = createBench();
    expect(run(allocate(c1, ['p1'], 0))).toMatchObject({ code: 'conflict', version: 0 });
    run(pin(c1));
    expect(run(allocate(c1, ['p2', 'p1', 'p2'], 0))).toMatchObject({ ok: true, version: 4 });
    expect(run(allocate(c1, ['p1'], 0))).toMatchObject({ code: 'conflict', version: 4 });
    run(pin(c1, 1, 1)); // a policy change leaves the allocation alone
    expect(ask(db, 'pins.get', { cid: c1 })).toMatchObject({
      allocation: { peers: ['p1', 'p2'], version: 4, reason: 'test' },
    });
    expect(run(allocate(c1, ['p1', 'p2', 'p3'], 4))).toMatchObject({ ok: true });
    run(remove(c1));
    expect(run(allocate(c1, ['p1'], 8))).toMatchObject({ code: 'conflict' });
  });

  const held = ['p1', 'p2', 'p3'];
  test.each([
    ['names no copies', ['p1', 'p2'], [], 'relies on 0'],
    ['names fewer than min', ['p1', 'p2'], ['p1'], 'relies on 1'],
    ['names one twice', ['p1', 'p2'], ['p1', 'p1'], 'relies on 1'],
    ['relies on one that it removes', ['p1', 'p2'], ['p1', 'p3'], 'which it removes'],
    ['relies on one that it adds', ['p1', 'p2', 'p4'], ['p1', 'p4'], 'holds no copy'],
    ['removes all', [], ['p1', 'p2'], 'which it removes'],
  ])('a trim that %s is refused', (_, peers, reliesOn, detail) => {
    const { db, run } = createBench();
    run(pin(c1));
    run(allocate(c1, held, 0));
    const result = run(allocate(c1, peers, 3, reliesOn));
    expect(result).toMatchObject({ ok: false, code: 'bad-request' });
    expect(JSON.stringify(result)).toContain(detail);
    expect(ask(db, 'pins.get', { cid: c1 })).toMatchObject({ allocation: { peers: held } });
  });

  test('a trim that relies on min copies that stay is applied', () => {
    const { db, run } = createBench();
    run(pin(c1));
    run(allocate(c1, held, 0));
    expect(run(allocate(c1, ['p1', 'p2'], 3, ['p1', 'p2']))).toMatchObject({ ok: true });
    expect(ask(db, 'allocations.forPeer', { peer: 'p3' })).toMatchObject({ pins: [] });
    expect(ask(db, 'allocations.forPeer', { peer: 'p2' })).toMatchObject({ pins: [{ cid: c1 }] });
  });

  test('only what the last allocation relied on lets a node outside of it drop its copy', () => {
    const { db, run } = createBench();
    const mayDropNow = (peer: string) =>
      mayDrop(ask(db, 'pins.get', { cid: c1 }) as PinRecord, peer);
    run(pin(c1));
    expect(mayDropNow('adder')).toBe(false);
    run(allocate(c1, held, 0));
    expect(mayDropNow('adder')).toBe(false);
    expect(run(allocate(c1, held, 3, ['p4']))).toMatchObject({ code: 'bad-request' });
    run(allocate(c1, held, 3, ['p1', 'p2']));
    expect(mayDropNow('adder')).toBe(true);
    expect(mayDropNow('p3')).toBe(false);
    run(pin(c1, 3, 3)); // more copies are wanted now than were relied on
    expect(mayDropNow('adder')).toBe(false);
    run(pin(c1, 2, 3));
    run(allocate(c1, [...held, 'p4'], 5));
    expect(mayDropNow('adder')).toBe(false);
  });

  test('a leecher or witness is never allocated anything', () => {
    const { run, apply, log } = createBench();
    const member = (peerId: string, role: Certificate['role']): Certificate => ({
      peerId,
      name: peerId,
      role,
      rank: 0,
      zone: '',
      votes: false,
      leads: false,
    });
    apply(
      log.config({
        members: [member('reader', 'leecher'), member('judge', 'witness'), member('w', 'worker')],
        voters: ['w'],
        outgoing: null,
      }),
    );
    run(pin(c1));
    for (const peer of ['reader', 'judge'])
      expect(run(allocate(c1, ['w', peer], 0))).toMatchObject({ code: 'bad-request' });
    expect(run(allocate(c1, ['w'], 0))).toMatchObject({ ok: true });
  });
});

test('members follow the configuration', () => {
  const { db, apply, log, catalog } = createBench();
  const member = (peerId: string, zone: string): Certificate => ({
    peerId,
    name: peerId,
    role: 'worker',
    rank: 2000,
    zone,
    votes: true,
    leads: true,
  });
  apply(
    log.config({ members: [member('a', 'x'), member('b', 'x')], voters: ['a'], outgoing: null }),
  );
  apply(
    log.config({
      members: [member('b', 'y'), member('c', 'x')],
      voters: ['b'],
      outgoing: ['b', 'c'],
    }),
  );
  expect(ask(db, 'members.list')).toMatchObject({
    members: [
      { certificate: { peerId: 'b', zone: 'y' }, voter: true, outgoing: true },
      { certificate: { peerId: 'c' }, voter: false, outgoing: true },
    ],
  });
  expect(catalog.recomputedDigest()).toBe(catalog.digest());
  expect(ask(db, 'stats')).toMatchObject({ counts: { members: 2 } });
});
