/**
 * Whether a port is listened on, from one read of the kernel's table, and by whom as far as
 * that is known without looking through every process: our own daemon.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Protocol, takenState } from './proc.ts';

function tableOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    // No IPv6 here, or no Linux.
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return '';
    throw thrown;
  }
}

/** Ports that somebody listens on; of UDP, those that a socket is bound to. */
export function listeningPorts(protocol: Protocol = 'tcp'): Set<number> {
  const ports = new Set<number>();
  for (const path of [`/proc/net/${protocol}`, `/proc/net/${protocol}6`])
    for (const line of tableOf(path).split('\n').slice(1)) {
      const [, local = '', , state] = line.trim().split(/\s+/);
      if (state === takenState[protocol]) ports.add(Number.parseInt(local.split(':')[1] ?? '', 16));
    }
  return ports;
}

function argvOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  } catch (thrown) {
    // It ended meanwhile.
    if (thrown instanceof Error && 'code' in thrown) return [];
    throw thrown;
  }
}

/** `pid`: our daemon that has this port; null: it is not ours. */
export function holdersOf(port: number, listening: ReadonlySet<number>, pid: number | null) {
  const in_use = listening.has(port);
  const argv = in_use && pid !== null ? argvOf(pid) : [];
  const name = basename(argv[0] ?? '');
  const processes =
    argv.length > 0 && pid !== null ? [{ pid, name, cmdline: argv.join(' ').slice(0, 500) }] : [];
  return { port, in_use, processes };
}
