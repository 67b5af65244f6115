/** Join tokens and revocations in the log: once, in time, for the same key again, and for good. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { catalogLimits } from '../../../src/catalog/limits.ts';
import { type Command, decodeResult } from '../../../src/wire/command.ts';
import { ask } from './ask.ts';
import { createLogWriter } from './log-writer.ts';

function setUp(limits = catalogLimits) {
  const db = new DatabaseSync(':memory:');
  const catalog = openCatalog(db, limits);
  const log = createLogWriter();
  catalog.apply([log.open()]);
  const run = (command: Command, atMs = 1000) => {
    const [applied] = catalog.apply([log.command(command, { atMs })]);
    if (applied === undefined) throw new Error('nothing was applied');
    return decodeResult(applied.result);
  };
  return { db, catalog, log, run };
}

const id = (n: number): string => n.toString(16).padStart(16, '0');
const put = (n = 1): Command => ({
  ...{ type: 'token.put', id: id(n), hash: 'a'.repeat(64), grant: 'g.r.t', expiresAtMs: 5000 },
});
const use = (peer: string, hash = 'a', n = 1): Command => ({
  ...{ type: 'token.use', id: id(n), hash: hash.repeat(64), peer },
});
const revoke = (peer: string, floor: number): Command => ({
  ...{ type: 'certificate.revoke', peer, name: 'w', floor, reason: '' },
});

test('a token counts once, and for the same key it is the same use, also later', () => {
  const { run, db, catalog } = setUp();
  expect(run(put())).toMatchObject({ ok: true });
  expect(run(put())).toMatchObject({ ok: false, code: 'conflict' });
  expect(run(use('p1'))).toMatchObject({ ok: true, value: { grant: 'g.r.t' } });
  expect(run(use('p2'))).toMatchObject({ ok: false, code: 'token-used' });
  expect(run(use('p1'), 9000)).toMatchObject({ ok: true });
  expect(ask(db, 'tokens.list')).toMatchObject({ tokens: [{ id: id(1), usedBy: 'p1' }] });
  expect(catalog.digest()).toBe(catalog.recomputedDigest());
});

test('an unknown one, another secret, and one whose time is over', () => {
  const { run } = setUp();
  run(put());
  expect(run(use('p1', 'b'))).toMatchObject({ ok: false, code: 'token-wrong' });
  expect(run(use('p1', 'a', 2))).toMatchObject({ ok: false, code: 'token-wrong' });
  expect(run(use('p1'), 5001)).toMatchObject({ ok: false, code: 'token-expired' });
  expect(run(use('p1'), 5000)).toMatchObject({ ok: true });
});

test('the oldest token makes room; a revocation never does', () => {
  const { run, db } = setUp({ ...catalogLimits, tokensMax: 2, revocationsMax: 1 });
  for (const n of [1, 2, 3]) run(put(n));
  expect(run(use('p', 'a', 1))).toMatchObject({ ok: false, code: 'token-wrong' });
  expect(run(use('p', 'a', 3))).toMatchObject({ ok: true });
  expect(run(revoke('p1', 2))).toMatchObject({ ok: true });
  expect(run(revoke('p2', 2))).toMatchObject({ ok: false, code: 'overloaded' });
  expect(run(revoke('p1', 5))).toMatchObject({ ok: true });
  expect(run(revoke('p1', 3))).toMatchObject({ ok: true });
  expect(ask(db, 'revocations.list')).toMatchObject({ revocations: [{ peer: 'p1', floor: 5 }] });
});

test('generations rise in the whole cluster; who leaves keeps none of its rights', () => {
  const { run, db, catalog } = setUp({ ...catalogLimits, certificatesMax: 2 });
  const certify = (peer: string, generation: number): Command => ({
    ...{ type: 'certificate.put', peer, generation, certificate: `c.${generation}` },
  });
  expect(run(certify('p1', 2))).toMatchObject({ ok: true, version: 2 });
  expect(run(certify('p2', 2))).toMatchObject({ ok: false, code: 'conflict', version: 2 });
  expect(run(certify('p1', 5))).toMatchObject({ ok: true });
  expect(ask(db, 'certificates.list')).toEqual({
    certificates: [{ peer: 'p1', generation: 5, certificate: 'c.5', atIndex: expect.any(Number) }],
    highest: 5,
  });
  run(certify('p2', 6));
  run(certify('p3', 7));
  // Nobody is a member here: the lowest made room, and the order stays.
  expect(ask(db, 'certificates.list')).toMatchObject({ highest: 7 });
  expect(run(certify('p1', 7))).toMatchObject({ ok: false, version: 7 });
  expect(catalog.digest()).toBe(catalog.recomputedDigest());
});

test('the certificate of a member goes with it', () => {
  const { db, catalog, log } = setUp();
  const member = (peerId: string) => ({
    ...{ peerId, name: peerId, role: 'worker' as const, rank: 2000, zone: '' },
    ...{ votes: true, leads: true },
  });
  const both = [member('p1'), member('p2')];
  catalog.apply([log.config({ members: both, voters: ['p1'], outgoing: null })]);
  const command = { type: 'certificate.put', peer: 'p2', generation: 9, certificate: 'c' } as const;
  catalog.apply([log.command(command)]);
  catalog.apply([log.config({ members: [member('p1')], voters: ['p1'], outgoing: null })]);
  expect(ask(db, 'certificates.list')).toEqual({ certificates: [], highest: 9 });
  expect(catalog.digest()).toBe(catalog.recomputedDigest());
});

test('signed statements keep the order of the log, each once, within their limits', () => {
  const limits = { ...catalogLimits, revocationStatementsMax: 1, authorityStatementsMax: 2 };
  const { run, db, catalog } = setUp(limits);
  const says = (kind: 'succession' | 'retirement', statement: string): Command => ({
    ...{ type: 'authority.put', kind, statement },
  });
  const signed = (peer: string): Command => ({
    ...{
      type: 'certificate.revoke',
      peer,
      name: 'w',
      floor: 9,
      reason: '',
      statement: `r.${peer}`,
    },
  });
  // One without a signature was there before, perhaps from somebody who may not: both are kept.
  run(revoke('p1', 9));
  expect(run(signed('p1'))).toMatchObject({ ok: true });
  expect(run(signed('p1'))).toMatchObject({ ok: true });
  expect(run(signed('p2'))).toMatchObject({ ok: false, code: 'overloaded' });
  const first = run(says('succession', 's.2'));
  expect(run(says('succession', 's.2'))).toMatchObject({ ok: true, version: first.index });
  run(says('retirement', 's.1'));
  expect(run(says('retirement', 's.3'))).toMatchObject({ ok: false, code: 'overloaded' });
  const { statements } = ask(db, 'statements.list') as { statements: Record<string, unknown>[] };
  expect(statements.map(({ kind, statement }) => [kind, statement])).toEqual([
    ['revocation', 'r.p1'],
    ['succession', 's.2'],
    ['retirement', 's.1'],
  ]);
  expect(ask(db, 'revocations.list')).toMatchObject({ revocations: [{ peer: 'p1', floor: 9 }] });
  expect(catalog.digest()).toBe(catalog.recomputedDigest());
});
