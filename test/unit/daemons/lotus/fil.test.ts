import fc from 'fast-check';
import { expect, test } from 'vitest';
import { filText } from '../../../../src/daemons/lotus/fil.ts';

test.each([
  ['0', '0 FIL'],
  ['1', '0.000000000000000001 FIL'],
  ['1500000000000000000', '1.5 FIL'],
  ['1000000000000000000', '1 FIL'],
  ['123456789012345678901234567890', '123456789012.34567890123456789 FIL'],
  ['-2500000000000000000', '-2.5 FIL'],
])('%s attoFIL is %s', (atto, text) => {
  expect(filText(atto)).toBe(text);
});

test.each(['', '1.5', '1e18', '0x10', ' 1', 'FIL'])('%j is no balance', (text) => {
  expect(filText(text)).toBeNull();
});

test('no digit is lost', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 40n }), (atto) => {
      const [whole = '', rest = ''] = (filText(String(atto)) ?? '').replace(' FIL', '').split('.');
      expect(BigInt(whole) * 10n ** 18n + BigInt(rest.padEnd(18, '0'))).toBe(atto);
    }),
  );
});
