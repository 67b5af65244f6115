/** Limits of a daemon: what the kernel is asked for, what only the daemon is told, what is hit. */
import { expect, test } from 'vitest';
import { limitHitBy, limitsOf, machineOf, processorsIn } from '../../../src/daemons/limits.ts';

const machine = { processors: [0, 1, 2, 3], pins: true };

test("memory and files are the kernel's to keep, and the daemon is told", () => {
  const limits = limitsOf({ memoryBytes: 100 * 1024 * 1024, files: 4096 }, machine, 0);
  expect(limits).toEqual({
    env: { GOMEMLIMIT: String(90 * 1024 * 1024), IPFS_FD_MAX: '4096' },
    ...{ dataKib: 102_400, files: 4096, processors: null, unenforced: [] },
  });
  expect(limitsOf({}, machine, 0)).toMatchObject({ env: {}, dataKib: null, files: null });
});

test('so many processors, not the same ones for every daemon', () => {
  expect(limitsOf({ cpus: 2 }, machine, 0)).toMatchObject({ processors: [0, 1], unenforced: [] });
  expect(limitsOf({ cpus: 2 }, machine, 3).processors).toEqual([0, 3]);
  expect(limitsOf({ cpus: 9 }, machine, 1).processors).toEqual([0, 1, 2, 3]);
});

test('what is not surely kept is said', () => {
  const half = limitsOf({ cpus: 0.5 }, machine, 1);
  expect(half).toMatchObject({ processors: [1], env: { GOMAXPROCS: '1' } });
  expect(half.unenforced[0]).toContain('it gets 1 whole');
  const bare = limitsOf({ cpus: 2 }, { ...machine, pins: false }, 0);
  expect([bare.processors, bare.unenforced.length]).toEqual([null, 1]);
});

test('lists of processors as the kernel writes them', () => {
  expect(processorsIn('0-2,8')).toEqual([0, 1, 2, 8]);
  expect([processorsIn('3'), processorsIn('')]).toEqual([[3], []]);
  expect(machineOf({ PATH: '' })).toMatchObject({ pins: false });
});

test('a process with as many open files as it may have has run into its limit', () => {
  expect(limitHitBy(process.pid, 5)).toMatchObject({
    cause: 'file-limit',
    detail: expect.stringMatching(/^it has \d+ of 5 files and sockets open$/),
  });
  expect(limitHitBy(process.pid, 1_000_000)).toBeNull();
  expect([limitHitBy(process.pid, null), limitHitBy(2 ** 30, 5)]).toEqual([null, null]);
});
