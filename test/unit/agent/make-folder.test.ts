/** Folders that a person named: made whole, there already, or refused at once with a reason. */
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from '../../../src/agent/make-folder.ts';

const place = mkdtempSync(join(tmpdir(), 'bellwether-folder-'));

test('it and those above it, with the mode; twice is no mistake', () => {
  const path = join(place, 'a', 'b');
  for (let i = 0; i < 2; i++) makeFolder(path, 0o700);
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

test('a file in the way is told', () => {
  const file = join(place, 'file');
  writeFileSync(file, '');
  expect(() => makeFolder(file)).toThrow(/EEXIST/);
  expect(() => makeFolder(join(file, 'below'))).toThrow(/ENOTDIR|EEXIST/);
});

test.runIf(process.platform === 'linux')('a place that takes no folders comes back', () => {
  expect(() => makeFolder('/proc/bellwether/data')).toThrow(/ENOENT/);
});
