import { expect, test } from 'vitest';
import { assert, InvariantError, present, unreachable } from '../../../src/base/assert.ts';

test('assert throws what it was told, for falsy values only', () => {
  for (const fine of [true, 1, 'a', {}, []]) expect(() => assert(fine, 'x')).not.toThrow();
  for (const broken of [false, 0, '', null, undefined, Number.NaN])
    expect(() => assert(broken, 'the sky holds')).toThrow('invariant broken: the sky holds');
  expect(() => assert(false, 'x')).toThrow(InvariantError);
});

test('present lets zero, the empty text and false through', () => {
  for (const there of [0, '', false, Number.NaN]) expect(present(there, 'x')).toBe(there);
  for (const absent of [null, undefined])
    expect(() => present(absent, 'row 5')).toThrow('missing: row 5');
});

test('unreachable names the value', () => {
  expect(() => unreachable({ type: 'odd' } as never)).toThrow('{"type":"odd"}');
});
