/** Whom a node believes: verified once, judged at every use, refusals counted. */
import { expect, test } from 'vitest';
import { signStatement } from '../../../src/agent/trust/signatures.ts';
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
