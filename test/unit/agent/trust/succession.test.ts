/** One authority after another: chains, forged links, loops, wrong kinds, and what a log decides. */
import { expect, test } from 'vitest';
import { generateAuthority, signStatement } from '../../../../src/agent/trust/signatures.ts';
import {
  createFollower,
  followOffer,
  readSuccession,
  signRetirement,
  signRevocation,
  signSuccession,
} from '../../../../src/agent/trust/succession.ts';
import type { LoggedStatement } from '../../../../src/catalog/query-identity.ts';
import type { AuthorityPair } from '../../../../src/wire/enrolment.ts';
import { pair as a, clusterId, issuedMs, stranger } from '../papers.ts';

const [b, c, d] = [await generateAuthority(), await generateAuthority(), await generateAuthority()];

const link = (from: AuthorityPair, to: AuthorityPair, of = clusterId): Promise<string> =>
  signSuccession(of, { from, to }, issuedMs);
const ends = (by: AuthorityPair, ...keys: AuthorityPair[]): Promise<string> =>
  signRetirement(
    clusterId,
    by,
    keys.map(({ x }) => x),
    issuedMs,
  );
const revoke = (by: AuthorityPair, sub: string, of = clusterId): Promise<string> =>
  signRevocation(of, by, { sub, floor: 9, reason: '' }, issuedMs);

/** In the order of the log, one entry each, from entry 10 on. */
type Text = readonly [LoggedStatement['kind'], Promise<string> | string];
async function logOf(...texts: readonly Text[]): Promise<LoggedStatement[]> {
  return Promise.all(
    texts.map(async ([kind, text], i) => ({ kind, statement: await text, atIndex: 10 + i })),
  );
}
const follow = async (...texts: readonly Text[]) =>
  createFollower(clusterId, a.x).follow(await logOf(...texts));

test.each([1, 2, 3])('a chain of %i is followed, by the log and by who is shown it', async (n) => {
  const links = [await link(a, b), await link(b, c), await link(c, d)].slice(0, n);
  const newest = [b, c, d][n - 1]?.x;
  const followed = await follow(...links.map((text) => ['succession', text] as const));
  expect(followed.keys.at(-1)?.x).toBe(newest);
  expect(followed).toMatchObject({ chain: links, ignored: 0, signedSince: 10 });
  const offered = await followOffer(clusterId, [a.x], links);
  expect(offered.links.at(-1)?.to).toBe(newest);
  // Who knows one in the middle takes what comes after it.
  expect((await followOffer(clusterId, [c.x], links)).links).toHaveLength(n === 3 ? 1 : 0);
});

test('a forged link, a loop, a second successor, another cluster, no proof: nothing of it counts', async () => {
  const stamp = { v: 1, iss: clusterId, iat: 0 };
  const proofOfOther = await signStatement(c, 'possession', { ...stamp, from: b.x, to: c.x });
  const bodies = { ...stamp, from: a.x, to: c.x };
  const wrong = [
    await link(stranger, c),
    await signStatement(stranger, 'succession', { ...bodies, proof: proofOfOther }),
    await signStatement(a, 'succession', { ...bodies, proof: proofOfOther }),
    await signStatement(a, 'succession', { ...bodies, proof: await link(a, c) }),
    await signStatement(a, 'certificate', { ...bodies, proof: proofOfOther }),
    await link(a, c, 'd'.repeat(32)),
    'x',
  ];
  for (const text of wrong) {
    await expect(readSuccession(clusterId, [a.x], text)).rejects.toMatchObject({
      code: 'certificate-invalid',
    });
    expect((await follow(['succession', text])).keys).toHaveLength(1);
    expect((await followOffer(clusterId, [a.x], [text])).links).toEqual([]);
  }
  const loop = await follow(['succession', link(a, b)], ['succession', link(b, a)]);
  expect(loop.keys.map(({ x }) => x)).toEqual([a.x, b.x]);
  expect(loop.ignored).toBe(1);
  const fork = await follow(['succession', link(a, b)], ['succession', link(a, c)]);
  expect(fork.keys.map(({ x }) => x)).toEqual([a.x, b.x]);
  expect(fork.ignored).toBe(1);
});

test('the newest retires former ones; a retired one has no successor and ends nobody', async () => {
  const followed = await follow(
    ['succession', link(a, b)],
    ['retirement', ends(a, b)],
    ['retirement', ends(b, a)],
    ['succession', link(a, stranger)],
    ['retirement', ends(b, b)],
    ['succession', link(b, c)],
  );
  expect(followed.keys.map(({ endIndex }) => endIndex)).toEqual([12, null, null]);
  expect(followed).toMatchObject({ ignored: 3, signedSince: 10 });
  expect(followed.chain).toHaveLength(3);
  const { links, retired } = await followOffer(clusterId, [a.x], followed.chain);
  expect(links.map(({ to }) => to)).toEqual([b.x, c.x]);
  expect([...retired]).toEqual([a.x]);
});

test('a revocation counts when its signer counted at that place of the log', async () => {
  const followed = await follow(
    ['revocation', revoke(a, 'p')],
    ['revocation', revoke(stranger, 'q')],
    ['succession', link(a, b)],
    ['revocation', revoke(a, 'r')],
    ['retirement', ends(b, a)],
    ['revocation', revoke(a, 's')],
    ['revocation', revoke(b, 't')],
    // Another kind under this name, and one of another cluster, which a restored log still holds.
    ['revocation', link(b, c)],
    ['revocation', revoke(b, 'u', 'd'.repeat(32))],
  );
  expect([...followed.floors.keys()]).toEqual(['p', 'r', 't']);
  expect(followed.ignored).toBe(3);
});

test('what was gone through is not counted again, and another log begins anew', async () => {
  const follower = createFollower(clusterId, a.x);
  const log = await logOf(['succession', link(a, b)], ['revocation', revoke(stranger, 'q')]);
  await follower.follow(log.slice(0, 1));
  await follower.follow(log);
  expect(await follower.follow(log)).toMatchObject({ ignored: 1 });
  const other = await logOf(['succession', link(a, c)]);
  expect((await follower.follow(other)).keys.map(({ x }) => x)).toEqual([a.x, c.x]);
});
