/** When a node takes another certificate before its time is over, and from whom. */
import { expect, test } from 'vitest';
import { createRenewal } from '../../../../src/agent/trust/renewal.ts';
import { generateAuthority } from '../../../../src/agent/trust/signatures.ts';
import { signRetirement, signSuccession } from '../../../../src/agent/trust/succession.ts';
import type { Trust } from '../../../../src/agent/trust/trust.ts';
import { AgentError } from '../../../../src/base/error.ts';
import { certificateLifeMs } from '../../../../src/wire/certificate.ts';
import { type AuthorityPair, encodeEnrolment } from '../../../../src/wire/enrolment.ts';
import { certify, clusterId, issuedMs, pair, trustOf } from '../papers.ts';

const next = await generateAuthority();
const chain = [await signSuccession(clusterId, { from: pair, to: next }, issuedMs)];

/** Looks once; what it did, in order. */
async function look(trust: Trust, secret: AuthorityPair | null, wallMs = issuedMs) {
  const done: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const renewal = createRenewal({
    trust,
    vault: {
      secret: () => secret,
      settle: async () => {
        done.push('settled');
      },
      hold: async () => undefined,
      answer: () => new Uint8Array(0),
    },
    mesh: {
      request: async (to) => {
        done.push(`asked ${to}`);
        if (to === 'm1') throw new AgentError('unavailable', 'away');
        const exp = (wallMs + certificateLifeMs) / 1000;
        const certificate = await certify('self', { by: next, change: { exp } });
        return encodeEnrolment({ certificate, chain });
      },
    },
    clock: { now: () => ({ monoMs: 5, skippedMs: 0 }), wallMs: () => wallMs },
    masters: () => ['m1', 'm2'],
    write: async (text) => {
      done.push(text === trust.own().text ? 'written' : 'another');
    },
    onRenewed: resolve,
    onFailure: (_text, error) => {
      done.push(String(error));
      resolve();
    },
  });
  renewal.start();
  // A look that renews nothing ends with the settling.
  await Promise.race([promise, renewal.stop()]);
  await renewal.stop();
  return done;
}

test('nothing is due while the authority is the newest', async () => {
  expect(await look(await trustOf('self'), null)).toEqual(['settled']);
});

test('a successor that a peer proved is reason to ask for its certificate', async () => {
  const trust = await trustOf('self');
  await trust.authorities.offer(chain);
  expect(await look(trust, null)).toEqual(['asked m1', 'asked m2', 'written', 'settled']);
  expect(trust.own().by).toBe(next.x);
});

test('the answer brings the chain that makes it understood', async () => {
  const wallMs = issuedMs + 80 * 86_400_000;
  const trust = await trustOf('self', { wallMs: () => wallMs });
  expect(trust.authorities.newest()).toBe(pair.x);
  expect(await look(trust, null, wallMs)).toEqual(['asked m1', 'asked m2', 'written', 'settled']);
  expect(trust.own().by).toBe(next.x);
});

test('whose authority was retired asks before anything else', async () => {
  const trust = await trustOf('self');
  const gone = await signRetirement(clusterId, next, [pair.x], issuedMs);
  await trust.follow(
    [
      { kind: 'succession', statement: chain[0] ?? '', atIndex: 1 },
      { kind: 'retirement', statement: gone, atIndex: 2 },
    ],
    [],
  );
  expect(await look(trust, null)).toEqual(['asked m1', 'asked m2', 'written', 'settled']);
  expect(trust.judge('self').refusal).toBeNull();
});

test('a master that has the newest secret signs its own', async () => {
  const trust = await trustOf('self', { role: 'master' });
  await trust.authorities.offer(chain);
  expect(await look(trust, next)).toEqual(['settled', 'written']);
  expect(trust.own()).toMatchObject({ by: next.x, member: { role: 'master' } });
});

test('certified in another role by an authority that is retired by now: it asks', async () => {
  const trust = await trustOf('self');
  const gone = await signRetirement(clusterId, next, [pair.x], issuedMs);
  await trust.follow(
    [
      { kind: 'succession', statement: chain[0] ?? '', atIndex: 1 },
      { kind: 'retirement', statement: gone, atIndex: 9 },
    ],
    [],
  );
  await trust.setOwn(await certify('self', { by: next }));
  expect(await look(trust, null)).toEqual(['settled']);
  const made = await certify('self', { role: 'leecher', change: { gen: 7 } });
  await trust.setIssued([{ peer: 'self', generation: 7, certificate: made, atIndex: 5 }]);
  expect((await look(trust, null)).slice(0, 2)).toEqual(['asked m1', 'asked m2']);
});
