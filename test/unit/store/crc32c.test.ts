import { expect, test } from 'vitest';
import { crc32c } from '../../../src/store/crc32c.ts';

test('the published check values (RFC 3720 B.4)', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
});

test('a seed continues, at every cut of every length up to three steps', () => {
  const bytes = Buffer.from(Array.from({ length: 25 }, (_, i) => (i * 37) & 0xff));
  for (let length = 0; length <= bytes.length; length++) {
    const whole = crc32c(bytes.subarray(0, length));
    for (let cut = 0; cut <= length; cut++) {
      const first = crc32c(bytes.subarray(0, cut));
      expect(crc32c(bytes.subarray(cut, length), first)).toBe(whole);
    }
  }
});
