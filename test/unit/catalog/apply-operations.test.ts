/**
 * Drains and pauses as rows: what they stop, when they end, what survives a snapshot, and that a
 * catalog of the first schema gets their tables.
 */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import type { OperationRecords } from '../../../src/catalog/query-operations.ts';
import { schemaVersion } from '../../../src/catalog/schema.ts';
import type { Command } from '../../../src/wire/command.ts';
import { rankOf, rightsOf } from '../../../src/wire/member.ts';
import { ask } from './ask.ts';
import { allocate, cidOf, createBench, pin } from './log-writer.ts';

const pause = (expiresAtMs: number | null = null): Command => ({
  type: 'pause.set',
  owner: 'ann',
  reason: 'moving racks',
  expiresAtMs,
});
const drain = (peer: string): Command => ({ type: 'drain.set', peer, owner: 'ann', reason: '' });

const member = (peerId: string) => ({
  ...{ peerId, name: peerId, role: 'worker' as const, rank: rankOf('worker'), zone: 'z' },
  ...rightsOf('worker', true),
});

function withMembers(...peers: string[]) {
  const bench = createBench();
  const configure = (...left: string[]) =>
    bench.apply(
      bench.log.config({ members: left.map(member), voters: left.slice(0, 1), outgoing: null }),
    );
  configure(...peers);
  return { ...bench, configure };
}

const operations = (db: DatabaseSync) => ask(db, 'operations') as OperationRecords;

test('a pause refuses allocations and expiries, and nothing that a person asks for', () => {
  const { run } = withMembers('p1', 'p2');
  const cid = cidOf(1);
  expect(run(pin(cid)).ok).toBe(true);
  expect(run(pause()).ok).toBe(true);
  expect(run(allocate(cid, ['p1'], 0))).toMatchObject({
    ok: false,
    code: 'conflict',
    detail: 'automatic actions are paused by ann: moving racks',
  });
  const expire: Command = { type: 'pin.rm', cid, expectedVersion: null, automatic: true };
  expect(run(expire)).toMatchObject({ ok: false, code: 'conflict' });
  expect(run({ type: 'batch', commands: [expire] })).toMatchObject({ ok: false });
  expect(run(pin(cidOf(2))).ok).toBe(true);
  expect(run({ type: 'pin.rm', cid, expectedVersion: null }).ok).toBe(true);
  expect(run({ type: 'pause.clear' }).ok).toBe(true);
  expect(run(allocate(cidOf(2), ['p1'], 0)).ok).toBe(true);
  expect(run({ type: 'pause.clear' })).toMatchObject({ ok: false, code: 'not-found' });
});

test('a pause ends at the time that the entries carry', () => {
  const { run } = withMembers('p1');
  const cid = cidOf(1);
  run(pin(cid));
  expect(run(pause(5000), { atMs: 6000 })).toMatchObject({ ok: false, code: 'bad-request' });
  expect(run(pause(5000), { atMs: 1000 }).ok).toBe(true);
  expect(run(allocate(cid, ['p1'], 0), { atMs: 4999 }).ok).toBe(false);
  expect(run(allocate(cid, ['p1'], 0), { atMs: 5000 }).ok).toBe(true);
});

test('a drain belongs to a member and goes with it', () => {
  const { run, db, configure, catalog } = withMembers('p1', 'p2');
  expect(run(drain('stranger'))).toMatchObject({ ok: false, code: 'not-found' });
  expect(run(drain('p2'), { atMs: 1000 }).ok).toBe(true);
  expect(run(drain('p2'), { atMs: 2000 }).ok).toBe(true);
  expect(operations(db).drains).toEqual([{ peer: 'p2', owner: 'ann', reason: '', sinceMs: 1000 }]);
  configure('p1');
  expect(operations(db).drains).toEqual([]);
  expect(run({ type: 'drain.clear', peer: 'p2' })).toMatchObject({ code: 'not-found' });
  expect(catalog.digest()).toBe(catalog.recomputedDigest());
});

test('both are in the digest and in every snapshot', () => {
  const { run, catalog } = withMembers('p1', 'p2');
  const before = catalog.digest();
  run(pause(9e15));
  run(drain('p1'));
  expect(catalog.digest()).not.toBe(before);
  const db = new DatabaseSync(':memory:');
  const copy = openCatalog(db);
  copy.restore(catalog.dump());
  expect(copy.digest()).toBe(catalog.digest());
  expect(operations(db)).toMatchObject({
    drains: [{ peer: 'p1' }],
    pause: { owner: 'ann', reason: 'moving racks', expiresAtMs: 9e15 },
  });
});

test('a catalog of the first schema gets the tables that it lacks', () => {
  const db = new DatabaseSync(':memory:');
  openCatalog(db);
  db.exec(
    'DROP TABLE drains; DROP TABLE pauses; DROP TABLE tokens; DROP TABLE revocations; DROP TABLE federation; DROP TABLE federation_peers; DROP TABLE certificates; DROP TABLE network_keys; DROP TABLE statements; PRAGMA user_version = 1',
  );
  openCatalog(db);
  expect(operations(db)).toEqual({ drains: [], pause: null, stopping: null });
  expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: schemaVersion });
});

test('one member at a time has the turn to stop: the next names the turn that it replaces', () => {
  const { run, db, configure } = withMembers('p1', 'p2', 'p3');
  const reserve = (peer: string, expectedVersion: number): Command => ({
    ...{ type: 'stop.reserve', peer, forMs: 1000, expectedVersion },
  });
  expect(operations(db).stopping).toBeNull();
  const first = run(reserve('p1', 0));
  expect(first).toMatchObject({ ok: true });
  const version = first.ok ? (first.version ?? 0) : 0;
  expect(operations(db).stopping).toEqual({ peer: 'p1', version, forMs: 1000 });
  // However late: whether its time is over is for the leader to say.
  expect(run(reserve('p2', 0), { atMs: 1e15 })).toMatchObject({ ok: false, code: 'conflict' });
  expect(run({ type: 'stop.release', peer: 'p2' })).toMatchObject({ code: 'not-found' });
  expect(run(reserve('p2', version)).ok).toBe(true);
  expect(run(reserve('p3', version))).toMatchObject({ ok: false, code: 'conflict' });
  expect(operations(db)).toMatchObject({ pause: null, stopping: { peer: 'p2' } });
  expect(run(pause()).ok).toBe(true);
  expect(run({ type: 'stop.release', peer: 'p2' }).ok).toBe(true);
  expect(operations(db)).toMatchObject({ pause: { owner: 'ann' }, stopping: null });
  expect(run(reserve('p3', 0)).ok).toBe(true);
  expect(run(reserve('stranger', 0))).toMatchObject({ ok: false, code: 'not-found' });
  configure('p1', 'p2');
  expect(operations(db).stopping).toBeNull();
});
