/**
 * Where the real daemons are: the folder that scripts/install-daemons built them into, else PATH.
 * A test that needs one and finds none fails with the remedy; it is never skipped.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../scripts/install-daemons', import.meta.url));

/** The folder of the built binaries, whether they are there or not. */
export function daemonsFolder(): string {
  return execFileSync(script, ['--print-dir'], { encoding: 'utf8' }).trim();
}

/** The path of a daemon's binary. */
export function daemonBinary(name: string): string {
  const folders = [daemonsFolder(), ...(process.env.PATH ?? '').split(delimiter)];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no ${name} here: run scripts/install-daemons`);
  return found;
}
