import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { partsOf } from '../../../src/cli/demo-content.ts';
import { lockDemo, preparePlace } from '../../../src/cli/demo-place.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-place-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lockFile = () => join(folder, `bellwether-demo-${userInfo().uid}.lock`);

test('a second demo is told which process runs the first', () => {
  const unlock = lockDemo(folder);
  expect(() => lockDemo(folder)).toThrow(`a demo runs already, as process ${process.pid}`);
  unlock();
  lockDemo(folder)();
  expect(readdirSync(folder)).toEqual([]);
});

test.each([
  ['a process that is gone', '4194305 1'],
  ['a process that is another one by now', `${process.pid} 1`],
  ['noise', 'noise'],
  ['nothing', ''],
])('a lock of %s counts for nothing', (_, text) => {
  writeFileSync(lockFile(), text);
  lockDemo(folder)();
  expect(existsSync(lockFile())).toBe(false);
});

const five = ['leecher-1', 'master-1', 'master-2', 'worker-1', 'worker-2'];
const files = [...five, ...five.map((name) => `${name}.yaml`)].sort();

test('a place has ten different ports, five certified folders and the timing; it leaves only what is kept', async () => {
  const place = await preparePlace({ keep: null, bytes: 1, usualPorts: false, daemons: false });
  const ports = place.plans.flatMap(({ httpPort, meshPort }) => [httpPort, meshPort]);
  expect(new Set(ports).size).toBe(10);
  expect(readdirSync(place.folder).sort()).toEqual(files);
  expect(readdirSync(join(place.folder, 'leecher-1'))).toContain('certificate.jwt');
  expect(readdirSync(join(place.folder, 'leecher-1'))).not.toContain('authority.key');
  place.leave();
  expect(existsSync(place.folder)).toBe(false);
  const keep = join(folder, 'kept');
  const kept = await preparePlace({ keep, bytes: 1, usualPorts: false, daemons: false });
  kept.leave();
  expect(readdirSync(keep).sort()).toEqual(files);
});

test('without room on the disk it says how much is wanted, and leaves nothing', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('bellwether-demo-'));
  const wish = { keep: null, bytes: 1e18, usualPorts: false, daemons: false };
  await expect(preparePlace(wish)).rejects.toThrow(/not enough room in .*3000.0 PB wanted/);
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith('bellwether-demo-'));
  expect(after.filter((name) => !before.includes(name))).toEqual([]);
});

test('a folder that cannot be made is named', async () => {
  const keep = join(folder, 'file/below');
  writeFileSync(join(folder, 'file'), '');
  await expect(preparePlace({ keep, bytes: 1, usualPorts: false, daemons: false })).rejects.toThrow(
    'file',
  );
});

test('a small folder becomes a pin per entry, a large one a single pin', async () => {
  for (let i = 0; i < 3; i++) writeFileSync(join(folder, `f${i}`), 'x');
  expect((await partsOf(folder)).map(({ name }) => name)).toEqual(['f0', 'f1', 'f2']);
  for (let i = 3; i < 20; i++) writeFileSync(join(folder, `f${i}`), 'x');
  const parts = await partsOf(folder);
  expect(parts.map(({ tree }) => tree.files)).toEqual([20]);
  expect((await partsOf(join(folder, 'f1'))).map(({ name }) => name)).toEqual(['f1']);
  await expect(partsOf(join(folder, 'nowhere'))).rejects.toThrow('no such file or folder');
});
