/** The authority's secret on a node: by role, by the log, from another master, over a restart. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readPapers, writePapers } from '../../../../src/agent/trust/authority.ts';
import { generateAuthority } from '../../../../src/agent/trust/signatures.ts';
import { signSuccession } from '../../../../src/agent/trust/succession.ts';
import { createVault, mustBePair } from '../../../../src/agent/trust/vault.ts';
import { AgentError } from '../../../../src/base/error.ts';
import { type AuthorityPair, encodeEnrolment } from '../../../../src/wire/enrolment.ts';
import type { Role } from '../../../../src/wire/member.ts';
import { certify, clusterId, issuedMs, pair, stranger, trustOf } from '../papers.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vault-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const next = await generateAuthority();
const logged = async (to: AuthorityPair) => [
  {
    kind: 'succession' as const,
    statement: await signSuccession(clusterId, { from: pair, to }, issuedMs),
    atIndex: 10,
  },
];

async function setUp(role: Role, secret: AuthorityPair | null) {
  const trust = await trustOf('self', { role });
  const authority = { version: 1 as const, clusterId, trusted: [pair.x] };
  const certificate = await certify('self', { role });
  await writePapers(dir, { authority, certificate, secret });
  const answers = new Map<string, AuthorityPair>();
  const open = async () => {
    const papers = await readPapers(dir);
    if (papers === null) throw new Error('no papers');
    return createVault({
      ...{ dir, trust, secret: papers.secret, next: papers.next },
      mesh: {
        request: async (to) => {
          const answer = answers.get(to);
          if (answer === undefined) throw new AgentError('unavailable', `${to} is away`);
          return encodeEnrolment(answer);
        },
      },
      masters: () => ['m1', 'm2', 'm3'],
      event: () => undefined,
    });
  };
  return { trust, answers, open };
}

test('a master asks until one gives what signs; a key of somebody else is not taken', async () => {
  const { answers, open } = await setUp('master', null);
  const vault = await open();
  await expect(vault.settle()).rejects.toMatchObject({ code: 'unavailable' });
  answers.set('m1', stranger).set('m2', { ...pair, d: stranger.d });
  await expect(vault.settle()).rejects.toMatchObject({ code: 'unavailable' });
  expect([vault.secret(), (await readPapers(dir))?.secret]).toEqual([null, null]);
  expect(() => vault.answer()).toThrow('not the secret');
  answers.set('m3', pair);
  await vault.settle();
  expect([vault.secret(), (await readPapers(dir))?.secret]).toEqual([pair, pair]);
  expect(vault.answer()).toEqual(encodeEnrolment(pair));
});

test('a successor waits for the log, over a restart too, and then signs alone', async () => {
  const { trust, open } = await setUp('master', pair);
  await (await open()).hold(stranger);
  await (await open()).hold(next);
  const vault = await open();
  expect(vault.secret()).toEqual(pair);
  await trust.follow(await logged(next), []);
  // At once, before it is settled on the disk.
  expect(vault.secret()).toEqual(next);
  await vault.settle();
  expect(await readPapers(dir)).toMatchObject({ secret: next, next: [] });
  expect((await open()).secret()).toEqual(next);
});

test('without the newest secret a master signs nothing, and a newer one than the log is kept', async () => {
  const { trust, answers, open } = await setUp('master', pair);
  const vault = await open();
  await trust.follow(await logged(next), []);
  expect(vault.secret()).toBeNull();
  answers.set('m1', pair).set('m2', next);
  await vault.settle();
  expect(vault.secret()).toEqual(next);
  // Another log, read up to before that key: it is not given up for an older one.
  await trust.follow([], []);
  const ahead = await setUp('master', next);
  ahead.answers.set('m1', pair);
  const kept = await ahead.open();
  await kept.settle();
  expect([kept.secret(), (await readPapers(dir))?.secret]).toEqual([null, next]);
});

test('whoever is no master has none, of a successor neither', async () => {
  const { open } = await setUp('worker', pair);
  await (await open()).hold(next);
  const vault = await open();
  await vault.settle();
  expect(vault.secret()).toBeNull();
  expect(await readPapers(dir)).toMatchObject({ secret: null, next: [] });
  expect(existsSync(join(dir, 'authority.next.key'))).toBe(false);
});

test('two parts that are not one key are refused', async () => {
  await mustBePair(pair, clusterId);
  const mixed = mustBePair({ ...pair, d: stranger.d }, clusterId);
  await expect(mixed).rejects.toMatchObject({ code: 'certificate-invalid' });
});
