/** The short way through CBOR against `cborg`: the same bytes, the same values, the same refusals. */
import { isDeepStrictEqual } from 'node:util';
import { decode as decodeCborg, encode as encodeCborg } from 'cborg';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode } from '../../src/wire/cbor.ts';

const numbers = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.float(),
  fc.integer({ min: -2048, max: 2048 }).map((n) => n / 16),
  fc.constantFrom(0, -0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
  fc.constantFrom(0.5, -1.5, 65_504, 2 ** -14, 2 ** -20, 2 ** -24, 1e-30, 2 ** 60, 1 / 3),
);
const texts = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 20, maxLength: 300 }),
  fc.constantFrom('', 'type', '\ufeffmarked', '\ud800'),
);
const names = fc.oneof(texts, fc.constantFrom('term', 'cluster', 'v', '__proto__', 'constructor'));
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    numbers,
    texts,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(names, tie('value'), { maxKeys: 30 }),
  ),
})).value;

/** What came of it: a value, or that it was refused. */
function attempt<T>(run: () => T): { value: T } | 'refused' {
  try {
    return { value: run() };
  } catch {
    return 'refused';
  }
}

function same(bytes: Uint8Array): void {
  const [ours, theirs] = [attempt(() => decode(bytes)), attempt(() => decodeCborg(bytes))];
  if (!isDeepStrictEqual(ours, theirs)) expect(ours).toEqual(theirs);
}

describe('CBOR', () => {
  test('values are written as cborg writes them, and read as it reads them', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value);
        expect(Buffer.compare(bytes, encodeCborg(value))).toBe(0);
        same(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test('damaged bytes are read or refused as cborg does it', () => {
    const damage = fc.tuple(values, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat());
    fc.assert(
      fc.property(damage, ([value, at, byte, cut]) => {
        const bytes = encode(value);
        const changed = Uint8Array.from(bytes);
        changed[at % changed.length] = byte;
        same(changed);
        same(bytes.subarray(0, cut % (bytes.length + 1)));
        same(Buffer.concat([bytes, Uint8Array.of(byte)]));
      }),
      { numRuns: 1000 },
    );
  });

  test('any bytes are read or refused as cborg does it', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), same), { numRuns: 2000 });
  });
});
