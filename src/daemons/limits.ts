/**
 * What a daemon may use, as this machine can enforce it. Memory: the kernel refuses more data than
 * the limit, and a program in Go collects earlier, near nine tenths of it. Files: the kernel's
 * limit, and kubo's own idea of it. Processors: the kernel keeps it on so many of them (Linux with
 * `taskset`), and programs in Go are told; a part of a processor is no limit that can be set.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Cause } from '../supervise/api.ts';
import { findOnPath } from './binaries.ts';
import type { DaemonOptions } from './options.ts';

export interface Limits {
  readonly env: Readonly<Record<string, string>>;
  readonly dataKib: number | null;
  readonly files: number | null;
  /** Numbers of the processors that it is kept on; null: all. */
  readonly processors: readonly number[] | null;
  /** One sentence for each limit that is asked for and not surely kept. */
  readonly unenforced: readonly string[];
}

/** What this machine has to enforce a limit of processors with. */
export interface Machine {
  /** Processors that this agent may use. */
  readonly processors: readonly number[];
  /** There is a `taskset`. */
  readonly pins: boolean;
}

/** `0-3,8` as numbers. */
export function processorsIn(list: string): number[] {
  return list.split(',').flatMap((range) => {
    if (range.trim() === '') return [];
    const [from = Number.NaN, to = from] = range.trim().split('-').map(Number);
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return [];
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

export function machineOf(env: NodeJS.ProcessEnv): Machine {
  let status = '';
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch (thrown) {
    // No Linux: nothing is pinned there.
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT')) throw thrown;
  }
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
  return { processors: processorsIn(list), pins: findOnPath('taskset', env) !== null };
}

/** `spread` moves the choice, so that not all daemons share the first processor. */
function processorsFor(cpus: number, { processors, pins }: Machine, spread: number) {
  const wanted = Math.max(1, Math.ceil(cpus));
  if (!pins || processors.length === 0) return null;
  if (wanted >= processors.length) return [...processors];
  const at = (i: number): number => processors[(spread + i) % processors.length] ?? 0;
  return Array.from({ length: wanted }, (_, i) => at(i)).sort((a, b) => a - b);
}

export function limitsOf(
  limits: NonNullable<DaemonOptions['limits']>,
  machine: Machine,
  spread: number,
): Limits {
  const { memoryBytes, cpus, files } = limits;
  const env: Record<string, string> = {};
  const unenforced: string[] = [];
  let processors: number[] | null = null;
  if (memoryBytes !== undefined) env.GOMEMLIMIT = String(Math.floor(memoryBytes * 0.9));
  if (files !== undefined) env.IPFS_FD_MAX = String(files);
  if (cpus !== undefined) {
    const whole = Math.max(1, Math.ceil(cpus));
    env.GOMAXPROCS = String(whole);
    processors = processorsFor(cpus, machine, spread);
    if (processors === null)
      unenforced.push(
        `cpus ${cpus}: told to programs in Go as GOMAXPROCS ${whole}; ` +
          'without taskset not enforced by the kernel',
      );
    else if (whole !== cpus)
      unenforced.push(`cpus ${cpus}: it gets ${whole} whole; a part of one is not enforced`);
  }
  return {
    ...{ env, processors, unenforced },
    dataKib: memoryBytes === undefined ? null : Math.floor(memoryBytes / 1024),
    files: files ?? null,
  };
}

/** Files that a process may still open count as none from here on. */
const filesLeft = 2;

/** The limit that a silent process has run into, as far as the kernel tells; null: none known. */
export function limitHitBy(pid: number, files: number | null) {
  if (files === null) return null;
  let open: number;
  try {
    open = readdirSync(`/proc/${pid}/fd`).length;
  } catch (thrown) {
    // Gone meanwhile, no Linux, or not ours to look at.
    if (thrown instanceof Error && 'code' in thrown) return null;
    throw thrown;
  }
  if (open < files - filesLeft) return null;
  const cause: Cause = 'file-limit';
  return { cause, detail: `it has ${open} of ${files} files and sockets open` };
}
