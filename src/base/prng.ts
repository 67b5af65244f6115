/**
 * Seeded random numbers. Pure rooms take a Prng as an argument and never reach for Math.random, so
 * that one seed decides a whole simulation. xoshiro128** (Blackman and Vigna, 2018), seeded by
 * splitmix32; not for secrets.
 */
export interface Prng {
  /** Uniform in [0, 1). */
  float(): number;
  /** Uniform integer in [0, below); `below` is at least 1. */
  int(below: number): number;
  /** Uniform in [min, max). */
  range(min: number, max: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** One element; the list must not be empty. */
  pick<T>(from: readonly T[]): T;
  /** A new list in random order. */
  shuffle<T>(list: readonly T[]): T[];
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
  /** An independent generator; drawing from one never changes the other. */
  fork(): Prng;
}

function splitmix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

const rotateLeft = (x: number, k: number): number => ((x << k) | (x >>> (32 - k))) >>> 0;

/** A generator whose whole future follows from `seed` (a safe integer, folded to 32 bits). */
export function createPrng(seed: number): Prng {
  const mix = splitmix32((seed % 4294967296) ^ Math.floor(seed / 4294967296));
  let [a, b, c, d] = [mix(), mix(), mix(), mix()];
  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5) >>> 0, 7), 9) >>> 0;
    const t = (b << 9) >>> 0;
    c = (c ^ a) >>> 0;
    d = (d ^ b) >>> 0;
    b = (b ^ c) >>> 0;
    a = (a ^ d) >>> 0;
    c = (c ^ t) >>> 0;
    d = rotateLeft(d, 11);
    return result;
  };
  const prng: Prng = {
    float: () => next() / 4294967296,
    int: (below) => Math.floor((next() / 4294967296) * below),
    range: (min, max) => min + (next() / 4294967296) * (max - min),
    chance: (probability) => next() / 4294967296 < probability,
    pick: <T>(from: readonly T[]): T => from[Math.floor((next() / 4294967296) * from.length)] as T,
    shuffle: <T>(list: readonly T[]): T[] => {
      const out = [...list];
      for (let i = out.length - 1; i > 0; i--) {
        const j = Math.floor((next() / 4294967296) * (i + 1));
        [out[i], out[j]] = [out[j] as T, out[i] as T];
      }
      return out;
    },
    hex: (bytes) => {
      let text = '';
      while (text.length < bytes * 2) text += next().toString(16).padStart(8, '0');
      return text.slice(0, bytes * 2);
    },
    fork: () => createPrng(next() * 2097152 + (next() >>> 11)),
  };
  return prng;
}
