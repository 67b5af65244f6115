/** Trouble is a word for what is wrong, the disk before the engine, and null when nothing is. */
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { createTrouble, diskFreeBytesMin } from '../../../../src/agent/operations/trouble.ts';

test.each([
  [diskFreeBytesMin, false, null],
  [diskFreeBytesMin, true, 'content-gone'],
  [diskFreeBytesMin - 1, false, 'disk-full'],
  [0, true, 'disk-full'],
])('%d bytes free, content gone: %s', async (free, gone, word) => {
  const trouble = createTrouble({
    folder: '/nowhere',
    freeBytes: async () => free,
    contentGone: () => gone,
  });
  expect(await trouble()).toBe(word);
});

test('the disk of the folder is asked', async () => {
  const real = createTrouble({ folder: tmpdir(), contentGone: () => false });
  expect(['disk-full', null]).toContain(await real());
  const none = createTrouble({ folder: '/does/not/exist', contentGone: () => false });
  await expect(none()).rejects.toThrow(/ENOENT/);
});
