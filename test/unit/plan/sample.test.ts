import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { createSample } from '../../../src/plan/sample.ts';

test('keeps everything while it fits, then a fair share of all', () => {
  const hits = new Array<number>(20).fill(0);
  for (let seed = 0; seed < 4000; seed++) {
    const sample = createSample<number>(5, createPrng(seed));
    for (let item = 0; item < 20; item++) {
      sample.offer(item);
      expect(sample.items().length).toBe(Math.min(5, item + 1));
    }
    for (const item of sample.items()) hits[item] = (hits[item] ?? 0) + 1;
  }
  for (const count of hits) expect(Math.abs(count - 1000)).toBeLessThan(130);
});
