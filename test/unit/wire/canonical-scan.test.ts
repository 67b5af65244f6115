/** What is skipped without decoding it is what `cborg` would write again. */
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import { describe, expect, test } from 'vitest';
import { createPrng, type Prng } from '../../../src/base/prng.ts';
import { skipCanonical } from '../../../src/wire/canonical-scan.ts';

const texts = [
  ...['', 'a', 'key', 'a text of some length that is longer than sixty-four characters, so there'],
  ...['é', 'ß\u{1f40f}', '\ud800', 'nul\u0000', 'x'.repeat(23), 'x'.repeat(24), 'x'.repeat(300)],
  ...['\ufeffmarked', 'é'.repeat(63), '\u{1f40f}'.repeat(31), '__proto__', 'constructor'],
];
const numbers = [
  ...[0, -0, 1, -1, 23, 24, -24, -25, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, -(2 ** 32)],
  ...[2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 2 ** 60, 0.5, 1.5, 0.1, -0.1, 1e300, 5e-324, 1 / 3],
  ...[Math.fround(0.1), Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.1e-5],
];

const pick = <T>(prng: Prng, list: readonly T[]): T => list[prng.int(list.length)] as T;

function anyValue(prng: Prng, depth: number): unknown {
  switch (prng.int(depth > 3 ? 6 : 8)) {
    case 0:
      return null;
    case 1:
      return prng.chance(0.5);
    case 2:
      return pick(prng, numbers);
    case 3:
    case 4:
      return pick(prng, texts);
    case 5:
      return prng.chance(0.5) ? Uint8Array.from(texts, (t) => t.length) : prng.int(2 ** 30);
    case 6:
      return Array.from({ length: prng.int(4) }, () => anyValue(prng, depth + 1));
    default: {
      const entries = Array.from({ length: prng.int(depth === 0 ? 40 : 4) }, () => {
        const key = prng.chance(0.3) ? pick(prng, texts) : `k${prng.int(1000)}`;
        return [key, anyValue(prng, depth + 1)] as const;
      });
      return Object.fromEntries(entries);
    }
  }
}

/** The bytes are as `cborg` would write what it reads in them. */
function isStable(bytes: Uint8Array): boolean {
  try {
    return Buffer.from(encodeCbor(decodeCbor(bytes))).equals(bytes);
  } catch {
    return false;
  }
}

describe('skipCanonical', () => {
  test('what it accepts is kept by decoding and encoding; it accepts what is usual', () => {
    const prng = createPrng(11);
    let accepted = 0;
    for (let i = 0; i < 1000; i++) {
      const bytes = Buffer.from(encodeCbor(anyValue(prng, 0)));
      const end = skipCanonical(bytes, 0);
      if (end < 0) continue;
      accepted += 1;
      expect(end).toBe(bytes.length);
      expect(isStable(bytes)).toBe(true);
    }
    expect(accepted).toBeGreaterThan(300);
    const usual = { n: 1, at: -5, text: 'é', ok: true, none: null, share: 0.3333, list: [[], {}] };
    const bytes = Buffer.from(encodeCbor(usual));
    expect(skipCanonical(bytes, 0)).toBe(bytes.length);
  });

  test('bytes that were changed are refused or still stable', () => {
    const prng = createPrng(13);
    let accepted = 0;
    for (let i = 0; i < 4000; i++) {
      const bytes = Buffer.from(encodeCbor(anyValue(prng, 2)));
      if (bytes.length === 0) continue;
      for (let n = prng.int(3); n >= 0; n--) bytes[prng.int(bytes.length)] = prng.int(256);
      const end = skipCanonical(bytes, 0);
      if (end !== bytes.length) continue;
      accepted += 1;
      expect(isStable(bytes)).toBe(true);
    }
    expect(accepted).toBeGreaterThan(100);
  });

  test.each<[string, string]>([
    ['a longer form of a small number', '1801'],
    ['keys out of order', 'a2616201616101'],
    ['a key twice', 'a2616101616102'],
    ['a key that is no text', 'a10102'],
    ['indefinite length', '9f01ff'],
    ['a tag', 'c001'],
    ['a number beyond what is safe', '1b0020000000000000'],
    ['a negative number beyond what is safe', '3b001fffffffffffff'],
    ['a float that is whole', 'fb3ff0000000000000'],
    ['a float that fits a shorter form', 'fb3ff8000000000000'],
    ['text that is no UTF-8', '61ff'],
    ['cut off', '62ff'],
    ['a prototype', `a169${Buffer.from('__proto__').toString('hex')}01`],
    ['nothing', ''],
  ])('%s is not canonical', (_, hex) => {
    expect(skipCanonical(Buffer.from(hex, 'hex'), 0)).toBe(-1);
  });

  test('deep nesting ends', () => {
    expect(skipCanonical(Buffer.alloc(100_000, 0x81), 0)).toBe(-1);
  });
});
