/**
 * Which ports a daemon gets: the ones it had, the ones it shall have, or, where somebody holds one,
 * the next free ones. Whoever holds a port is named and left alone. Ports that another daemon of
 * this agent has are not given away while that one is down, nor those that are kept for others. A
 * port that is used for UDP too (QUIC) has to be free in both.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { CauseError } from './cause.ts';
import { holderOf, type ProcessFacts, type Protocol } from './proc.ts';

const triesMax = 200;
/** Never taken unasked: the follower's proxy has this one where there is such a proxy. */
const reserved: ReadonlySet<number> = new Set([9098]);

export interface ChosenPorts {
  readonly ports: Readonly<Record<string, number>>;
  /** One sentence for each port that is not the one it shall have. */
  readonly notes: readonly string[];
}

/** Is the failure that somebody has it, or that this user may not? */
function isTaken(thrown: unknown): boolean {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
  return code === 'EADDRINUSE' || code === 'EACCES';
}

/** Nobody listens on it, on any address of this machine. */
async function isFreeTcp(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host: '0.0.0.0', exclusive: true });
    await once(server, 'listening');
    await once(server.close(), 'close');
    return true;
  } catch (thrown) {
    if (isTaken(thrown)) return false;
    throw thrown;
  }
}

async function isFreeUdp(port: number): Promise<boolean> {
  const socket = createSocket({ type: 'udp4', reuseAddr: false });
  try {
    socket.bind({ port, address: '0.0.0.0', exclusive: true });
    await once(socket, 'listening');
    return true;
  } catch (thrown) {
    if (isTaken(thrown)) return false;
    throw thrown;
  } finally {
    socket.close();
  }
}

export interface PortWishes {
  readonly title: string;
  readonly wanted: Readonly<Record<string, number>>;
  /** Names of the ports that it uses for UDP as well. */
  readonly udp?: readonly string[];
  /** The ports of its last start, if the wishes were the same then. */
  readonly last: Readonly<Record<string, number>> | null;
  /** Belongs to another daemon of this agent. */
  readonly claimed: (port: number) => boolean;
  /** Was started by this agent for this daemon, although its notes do not describe it. */
  readonly isOrphan: (holder: ProcessFacts) => boolean;
}

/** In which protocol somebody has the port; null: nobody has. */
async function takenIn(port: number, udp: boolean): Promise<Protocol | null> {
  if (!(await isFreeTcp(port))) return 'tcp';
  return udp && !(await isFreeUdp(port)) ? 'udp' : null;
}

async function noteFor(name: string, port: number, wishes: PortWishes): Promise<string> {
  const taken = await takenIn(port, wishes.udp?.includes(name) === true);
  const at = `${wishes.title}: ${name} port ${port}${taken === 'udp' ? ' (UDP)' : ''}`;
  if (wishes.claimed(port) || taken === null)
    return `${at} belongs to another daemon of this agent`;
  const holder = await holderOf(port, taken);
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
  const usable = async (name: string, port: number): Promise<boolean> =>
    !wishes.claimed(port) &&
    !Object.values(ports).includes(port) &&
    (await takenIn(port, wishes.udp?.includes(name) === true)) === null;
  for (const [name, wanted] of Object.entries(wishes.wanted)) {
    const last = wishes.last?.[name];
    if (last !== undefined && (await usable(name, last))) {
      ports[name] = last;
      if (last !== wanted) notes.push(`${wishes.title}: ${name} stays on port ${last}`);
      continue;
    }
    let port = wanted;
    // Whoever asks for a reserved port by its number gets it.
    const kept = (): boolean => port !== wanted && reserved.has(port);
    for (let tries = 0; kept() || !(await usable(name, port)); tries++) {
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
