/** Runs one command of the program to its end, as a person would, and tells how it ended. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { nodeBinary } from './program.ts';

export interface Ended {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export async function runCommand(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly deadlineMs?: number } = {},
): Promise<Ended> {
  const child = spawn(nodeBinary(), [program, ...args], { stdio: 'pipe' });
  const timer = setTimeout(() => child.kill('SIGKILL'), options.deadlineMs ?? 120_000);
  child.stdin.end(options.input ?? '');
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  clearTimeout(timer);
  return { exit: code ?? -1, out, err };
}

/** The last line of the output, which `--json` makes one object. */
export const jsonOf = <T>({ out }: Ended): T =>
  JSON.parse(out.trim().split('\n').at(-1) ?? '') as T;
