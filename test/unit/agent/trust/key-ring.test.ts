/** The ring of network keys in a data folder: durable before it is told, and never a step back. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKeyRing, sendingKeyText } from '../../../../src/agent/trust/key-ring.ts';
import type { NetworkKeyRecord } from '../../../../src/catalog/query-identity.ts';
import { networkKeyFingerprint, swarmKeyText } from '../../../../src/wire/network-key.ts';

const [a, b] = ['a1'.repeat(32), 'b2'.repeat(32)] as [string, string];
const printOf = networkKeyFingerprint;
let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-ring-'));
  writeFileSync(join(dir, 'network.key'), swarmKeyText(a));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const record = (
  key: string,
  state: NetworkKeyRecord['state'],
  atIndex: number,
): NetworkKeyRecord => ({
  ...{ fingerprint: printOf(key), key, state, atIndex },
  ...{ cluster: 'c', sinceMs: 0, owner: 'ann' },
});
const added = [record(b, 'added', 5), record(a, 'sending', 5)];
const switched = [record(b, 'sending', 6), record(a, 'accepted', 5)];
const retired = [record(b, 'sending', 7)];
const copy = (): string => readFileSync(join(dir, 'network.key'), 'utf8');

test('each step is on disk and in force before it is told, and survives a restart', async () => {
  const place = { dir, file: null };
  const ring = await openKeyRing(place);
  expect(ring.keys()).toEqual({ sending: a, accepted: [a] });
  const told: unknown[] = [];
  ring.onChange(async (keys) => {
    expect(JSON.parse(readFileSync(join(dir, 'network-keys.json'), 'utf8'))).toMatchObject(keys);
    expect(ring.keys()).toEqual(keys);
    told.push(['in force', ring.told().accepts.length]);
  });
  ring.onTold(() => told.push(['told', ring.told().accepts.length]));
  await ring.adopt([], 'e');
  expect(existsSync(join(dir, 'network-keys.json'))).toBe(false);
  await ring.adopt(added, 'e');
  expect(told).toEqual([
    ['in force', 1],
    ['told', 2],
  ]);
  expect((await openKeyRing(place)).keys()).toEqual({ sending: a, accepted: [b, a] });
  await ring.adopt(switched, 'e');
  expect(copy()).toBe(swarmKeyText(b));
  expect(await sendingKeyText(place)).toBe(swarmKeyText(b));
  await ring.adopt(retired, 'e');
  const again = await openKeyRing(place);
  expect(again.keys()).toEqual({ sending: b, accepted: [b] });
  expect(again.told()).toEqual({ sends: printOf(b), accepts: [printOf(b)], file: null });
});

test('a catalog that is behind takes nothing back; that of another epoch rules', async () => {
  const place = { dir, file: null };
  await (await openKeyRing(place)).adopt(switched, 'e');
  const ring = await openKeyRing(place);
  await ring.adopt(added, 'e');
  expect(ring.keys().sending).toBe(b);
  await ring.adopt(added, 'e2');
  expect(ring.keys().sending).toBe(a);
});

test('two changes at once come one after the other', async () => {
  const ring = await openKeyRing({ dir, file: null });
  const seen: string[] = [];
  ring.onChange(({ sending }) => void seen.push(sending));
  await Promise.all([ring.adopt(added, 'e'), ring.adopt(switched, 'e'), ring.adopt(retired, 'e')]);
  expect(seen).toEqual([a, b, b]);
});

test('the copy that a crash left behind is made again', async () => {
  const place = { dir, file: null };
  await (await openKeyRing(place)).adopt(switched, 'e');
  writeFileSync(join(dir, 'network.key'), swarmKeyText(a));
  await openKeyRing(place);
  expect(copy()).toBe(swarmKeyText(b));
});

test('a configured file that the rotation left behind is named; damage is, too', async () => {
  const file = join(dir, 'mine.key');
  writeFileSync(file, a);
  const place = { dir, file };
  const ring = await openKeyRing(place);
  expect(ring.told().file).toBe(file);
  await ring.adopt(switched, 'e');
  expect((await openKeyRing(place)).keys().sending).toBe(b);
  await ring.adopt(retired, 'e');
  await expect(openKeyRing(place)).rejects.toThrow(`networkKeyFile: ${file} holds the key`);
  writeFileSync(join(dir, 'network-keys.json'), '{}');
  await expect(openKeyRing({ dir, file: null })).rejects.toMatchObject({ code: 'damaged' });
});

test('a folder without any key has none to send', async () => {
  await rm(join(dir, 'network.key'));
  expect(await sendingKeyText({ dir, file: null })).toBeNull();
});
