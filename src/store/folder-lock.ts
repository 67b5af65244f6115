/**
 * One process per data folder. The lock file names its owner by boot, pid and start time, so that
 * a pid that was given to another process is not taken for the owner, and a lock whose owner is
 * gone is taken over. Linux tells start times under /proc; elsewhere the pid alone must do.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../base/error.ts';
import { type Disk, systemCode } from './disk.ts';

export interface Owner {
  readonly pid: number;
  /** Start time of the process in ticks since boot; empty where the system doesn't tell. */
  readonly started: string;
  /** Id of the machine's boot; empty where the system doesn't tell. */
  readonly boot: string;
}

/** What tells one process from another; tests put other processes in. */
export interface Processes {
  self(): Owner;
  alive(owner: Owner): boolean;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (thrown) {
    // No /proc here, or the process is gone: both mean "not known".
    if (['ENOENT', 'ESRCH', 'ENOTDIR'].includes(systemCode(thrown))) return '';
    throw thrown;
  }
}

/** Field 22 of /proc/PID/stat; the command name before it may hold spaces and brackets. */
function startedAt(pid: number): string {
  const stat = readText(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

const bootId = (): string => readText('/proc/sys/kernel/random/boot_id');

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return systemCode(thrown) === 'EPERM';
  }
}

export const processes: Processes = {
  self: () => ({ pid: process.pid, started: startedAt(process.pid), boot: bootId() }),
  alive: (owner) =>
    owner.boot === bootId() && pidExists(owner.pid) && startedAt(owner.pid) === owner.started,
};

export interface FolderLock {
  /** What was found, for the report: a lock left by a process that is gone. */
  readonly note: string | null;
  release(): Promise<void>;
}

function parseOwner(bytes: Buffer): Owner | null {
  try {
    const { pid, started, boot } = JSON.parse(bytes.toString('utf8')) as Partial<Owner>;
    const whole = typeof pid === 'number' && typeof started === 'string';
    return whole && typeof boot === 'string' ? { pid, started, boot } : null;
  } catch (thrown) {
    // A lock gets its name with its text, so only a machine that went down leaves half of one.
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}

/** Takes the lock of `dir`; throws `already-running` and names the owner while that one lives. */
export async function lockFolder(
  disk: Disk,
  dir: string,
  world: Processes = processes,
): Promise<FolderLock> {
  const path = join(dir, 'lock');
  const self = world.self();
  const mine = join(dir, `lock.${self.pid}.tmp`);
  const file = await disk.create(mine);
  try {
    await file.write(Buffer.from(JSON.stringify(self)), 0);
  } finally {
    await file.close();
  }
  let note: string | null = null;
  try {
    while (!(await disk.link(mine, path))) note = await removeStale(disk, dir, world);
  } finally {
    await disk.remove(mine);
  }
  return { note, release: async () => void (await disk.remove(path)) };
}

/** Removes a lock whose owner is gone; the rename makes sure that only one of several does it. */
async function removeStale(disk: Disk, dir: string, world: Processes): Promise<string> {
  const path = join(dir, 'lock');
  const bytes = await disk.read(path);
  const owner = bytes && parseOwner(bytes);
  if (owner && world.alive(owner))
    throw new AgentError(
      'already-running',
      `another agent (pid ${owner.pid}) uses the data folder ${dir}`,
    );
  if (bytes !== null) {
    const aside = join(dir, `lock.${world.self().pid}.stale.tmp`);
    try {
      await disk.rename(path, aside);
    } catch (thrown) {
      // Somebody else was faster; the next attempt to link decides.
      if (systemCode(thrown) !== 'ENOENT') throw thrown;
    }
    const moved = await disk.read(aside);
    if (moved !== null && !moved.equals(bytes)) await disk.link(aside, path);
    await disk.remove(aside);
  }
  return `a lock left by pid ${owner?.pid ?? 'unknown'}, which is gone, was removed`;
}
