/**
 * What Linux tells about processes and ports under /proc: who a pid is (boot, start time, command
 * line), who listens on a port. Elsewhere nothing is known and everything answers so: nobody is
 * then adopted, and no holder of a port is named.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';

/** Tells one process from every other that ever had its pid. */
export interface ProcessId {
  readonly pid: number;
  /** Start time in ticks since boot. */
  readonly started: string;
  readonly boot: string;
}

export interface ProcessFacts {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** Gone while we looked, not there at all (no Linux), or somebody else's: all mean "not known". */
const notKnown = new Set(['ENOENT', 'ESRCH', 'ENOTDIR', 'EACCES', 'EPERM']);

function orNull<T>(thrown: unknown): T | null {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (notKnown.has(code)) return null;
  throw thrown;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    return orNull(thrown);
  }
}

export const bootId = (): string => readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';

/** The fields after the command name, which may hold spaces and brackets: state is the first. */
function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Pid and start time out of a line of /proc/PID/stat. */
export function identityIn(stat: string): { pid: number; started: string } | null {
  const pid = Number.parseInt(stat, 10);
  const started = statFields(stat)[19];
  return Number.isSafeInteger(pid) && pid > 1 && started ? { pid, started } : null;
}

function argvOf(cmdline: string): string[] {
  return cmdline.split('\0').slice(0, -1);
}

export function commandLine(pid: number): readonly string[] | null {
  const text = readText(`/proc/${pid}/cmdline`);
  return text === null || text === '' ? null : argvOf(text);
}

/** The very process is still there and no zombie. */
export function isAlive({ pid, started, boot }: ProcessId): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return false;
  const fields = statFields(stat);
  return fields[0] !== 'Z' && fields[0] !== 'X' && fields[19] === started && boot === bootId();
}

/** It leads a process group of its own, so the group may be signalled as a whole. */
export function leadsGroup(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  return stat !== null && statFields(stat)[2] === String(pid);
}

/** How often the kernel ended somebody for want of memory; null where it doesn't tell. */
export function oomKills(): number | null {
  const found = /^oom_kill (\d+)$/m.exec(readText('/proc/vmstat') ?? '');
  return found === null ? null : Number(found[1]);
}

async function pids(): Promise<number[]> {
  const names = await readdir('/proc').catch((thrown) => orNull<string[]>(thrown) ?? []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Every process of this machine whose command line `matches`. */
export async function findProcesses(
  matches: (argv: readonly string[]) => boolean,
): Promise<ProcessFacts[]> {
  const found: ProcessFacts[] = [];
  for (const pid of await pids()) {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(orNull<string>);
    if (text === null || text === '') continue;
    const argv = argvOf(text);
    if (matches(argv)) found.push({ pid, argv });
  }
  return found;
}

export type Protocol = 'tcp' | 'udp';

/** In the kernel's tables: a TCP socket that listens, a UDP socket that is bound to no one peer. */
export const takenState: Readonly<Record<Protocol, string>> = { tcp: '0A', udp: '07' };

/** Inodes of the sockets that have a port, on any address. */
async function socketsOn(port: number, protocol: Protocol): Promise<Set<string>> {
  const inodes = new Set<string>();
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  for (const file of [`/proc/net/${protocol}`, `/proc/net/${protocol}6`]) {
    const text = (await readFile(file, 'utf8').catch(orNull<string>)) ?? '';
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === takenState[protocol] && local.endsWith(`:${hex}`) && inode) inodes.add(inode);
    }
  }
  return inodes;
}

/** Who has a port; null: nobody, or somebody that we may not look at. */
export async function holderOf(
  port: number,
  protocol: Protocol = 'tcp',
): Promise<ProcessFacts | null> {
  const inodes = await socketsOn(port, protocol);
  if (inodes.size === 0) return null;
  for (const pid of await pids()) {
    const fds = (await readdir(`/proc/${pid}/fd`).catch(orNull<string[]>)) ?? [];
    for (const fd of fds) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(orNull<string>);
      const inode = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1];
      if (inode !== undefined && inodes.has(inode)) return { pid, argv: commandLine(pid) ?? [] };
    }
  }
  return null;
}

/** Who has a file open; who may not be looked at is left out. */
export async function openersOf(path: string): Promise<ProcessFacts[]> {
  const found: ProcessFacts[] = [];
  for (const pid of await pids()) {
    const fds = (await readdir(`/proc/${pid}/fd`).catch(orNull<string[]>)) ?? [];
    for (const fd of fds) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(orNull<string>)) !== path) continue;
      found.push({ pid, argv: commandLine(pid) ?? [] });
      break;
    }
  }
  return found;
}
