import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identityFile, loadIdentity, nextIncarnation } from '../../../src/mesh/identity.ts';
import { loadNetworkKey } from '../../../src/mesh/network-key.ts';
import { parseNetworkKey } from '../../../src/wire/network-key.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-identity-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('a key is made once, readable by its owner only, and found again', async () => {
  const first = await loadIdentity(dir, { create: true });
  expect(first.created).toBe(true);
  expect(first.peerId).toMatch(/^12D3KooW/);
  expect((await stat(join(dir, identityFile))).mode & 0o777).toBe(0o600);
  const again = await loadIdentity(dir, { create: true });
  expect(again).toMatchObject({ created: false, peerId: first.peerId });
  expect(again.privateKey.equals(first.privateKey)).toBe(true);
});

test('no key where none may be made is not-found', async () => {
  await expect(loadIdentity(dir, { create: false })).rejects.toMatchObject({ code: 'not-found' });
});

test('every flipped byte and every cut of the key file is damage or changes nothing', async () => {
  const { privateKey } = await loadIdentity(dir, { create: true });
  const path = join(dir, identityFile);
  const whole = await readFile(path);
  const variants: Buffer[] = [];
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    variants.push(flipped, whole.subarray(0, at));
  }
  for (const bytes of variants) {
    await writeFile(path, bytes);
    try {
      const { privateKey: found } = await loadIdentity(dir, { create: true });
      expect(found.equals(privateKey)).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ code: 'damaged' });
    }
  }
});

test('incarnations grow, also when the wall clock goes back', async () => {
  const first = await nextIncarnation(dir, 5000);
  expect(first).toBe(5000);
  expect(await nextIncarnation(dir, 100)).toBe(5001);
  expect(await nextIncarnation(dir, 9000.7)).toBe(9000);
});

test('network keys are read as a swarm key file or as bare hex', async () => {
  const path = join(dir, 'network.key');
  await expect(loadNetworkKey(path, { create: false })).rejects.toMatchObject({
    code: 'not-found',
  });
  const text = await loadNetworkKey(path, { create: true });
  expect(parseNetworkKey(text)).toBe(text);
  const hex = text.split('\n')[2] ?? '';
  expect(parseNetworkKey(`${hex.toUpperCase()}\n`)).toBe(text);
  expect(text.startsWith('/key/swarm/psk/1.0.0/\n/base16/\n')).toBe(true);
  for (const bad of ['', hex.slice(1), `${hex}0`, `/key/other/\n/base16/\n${hex}`, `${text}x`])
    expect(() => parseNetworkKey(bad)).toThrow(/network key/);
  expect(await loadNetworkKey(path, { create: true })).toBe(text);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});
