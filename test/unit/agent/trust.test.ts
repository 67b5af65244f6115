/** Whom a node believes: verified once, judged at every use, refusals counted. */
import { expect, test } from 'vitest';
import { generateAuthority, signStatement } from '../../../src/agent/trust/signatures.ts';
import {
  signRetirement,
  signRevocation,
  signSuccession,
} from '../../../src/agent/trust/succession.ts';
import type { LastRefusal } from '../../../src/agent/trust/trust.ts';
import { certificateLifeMs, clockToleranceMs } from '../../../src/wire/certificate.ts';
import { certify, clusterId, issuedMs, pair, stranger, trustOf } from './papers.ts';

test('nobody is believed before a certificate was shown', async () => {
  const trust = await trustOf('self');
  expect(trust.judge('p')).toMatchObject({ refusal: { code: 'certificate-missing' } });
  await expect(trust.learn('p', null)).rejects.toMatchObject({ code: 'certificate-missing' });
  expect(await trust.learn('p', await certify('p'))).toMatchObject({ name: 'p', role: 'worker' });
  expect(trust.judge('p')).toMatchObject({ certificate: { name: 'p' }, refusal: null });
  expect(trust.judge('self')).toMatchObject({ certificate: { name: 'self' } });
});

test('another key, another authority, another kind of statement, no statement', async () => {
  const trust = await trustOf('self');
  const grant = { v: 1, iss: clusterId, sub: 'p' };
  const wrong = [
    await certify('q'),
    await certify('p', { by: stranger }),
    await signStatement(pair, 'grant', grant),
    `${(await certify('p')).slice(0, -8)}AAAAAAAA`,
    'x',
  ];
  for (const text of wrong)
    await expect(trust.learn('p', text)).rejects.toMatchObject({ code: 'certificate-invalid' });
  expect(trust.judge('p')).toMatchObject({ certificate: null });
});

test('time goes on after a certificate was shown', async () => {
  let wallMs = issuedMs;
  const trust = await trustOf('self', { wallMs: () => wallMs });
  await trust.learn('p', await certify('p'));
  wallMs += certificateLifeMs + clockToleranceMs;
  expect(trust.judge('p').refusal).toBeNull();
  wallMs += 1000;
  expect(trust.judge('p')).toMatchObject({ refusal: { code: 'certificate-expired' } });
  // It may still be renewed.
  expect(await trust.examine('p', await certify('p'))).toMatchObject({ claims: { name: 'p' } });
});

test('a revocation counts at once and for good, a lower generation for nothing', async () => {
  const trust = await trustOf('self');
  const row = { peer: 'p', name: 'p', reason: '', atMs: 0, atIndex: 5 };
  const second = await certify('p', { role: 'leecher', change: { gen: 2 } });
  await trust.learn('p', await certify('p'));
  await trust.follow([], [{ ...row, floor: 2 }]);
  expect(trust.judge('p')).toMatchObject({ refusal: { code: 'certificate-revoked' } });
  expect(await trust.learn('p', second)).toMatchObject({ role: 'leecher' });
  const old = trust.learn('p', await certify('p'));
  await expect(old).rejects.toMatchObject({ code: 'certificate-revoked' });
  expect(trust.judge('p')).toMatchObject({ certificate: { role: 'leecher' } });
  await trust.follow([], [{ ...row, floor: 3 }]);
  await expect(trust.examine('p', second)).rejects.toMatchObject({ code: 'certificate-revoked' });
});

test('an older copy of a certificate does not replace a newer one', async () => {
  const trust = await trustOf('self');
  const newer = { iat: issuedMs / 1000 + 10, zone: 'new' };
  await trust.learn('p', await certify('p', { change: newer }));
  await trust.learn('p', await certify('p'));
  expect(trust.judge('p')).toMatchObject({ certificate: { zone: 'new' } });
});

test('refusals are counted and the last one is kept', async () => {
  const refusals: LastRefusal[] = [];
  const trust = await trustOf('self', { refusals });
  await trust.learn('p', await certify('p'));
  trust.refused('p', 'vote', { code: 'role-not-certified', detail: 'no' });
  expect(trust.refusals()).toMatchObject({ total: 1, last: { name: 'p', what: 'vote' } });
  expect(refusals).toHaveLength(1);
});

