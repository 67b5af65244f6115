/**
 * One process per data folder. A lock file `lock.N` names its owner by boot, pid and start time, so
 * that a pid that was given to another process is not taken for the owner. A lock whose owner is
 * gone is never moved away by a stranger: the successor makes `lock.N+1`, which only one can, and
 * removes the old one as the owner. Linux tells start times under /proc; elsewhere the pid alone
 * must do.
 */
import { randomUUID } from 'node:crypto';
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

/** The fields of /proc/PID/stat after the command name, which may hold spaces and brackets. */
function statFields(pid: number): string[] {
  const stat = readText(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Field 22, ticks since boot. */
const startedAt = (pid: number): string => statFields(pid)[19] ?? '';

/**
 * A killed process whose parent hasn't asked for it yet is an entry in a table and no owner any
 * more, once the last of its threads has ended (fields 3 and 20).
 */
function isRemains(pid: number): boolean {
  const fields = statFields(pid);
  return fields[0] === 'Z' && Number(fields[17]) <= 1;
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
    owner.boot === bootId() &&
    pidExists(owner.pid) &&
    startedAt(owner.pid) === owner.started &&
    !isRemains(owner.pid),
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

interface FoundLock {
  readonly number: number;
  readonly owner: Owner | null;
}

const nameOf = (number: number): string => `lock.${number}`;

async function findLocks(disk: Disk, dir: string): Promise<FoundLock[]> {
  const found: FoundLock[] = [];
  for (const name of await disk.list(dir)) {
    const match = /^lock\.(\d+)$/.exec(name);
    const bytes = match ? await disk.read(join(dir, name)) : null;
    if (match && bytes !== null) found.push({ number: Number(match[1]), owner: parseOwner(bytes) });
  }
  return found;
}

function refuseWhileAlive(locks: readonly FoundLock[], dir: string, world: Processes): void {
  for (const { owner } of locks)
    if (owner !== null && world.alive(owner))
      throw new AgentError(
        'already-running',
        `another agent (pid ${owner.pid}) uses the data folder ${dir}`,
      );
}

/** Takes the lock of `dir`; throws `already-running` and names the owner while that one lives. */
export async function lockFolder(
  disk: Disk,
  dir: string,
  world: Processes = processes,
): Promise<FolderLock> {
  const self = world.self();
  const mine = join(dir, `lock-${self.pid}-${randomUUID()}.tmp`);
  const file = await disk.create(mine);
  try {
    await file.write(Buffer.from(JSON.stringify(self)), 0);
  } finally {
    await file.close();
  }
  try {
    return await takeNext(disk, dir, world, mine);
  } catch (thrown) {
    // Only who holds the lock removes passing files: another agent has just taken it.
    if (systemCode(thrown) !== 'ENOENT') throw thrown;
    throw new AgentError('already-running', `another agent has just started in ${dir}`);
  } finally {
    await disk.remove(mine);
  }
}

async function takeNext(
  disk: Disk,
  dir: string,
  world: Processes,
  mine: string,
): Promise<FolderLock> {
  for (;;) {
    const stale = await findLocks(disk, dir);
    refuseWhileAlive(stale, dir, world);
    const number = Math.max(0, ...stale.map((lock) => lock.number)) + 1;
    const path = join(dir, nameOf(number));
    if (!(await disk.link(mine, path))) continue;
    try {
      // Somebody may have come and gone and come between the look and the link.
      const others = (await findLocks(disk, dir)).filter((lock) => lock.number !== number);
      refuseWhileAlive(others, dir, world);
    } catch (thrown) {
      await disk.remove(path);
      throw thrown;
    }
    for (const lock of stale) await disk.remove(join(dir, nameOf(lock.number)));
    const pids = stale.map(({ owner }) => `pid ${owner?.pid ?? 'unknown'}`).join(', ');
    const note = pids === '' ? null : `a lock left by ${pids}, which is gone, was removed`;
    return { note, release: async () => void (await disk.remove(path)) };
  }
}
