/**
 * What a daemon may use, as this machine can enforce it. Memory: the kernel refuses more data than
 * the limit, and a program in Go collects earlier, near nine tenths of it. Files: the kernel's
 * limit, and kubo's own idea of it. Processors: only programs in Go are told; there is no limit of
 * the kernel that a process may set for itself.
 */
import type { DaemonOptions } from './options.ts';

export interface Limits {
  readonly env: Readonly<Record<string, string>>;
  readonly dataKib: number | null;
  readonly files: number | null;
  /** One sentence for each limit that is asked for and not surely kept. */
  readonly unenforced: readonly string[];
}

export function limitsOf(limits: NonNullable<DaemonOptions['limits']>): Limits {
  const { memoryBytes, cpus, files } = limits;
  const env: Record<string, string> = {};
  const unenforced: string[] = [];
  if (memoryBytes !== undefined) env.GOMEMLIMIT = String(Math.floor(memoryBytes * 0.9));
  if (files !== undefined) env.IPFS_FD_MAX = String(files);
  if (cpus !== undefined) {
    env.GOMAXPROCS = String(Math.max(1, Math.ceil(cpus)));
    unenforced.push(
      `cpus ${cpus}: told to programs in Go as GOMAXPROCS ${env.GOMAXPROCS}; ` +
        'not enforced by the kernel',
    );
  }
  return {
    env,
    dataKib: memoryBytes === undefined ? null : Math.floor(memoryBytes / 1024),
    files: files ?? null,
    unenforced,
  };
}
