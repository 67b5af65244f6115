/** Where a managed daemon lives and what its adapter may run: made anew for every start. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { DaemonType, Endpoint, Place } from './api.ts';
import type { DaemonOptions } from './options.ts';

const runMsMax = 60_000;
const outputBytesMax = 16 * 1024 * 1024;

export const homeOf = (options: DaemonOptions, runFolder: string): string =>
  options.folder ?? join(runFolder, 'home');

export interface PlaceParts {
  readonly options: DaemonOptions;
  readonly runFolder: string;
  readonly binary: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly endpointOf: (type: DaemonType) => Endpoint | null;
}

function runToEnd(
  binary: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const options = {
    env: { ...process.env, ...env },
    timeout: runMsMax,
    killSignal: 'SIGKILL' as const,
    maxBuffer: outputBytesMax,
  };
  return new Promise((resolve, reject) => {
    execFile(binary, [...args], options, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const said = stderr.trim().split('\n').at(-1) ?? '';
      const why = error.killed ? `not done within ${runMsMax} ms` : said || error.message;
      reject(new Error(`${binary} ${args[0] ?? ''}: ${why}`, { cause: error }));
    });
  });
}

export function createPlace({ options, runFolder, binary, ports, endpointOf }: PlaceParts): Place {
  return {
    options,
    folder: homeOf(options, runFolder),
    binary,
    ports,
    endpointOf,
    run: (args, env) => runToEnd(binary, args, env),
  };
}