test('what the log brought counts when the authority signed it, for its own key, if it is newer', async () => {
  const trust = await trustOf('self');
  await trust.learn('p', await certify('p', { role: 'master' }));
  const second = await certify('p', { role: 'leecher', change: { gen: 2 } });
  const row = { peer: 'p', generation: 2, atIndex: 5 };
  const forged = await certify('p', { role: 'leecher', by: stranger, change: { gen: 2 } });
  const others = await certify('q', { role: 'leecher', change: { gen: 2 } });
  for (const certificate of [forged, others, 'x']) {
    await trust.setIssued([{ ...row, certificate }]);
    expect(trust.judge('p')).toMatchObject({ certificate: { role: 'master' } });
  }
  await trust.setIssued([{ ...row, certificate: second }]);
  expect(trust.judge('p')).toMatchObject({ certificate: { role: 'leecher' } });
  // A renewal goes on from the newest, whatever is shown for it.
  const old = await certify('p', { role: 'master' });
  expect(await trust.examine('p', old)).toMatchObject({
    claims: { role: 'leecher', gen: 2 },
    counts: true,
  });
  expect(trust.issued('self')).toBeNull();
});

const signedRevocation = async (by: typeof pair, sub: string) => ({
  kind: 'revocation' as const,
  statement: await signRevocation(clusterId, by, { sub, floor: 2 ** 31, reason: '' }, issuedMs),
});
const rowOf = (peer: string, atIndex: number) => ({
  ...{ peer, name: peer, floor: 2 ** 31, reason: '', atMs: 0, atIndex },
});

test('a revocation without a signature counts in old logs alone, one by a stranger never', async () => {
  const rows = ['p', 'q', 'r', 's'].map((peer, i) => rowOf(peer, 5 + i));
  const statements = [
    { ...(await signedRevocation(stranger, 'p')), atIndex: 5 },
    { ...(await signedRevocation(pair, 'r')), atIndex: 7 },
  ];
  const verdicts = async (unsignedUntil?: number) => {
    const trust = await trustOf('self', unsignedUntil === undefined ? {} : { unsignedUntil });
    for (const { peer } of rows) await trust.learn(peer, await certify(peer));
    await trust.follow(statements, rows);
    const codes = rows.map(({ peer }) => trust.judge(peer).refusal?.code ?? 'ok');
    return { codes, ignored: trust.ignored() };
  };
  const out = 'certificate-revoked';
  // A log of before: up to the first statement that is signed.
  expect(await verdicts()).toEqual({ codes: [out, out, out, 'ok'], ignored: 2 });
  expect(await verdicts(0)).toEqual({ codes: ['ok', 'ok', out, 'ok'], ignored: 4 });
  expect(await verdicts(6)).toEqual({ codes: [out, out, out, 'ok'], ignored: 2 });
});

test('an authority that was retired proves who somebody is and gives no right', async () => {
  const trust = await trustOf('self');
  const next = await generateAuthority();
  const old = await certify('p', { role: 'master' });
  await trust.learn('p', old);
  const succession = await signSuccession(clusterId, { from: pair, to: next }, issuedMs);
  const retirement = await signRetirement(clusterId, next, [pair.x], issuedMs);
  const log = [
    { kind: 'succession' as const, statement: succession, atIndex: 10 },
    { kind: 'retirement' as const, statement: retirement, atIndex: 20 },
  ];
  await trust.follow(log.slice(0, 1), []);
  expect(trust.judge('p').refusal).toBeNull();
  expect(await trust.learn('q', await certify('q', { by: next }))).toMatchObject({ name: 'q' });
  await trust.follow(log, []);
  expect(trust.judge('p')).toMatchObject({ refusal: { code: 'authority-retired' } });
  await expect(trust.learn('p', old)).rejects.toMatchObject({ code: 'authority-retired' });
  expect(await trust.examine('p', old)).toMatchObject({ counts: false });
  // Its own is no better, and it lets nobody in whom only the old key knows.
  expect(trust.judge('self')).toMatchObject({ refusal: { code: 'authority-retired' } });
  const mine = await certify('self', { by: next });
  expect(await trust.setOwn(mine)).toMatchObject({ by: next.x });

  // A clock that is behind and a generation that is ahead change nothing about which one counts.
  await trust.learn('p', await certify('p', { by: next, change: { iat: 1, zone: 'new' } }));
  const stolen = await certify('p', { role: 'master', change: { gen: 999 } });
  expect(await trust.learn('p', stolen)).toMatchObject({ zone: 'new' });
  // Certified in another role by the old key: before its end it stands, after it doesn't.
  const made = await certify('p', { role: 'leecher', change: { gen: 5 } });
  await trust.setIssued([{ peer: 'p', generation: 5, certificate: made, atIndex: 21 }]);
  expect(trust.judge('p')).toMatchObject({ certificate: { zone: 'new' } });
  await trust.setIssued([{ peer: 'p', generation: 5, certificate: made, atIndex: 19 }]);
  expect(trust.judge('p')).toMatchObject({ refusal: { code: 'authority-retired' } });
});
