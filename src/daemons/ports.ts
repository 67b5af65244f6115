/**
 * Which ports a daemon gets: the ones it had, the ones it shall have, or, where somebody holds one,
 * the next free ones. Whoever holds a port is named and left alone. Ports that another daemon of
 * this agent has are not given away while that one is down.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { CauseError } from './cause.ts';
import { holderOf, type ProcessFacts } from './proc.ts';

const triesMax = 200;

export interface ChosenPorts {
  readonly ports: Readonly<Record<string, number>>;
  /** One sentence for each port that is not the one it shall have. */
  readonly notes: readonly string[];
}

/** Nobody listens on it, on any address of this machine. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host: '0.0.0.0', exclusive: true });
    await once(server, 'listening');
    await once(server.close(), 'close');
    return true;
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
    if (code === 'EADDRINUSE' || code === 'EACCES') return false;
    throw thrown;
  }
}

export interface PortWishes {
  readonly title: string;
  readonly wanted: Readonly<Record<string, number>>;
  /** The ports of its last start, if the wishes were the same then. */
  readonly last: Readonly<Record<string, number>> | null;
  /** Belongs to another daemon of this agent. */
  readonly claimed: (port: number) => boolean;
  /** Was started by this agent for this daemon, although its notes do not describe it. */
  readonly isOrphan: (holder: ProcessFacts) => boolean;
}

async function noteFor(name: string, port: number, wishes: PortWishes): Promise<string> {
  const at = `${wishes.title}: ${name} port ${port}`;
  if (wishes.claimed(port)) return `${at} belongs to another daemon of this agent`;
  const holder = await holderOf(port);
  if (holder === null) return `${at} is held by a process that this user may not look at`;
  const [command = 'unknown', ...rest] = holder.argv;
  const line = [basename(command), ...rest].join(' ').slice(0, 200);
  const orphan = wishes.isOrphan(holder)
    ? ', left behind by an earlier run of this agent that kept no record of it'
    : '';
  return `${at} is held by pid ${holder.pid} (${line})${orphan}`;
}

export async function choosePorts(wishes: PortWishes): Promise<ChosenPorts> {
  const ports: Record<string, number> = {};
  const notes: string[] = [];
  const usable = async (port: number): Promise<boolean> =>
    !wishes.claimed(port) && !Object.values(ports).includes(port) && (await isFree(port));
  for (const [name, wanted] of Object.entries(wishes.wanted)) {
    const last = wishes.last?.[name];
    if (last !== undefined && (await usable(last))) {
      ports[name] = last;
      if (last !== wanted) notes.push(`${wishes.title}: ${name} stays on port ${last}`);
      continue;
    }
    let port = wanted;
    for (let tries = 0; !(await usable(port)); tries++) {
      if (tries === 0) notes.push(await noteFor(name, port, wishes));
      if (tries === triesMax || port === 65_535)
        throw new CauseError('port-in-use', `no free port from ${wanted} to ${port} for ${name}`);
      port += 1;
    }
    ports[name] = port;
    if (port !== wanted) notes.push(`${wishes.title}: ${name} takes port ${port} instead`);
  }
  return { ports, notes };
}
