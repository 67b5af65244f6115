/** Two holders of records find out what differs from hashes alone. */
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { bucketOf, differing, summarize } from '../../../src/mesh/record-buckets.ts';
import {
  type Digest,
  decodeSummary,
  encodeSummary,
  summaryBuckets,
} from '../../../src/wire/gossip.ts';

const digestOf = (nodes: number): Digest =>
  Array.from({ length: nodes }, (_, i) => [
    ['members', `peer-${i}`, 1, 1] as Digest[number],
    ['health', `peer-${i}`, 1, 7] as Digest[number],
  ]).flat();

test('the same records in any order differ nowhere, and nobody has nothing in common', () => {
  const digest = digestOf(100);
  const shuffled = createPrng(1).shuffle(digest);
  expect(differing(summarize(digest), summarize(shuffled))).toEqual([]);
  expect(differing(summarize([]), summarize([]))).toEqual([]);
  expect(differing(summarize(digest), summarize([])).length).toBe(summaryBuckets);
});

test('exactly the buckets of what is newer, older, missing or more differ', () => {
  const prng = createPrng(2);
  for (let round = 0; round < 200; round++) {
    const mine = digestOf(50);
    const theirs = mine.map((line) => [...line] as Digest[number]);
    const changed = new Set<number>();
    for (let i = prng.int(5); i > 0; i--) {
      const at = prng.int(theirs.length);
      const line = theirs[at];
      if (line === undefined) continue;
      changed.add(bucketOf(line[0], line[1]));
      if (prng.chance(0.5)) line[3] += 1 + prng.int(3);
      else theirs.splice(at, 1);
    }
    expect(differing(summarize(mine), summarize(theirs))).toEqual(
      [...changed].sort((a, b) => a - b),
    );
  }
});

test('a summary travels whole or is refused', () => {
  const hashes = summarize(digestOf(3));
  expect(Buffer.from(decodeSummary(encodeSummary(hashes)))).toEqual(hashes);
  expect(() => decodeSummary(encodeSummary(hashes.subarray(1)))).toThrow(/512 bytes/);
});
