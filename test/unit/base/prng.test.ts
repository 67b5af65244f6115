import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';

const draws = (seed: number, count: number): number[] => {
  const prng = createPrng(seed);
  return Array.from({ length: count }, () => prng.float());
};

describe('one seed decides everything', () => {
  test('the same seed repeats, another differs', () => {
    expect(draws(7, 100)).toEqual(draws(7, 100));
    const seeds = [0, 1, 2, 3, 2 ** 16, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 5];
    expect(new Set(seeds.map((seed) => draws(seed, 4).join())).size).toBe(seeds.length);
  });

  test('known values: a change here changes every recorded seed', () => {
    const prng = createPrng(1);
    expect([prng.int(1000), prng.int(1000), prng.int(1000), prng.hex(8)]).toMatchInlineSnapshot(`
      [
        91,
        506,
        888,
        "7cbcc17a6f2c548e",
      ]
    `);
  });

  test('drawing from a fork leaves its parent alone', () => {
    const [one, two] = [createPrng(5), createPrng(5)];
    const [left, right] = [one.fork(), two.fork()];
    for (let i = 0; i < 50; i++) left.float();
    expect(one.float()).toBe(two.float());
    expect(right.float()).not.toBe(one.float());
  });
});

describe('distribution', () => {
  test('bytes of the output are uniform (chi-square, 255 degrees of freedom)', () => {
    for (const seed of [1, 2, 3]) {
      const prng = createPrng(seed);
      const counts = new Array<number>(256).fill(0);
      const total = 256_000;
      for (let i = 0; i < total; i++) {
        const byte = prng.int(256);
        counts[byte] = (counts[byte] ?? 0) + 1;
      }
      const mean = total / 256;
      const chi = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
      // Mean 255, standard deviation 22.6: five of them either way.
      expect(Math.abs(chi - 255)).toBeLessThan(113);
    }
  });

  test('float has the mean and variance of a uniform, successive draws do not correlate', () => {
    for (const seed of [1, 99, 12345]) {
      const list = draws(seed, 100_000);
      const mean = list.reduce((sum, x) => sum + x, 0) / list.length;
      const variance = list.reduce((sum, x) => sum + (x - mean) ** 2, 0) / list.length;
      const lag = list.slice(1).reduce((sum, x, i) => sum + (x - 0.5) * ((list[i] ?? 0) - 0.5), 0);
      expect(Math.abs(mean - 0.5)).toBeLessThan(0.005);
      expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
      expect(Math.abs(lag / list.length / variance)).toBeLessThan(0.02);
      expect(list.every((x) => x >= 0 && x < 1)).toBe(true);
    }
  });

  test('first draws of neighbouring seeds do not correlate', () => {
    const firsts = Array.from({ length: 20_000 }, (_, seed) => createPrng(seed).float());
    const mean = firsts.reduce((sum, x) => sum + x, 0) / firsts.length;
    const lag = firsts
      .slice(1)
      .reduce((sum, x, i) => sum + (x - 0.5) * ((firsts[i] ?? 0) - 0.5), 0);
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
    expect(Math.abs((lag / firsts.length) * 12)).toBeLessThan(0.03);
  });
});

describe('the rest of its surface', () => {
  test('int and range stay inside, chance keeps its odds', () => {
    const prng = createPrng(4);
    let heads = 0;
    for (let i = 0; i < 20_000; i++) {
      expect(prng.int(3)).toBeLessThan(3);
      expect(prng.int(1)).toBe(0);
      const between = prng.range(-5, 5);
      expect(between >= -5 && between < 5).toBe(true);
      if (prng.chance(0.25)) heads++;
    }
    expect(Math.abs(heads - 5000)).toBeLessThan(300);
    expect(prng.chance(0)).toBe(false);
    expect(prng.chance(1)).toBe(true);
  });

  test('shuffle is a fair permutation of a copy', () => {
    const prng = createPrng(9);
    const list = [1, 2, 3] as const;
    const seen = new Map<string, number>();
    for (let i = 0; i < 12_000; i++) {
      const order = prng.shuffle(list).join('');
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(list).toEqual([1, 2, 3]);
    expect(seen.size).toBe(6);
    for (const count of seen.values()) expect(Math.abs(count - 2000)).toBeLessThan(250);
    expect(prng.shuffle([])).toEqual([]);
  });

  test('pick reaches every element, hex has the length asked for', () => {
    const prng = createPrng(3);
    expect(new Set(Array.from({ length: 100 }, () => prng.pick(['a', 'b', 'c']))).size).toBe(3);
    expect(prng.hex(16)).toMatch(/^[0-9a-f]{32}$/);
    expect(prng.hex(3)).toMatch(/^[0-9a-f]{6}$/);
    expect(prng.hex(0)).toBe('');
  });
});
