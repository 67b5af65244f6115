/** The flock's key comes into a private kubo's repo and goes again; no other key is touched. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { setSwarmKey } from '../../../../src/daemons/kubo/swarm-key.ts';

const flock = `/key/swarm/psk/1.0.0/\n/base16/\n${'ab'.repeat(32)}\n`;
const other = `/key/swarm/psk/1.0.0/\n/base16/\n${'cd'.repeat(32)}\n`;
let folder: string;
const file = (): string => join(folder, 'swarm.key');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-swarm-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('written once, kept, and taken away when it is not wanted any more', () => {
  setSwarmKey(folder, flock, true);
  expect(readFileSync(file(), 'utf8')).toBe(flock);
  setSwarmKey(folder, flock, true);
  expect(readFileSync(file(), 'utf8')).toBe(flock);
  setSwarmKey(folder, flock, false);
  expect(existsSync(file())).toBe(false);
  setSwarmKey(folder, flock, false);
});

test("a person's own key is neither overwritten nor removed", () => {
  writeFileSync(file(), other);
  expect(() => setSwarmKey(folder, flock, true)).toThrow(/holds another key than the flock's/);
  setSwarmKey(folder, flock, false);
  expect(readFileSync(file(), 'utf8')).toBe(other);
});
