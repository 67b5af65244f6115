/** Which keys count: by the folder, by the log once it has come as far, by what a peer proves. */
import { expect, test } from 'vitest';
import { openAuthorities } from '../../../../src/agent/trust/authorities.ts';
import type { PublicAuthority } from '../../../../src/agent/trust/authority.ts';
import { generateAuthority } from '../../../../src/agent/trust/signatures.ts';
import { signRetirement, signSuccession } from '../../../../src/agent/trust/succession.ts';
import type { LoggedStatement } from '../../../../src/catalog/query-identity.ts';
import { pair as a, clusterId, issuedMs, stranger } from '../papers.ts';

const [b, c] = [await generateAuthority(), await generateAuthority()];
const link = (from: typeof a, to: typeof a) => signSuccession(clusterId, { from, to }, issuedMs);
const log: LoggedStatement[] = [
  { kind: 'succession', statement: await link(a, b), atIndex: 10 },
  {
    kind: 'retirement',
    statement: await signRetirement(clusterId, b, [a.x], issuedMs),
    atIndex: 20,
  },
  { kind: 'succession', statement: await link(b, c), atIndex: 30 },
];
const chain = log.map(({ statement }) => statement);
const folder = (...trusted: string[]): PublicAuthority => ({
  ...{ version: 1, clusterId, trusted, root: a.x },
});

test('the log decides, and the folder is to hold what counts', async () => {
  const keys = await openAuthorities(folder(a.x));
  let changes = 0;
  keys.onChanged(() => {
    changes += 1;
  });
  await keys.follow([]);
  expect([keys.signer(), changes]).toEqual([a.x, 0]);
  for (const [n, accepted] of [
    [1, [a.x, b.x]],
    [2, [b.x]],
    [3, [b.x, c.x]],
  ] as const) {
    await keys.follow(log.slice(0, n));
    expect(keys.accepted()).toEqual(accepted);
    expect(keys.papers().trusted).toEqual(accepted);
    expect(keys.signer()).toBe(accepted.at(-1));
    expect(changes).toBe(n);
  }
  expect(keys.refusal(a.x)).toMatchObject({ code: 'authority-retired' });
  expect([a, b, c, stranger].map(({ x }) => keys.place(x))).toEqual([0, 1, 2, -1]);
  expect(keys.chain()).toEqual(chain);
});

test('a log that is read from its beginning takes nothing from a folder that knows more', async () => {
  const keys = await openAuthorities(folder(b.x, c.x));
  for (const n of [0, 1, 2]) {
    await keys.follow(log.slice(0, n));
    expect([keys.accepted(), keys.signer()]).toEqual([[b.x, c.x], c.x]);
    expect(keys.refusal(a.x)).toMatchObject({ code: 'authority-retired' });
  }
  await keys.follow(log);
  expect(keys.accepted()).toEqual([b.x, c.x]);
});

test('what a peer proves counts until the log brings it, and signs nothing here', async () => {
  const keys = await openAuthorities(folder(a.x));
  let changes = 0;
  keys.onChanged(() => {
    changes += 1;
  });
  await keys.offer([await link(stranger, c), 'x']);
  expect(changes).toBe(0);
  expect(keys.accepted()).toEqual([a.x]);
  await keys.offer(chain);
  expect([keys.accepted(), keys.newest()]).toEqual([[a.x, b.x, c.x], c.x]);
  expect([keys.signer(), keys.papers().trusted]).toEqual([a.x, [a.x]]);
  await keys.follow(log);
  expect([keys.accepted(), keys.signer(), changes]).toEqual([[b.x, c.x], c.x, 2]);
});

test('the log that brings what was proved before changes who signs, and that is told', async () => {
  const keys = await openAuthorities(folder(a.x));
  await keys.offer(chain.slice(0, 1));
  let changes = 0;
  keys.onChanged(() => {
    changes += 1;
  });
  await keys.follow(log.slice(0, 1));
  expect([keys.accepted(), keys.signer(), changes]).toEqual([[a.x, b.x], b.x, 1]);
});

test('a false successor by a stolen key falls with it, and comes too late afterwards', async () => {
  const keys = await openAuthorities(folder(a.x));
  const forged = await link(a, stranger);
  await keys.offer([forged]);
  expect(keys.accepted()).toEqual([a.x, stranger.x]);
  await keys.follow(log);
  expect(keys.accepted()).toEqual([b.x, c.x]);
  expect(keys.refusal(stranger.x)).toMatchObject({ code: 'authority-retired' });
  const fresh = await openAuthorities(folder(b.x));
  await fresh.follow(log);
  await fresh.offer([forged]);
  expect(fresh.place(stranger.x)).toBe(-1);
});
