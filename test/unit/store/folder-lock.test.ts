import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDisk } from '../../../src/store/disk.ts';
import { lockFolder, type Owner, processes } from '../../../src/store/folder-lock.ts';
import { withFolder } from './log-fixture.ts';

const world = (self: Owner, alive: readonly number[]) => ({
  self: () => self,
  alive: ({ pid }: Owner) => alive.includes(pid),
});
const owner = (pid: number): Owner => ({ pid, started: '1', boot: 'b' });

test('of many who want a stale lock at once, one gets it', () =>
  withFolder(async (dir) => {
    for (let round = 0; round < 20; round++) {
      await writeFile(join(dir, 'lock.7'), JSON.stringify(owner(99)));
      const takers = [1, 2, 3, 4, 5].map((pid) =>
        lockFolder(createDisk(), dir, world(owner(pid), [1, 2, 3, 4, 5])),
      );
      const results = await Promise.allSettled(takers);
      const won = results.filter((result) => result.status === 'fulfilled');
      expect(won).toHaveLength(1);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason.code).toBe('already-running');
      await won[0]?.value.release();
    }
  }));

test('a lock of another boot or another start of the pid is stale; half a lock too', () =>
  withFolder(async (dir) => {
    const self = processes.self();
    for (const text of [
      JSON.stringify({ ...self, boot: 'another' }),
      JSON.stringify({ ...self, started: 'another' }),
      JSON.stringify({ ...self, pid: 2 ** 22 + 1 }),
      JSON.stringify(self).slice(0, 10),
      '',
    ]) {
      await writeFile(join(dir, 'lock.7'), text);
      const lock = await lockFolder(createDisk(), dir);
      expect(lock.note).toContain('was removed');
      await lock.release();
    }
    await writeFile(join(dir, 'lock.7'), JSON.stringify(self));
    await expect(lockFolder(createDisk(), dir)).rejects.toThrow(`pid ${process.pid}`);
  }));

test.runIf(process.platform === 'linux')('a killed owner that nobody reaped is gone', () =>
  withFolder(async (dir) => {
    // The shell starts a process, tells its pid, and becomes a program that never asks for it.
    const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    try {
      const [line] = (await once(shell.stdout, 'data')) as [Buffer];
      const pid = Number(line.toString());
      const stat = () =>
        readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ');
      const { boot } = processes.self();
      const child = { pid, started: stat()[19] ?? '', boot };
      expect(processes.alive(child)).toBe(true);
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => stat()[0], { timeout: 10_000 }).toBe('Z');
      await writeFile(join(dir, 'lock.7'), JSON.stringify(child));
      const lock = await lockFolder(createDisk(), dir);
      expect(lock.note).toContain('was removed');
      await lock.release();
    } finally {
      shell.kill('SIGKILL');
    }
  }),
);
