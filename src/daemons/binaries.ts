/**
 * Where the programs of the daemons are: the one that is named in the configuration, else in the
 * folder that scripts/install-daemons fills (BELLWETHER_DAEMONS_DIR names one that holds binaries,
 * BELLWETHER_DAEMONS another cache), else on PATH.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { CauseError } from './cause.ts';

type Env = Readonly<Record<string, string | undefined>>;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
    if (['ENOENT', 'EACCES', 'ENOTDIR', 'ELOOP'].includes(code)) return false;
    throw thrown;
  }
}

export function binaryFolders(env: Env): string[] {
  const cache = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const root = env.BELLWETHER_DAEMONS || join(cache, 'bellwether/daemons');
  const installed = join(root, 'current');
  const own = env.BELLWETHER_DAEMONS_DIR ? [env.BELLWETHER_DAEMONS_DIR] : [installed];
  return [...own, ...(env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')];
}

/** A program of the system; null: not on PATH. */
export function findOnPath(name: string, env: Env): string | null {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? null;
}

/** Full path of the first that is there; throws `binary-missing` and tells where it was sought. */
export function findBinary(names: readonly string[], named: string | undefined, env: Env): string {
  if (named !== undefined) {
    if (isProgram(named)) return named;
    throw new CauseError('binary-missing', `${named} is not a program that can be run`);
  }
  for (const folder of binaryFolders(env))
    for (const name of names) if (isProgram(join(folder, name))) return join(folder, name);
  throw new CauseError(
    'binary-missing',
    `no ${names.join(' or ')} in the install folder or on PATH; scripts/install-daemons gets it`,
  );
}
