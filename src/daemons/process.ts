/**
 * The process of one daemon: started in a group of its own with its limits, found again by a later
 * agent, ended gracefully and at last by force. Invariant: only a process that this folder's notes
 * describe by boot, pid, start time and command line is ever signalled.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { Ms } from '../base/brand.ts';
import { launchScript, statFile } from './launch-script.ts';
import { bootId, commandLine, identityIn, isAlive, leadsGroup, type ProcessId } from './proc.ts';

/** What is written down before a process is started. */
const noteSchema = z.object({
  boot: z.string(),
  argv: z.array(z.string()),
  ports: z.record(z.string(), z.int()),
  /** The ports that were asked for when these were chosen. */
  wanted: z.record(z.string(), z.int()),
});
export type ProcessNote = z.infer<typeof noteSchema>;

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface DaemonProcess {
  readonly pid: number;
  readonly note: ProcessNote;
  /** Resolves when the process has gone; code and signal are null for an adopted one. */
  readonly ended: Promise<ProcessEnd>;
  alive(): boolean;
  /** SIGTERM, and after `graceMs` SIGKILL to its group. Resolves when it has gone. */
  end(graceMs: Ms): Promise<void>;
}

export interface LaunchOptions {
  readonly folder: string;
  readonly note: ProcessNote;
  readonly env: Readonly<Record<string, string>>;
  /** KiB of data the process may hold; null: no limit. */
  readonly dataKib: number | null;
  readonly files: number | null;
  /** Numbers of the processors that it is kept on; null: all. */
  readonly processors: readonly number[] | null;
}

const noteFile = 'process.json';
const watchMs = 300;
const execWaitMsMax = 5000;
const leavesMsMax = 5000;

export function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readJson<T>(path: string, schema: z.ZodType<T>): T | null {
  if (!existsSync(path)) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch (thrown) {
    // Half a file, after a machine went down: as good as none.
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}

export const readNote = (folder: string): ProcessNote | null =>
  readJson(join(folder, noteFile), noteSchema);

/**
 * Boot, pid and start time name the process; this makes sure that it runs what was started. A
 * program that is a script shows its interpreter first.
 */
function runsNoted(pid: number, note: ProcessNote): boolean {
  const shown = commandLine(pid) ?? [];
  return note.argv.length > 0 && shown.slice(-note.argv.length).join('\0') === note.argv.join('\0');
}

async function goneWithin(alive: () => boolean, ms: Ms): Promise<boolean> {
  const endMs = performance.now() + ms;
  while (alive()) {
    if (performance.now() >= endMs) return false;
    await wait(50);
  }
  return true;
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    // It went by itself meanwhile.
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown;
  }
}

function handle(id: ProcessId, note: ProcessNote, ended: Promise<ProcessEnd>): DaemonProcess {
  const alive = (): boolean => isAlive(id);
  return {
    pid: id.pid,
    note,
    ended,
    alive,
    end: async (graceMs) => {
      if (alive()) signalTo(id.pid, 'SIGTERM');
      if (await goneWithin(alive, graceMs)) return;
      // Looked at in the same turn: the pid is still the very process that we started.
      if (alive()) signalTo(leadsGroup(id.pid) ? -id.pid : id.pid, 'SIGKILL');
      if (!(await goneWithin(alive, leavesMsMax)))
        throw new Error(`pid ${id.pid} is still there ${leavesMsMax} ms after SIGKILL`);
    },
  };
}

/** Starts it; throws if not even the shell before it could be started. */
export async function launch(options: LaunchOptions): Promise<DaemonProcess> {
  const { folder, note, env, dataKib, files, processors } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  rmSync(join(folder, statFile), { force: true });
  writeWhole(join(folder, noteFile), JSON.stringify(note));
  const limits = [String(dataKib ?? 0), String(files ?? 0), processors?.join(',') ?? '-'];
  const child = spawn('sh', ['-c', launchScript, 'bellwether', folder, ...limits, ...note.argv], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, ...env },
  });
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  const { pid } = child;
  const stat = pid === undefined ? null : readStat(pid);
  const id = { pid: pid ?? 0, started: stat?.started ?? '', boot: note.boot };
  // Without /proc the child object is all that there is to go by.
  const known = stat !== null;
  let gone = false;
  void ended.then(() => {
    gone = true;
  });
  const made = handle(id, note, ended);
  // The shell has said who it is before anybody counts on being able to find it again.
  await goneWithin(() => !gone && !existsSync(join(folder, statFile)), leavesMsMax);
  if (known) return { ...made, alive: () => !gone && made.alive() };
  return {
    ...made,
    alive: () => !gone,
    end: async (graceMs) => {
      child.kill('SIGTERM');
      if (!(await goneWithin(() => !gone, graceMs))) child.kill('SIGKILL');
      await ended;
    },
  };
}

function readStat(pid: number): { pid: number; started: string } | null {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) ? identityIn(readFileSync(path, 'utf8')) : null;
}

/**
 * The process that an earlier agent started in this folder and that still runs, or null. `refused`
 * tells why what the note names is not taken over.
 */
export async function adopt(
  folder: string,
): Promise<{ process: DaemonProcess | null; refused: string | null }> {
  const note = readNote(folder);
  const path = join(folder, statFile);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const found = text === '' ? null : identityIn(text);
  if (note === null || found === null) return { process: null, refused: null };
  const id: ProcessId = { ...found, boot: note.boot };
  if (!isAlive(id)) return { process: null, refused: null };
  // The shell may be about to become the daemon.
  const endMs = performance.now() + execWaitMsMax;
  while (!runsNoted(id.pid, note) && performance.now() < endMs && isAlive(id)) await wait(50);
  if (!runsNoted(id.pid, note)) {
    const argv = commandLine(id.pid)?.join(' ') ?? 'nothing';
    return { process: null, refused: `pid ${id.pid} runs ${argv}, not ${note.argv.join(' ')}` };
  }
  const ended = (async (): Promise<ProcessEnd> => {
    while (isAlive(id)) await wait(watchMs, undefined, { ref: false });
    return { code: null, signal: null };
  })();
  return { process: handle(id, note, ended), refused: null };
}

export const noteFor = (
  argv: readonly string[],
  ports: Readonly<Record<string, number>>,
  wanted: Readonly<Record<string, number>>,
): ProcessNote => ({ boot: bootId(), argv: [...argv], ports: { ...ports }, wanted: { ...wanted } });
