/** CBOR by the short way: what it must not get wrong, case by case. */
import { encode as encodeCborg } from 'cborg';
import { describe, expect, test } from 'vitest';
import { decode, encode } from '../../../src/wire/cbor.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('CBOR', () => {
  test.each([
    ['the smallest head', 23, '17'],
    ['one byte', 24, '1818'],
    ['two bytes', 256, '190100'],
    ['four bytes', 65_536, '1a00010000'],
    ['eight bytes', 2 ** 32, '1b0000000100000000'],
    ['a negative number', -500, '3901f3'],
    ['a half float', 1.5, 'f93e00'],
    ['a single float', Math.fround(0.1), 'fa3dcccccd'],
    ['a double', 0.1, 'fb3fb999999999999a'],
    ['bytes', Uint8Array.of(1, 2), '420102'],
    ['keys in order, shorter first', { bb: 1, c: null, aa: true }, 'a36163f6626161f562626201'],
  ])('%s', (_, value, wanted) => {
    expect(hex(encode(value))).toBe(wanted);
    expect(hex(encodeCborg(value))).toBe(wanted);
    expect(decode(encode(value))).toEqual(value);
  });

  test('a large value does not spoil the next one', () => {
    const large = encode({ text: 'x'.repeat(3_000_000) });
    expect(large).toHaveLength(3_000_000 + 11);
    expect(hex(encode([1]))).toBe('8101');
  });

  test('bytes that were read are a copy', () => {
    const frame = encode([Uint8Array.of(7)]);
    const [item] = decode(frame) as [Uint8Array];
    frame.fill(0);
    expect(item).toEqual(Uint8Array.of(7));
  });

  test('nesting below the limit of the short way, at it and above', () => {
    for (const depth of [63, 64, 65, 200]) {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = [value];
      expect(hex(encode(value))).toBe(hex(encodeCborg(value)));
      expect(decode(encode(value))).toEqual(value);
    }
  });

  test('what is refused', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => encode(circle)).toThrow(/circular/);
    expect(() => encode(() => 1)).toThrow(/unsupported/);
    expect(() => decode(Uint8Array.of(0x82, 1))).toThrow();
    expect(() => decode(Uint8Array.of(1, 1))).toThrow(/too many/);
    expect(() => decode(new Uint8Array(0))).toThrow();
  });
});
