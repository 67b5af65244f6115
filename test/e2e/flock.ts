/**
 * Real agent processes on loopback for the tests: started, killed, paused and started again on the
 * same ports and folders. Waiting is always for a condition with a deadline, and a deadline that
 * passes tells what every node said last. Only processes started here are ever signalled.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { foundFlock } from '../../src/agent/trust/founding.ts';
import { type Role, roles } from '../../src/wire/member.ts';
import { nodeBinary, programIn } from './program.ts';
import { onSmallDisk, pathInside } from './small-disk.ts';

export interface Page {
  readonly node: { name: string; role: string; peerId: string; cannotLeadReason: string | null };
  readonly cluster: { id: string; epochId: string };
  readonly election: {
    state: string;
    acting: boolean;
    /** Why it leads although it should not. */
    degraded: string | null;
    term: number;
    leader: { name: string; peerId: string; role: string } | null;
    voters: { name: string; state: string }[];
    learners: { name: string }[];
  };
  readonly members: { name: string; role: string; state: string; peerId: string }[];
  readonly log: { firstIndex: number; lastIndex: number; appliedIndex: number };
  readonly replication: { pins: number; underReplicated: number } | null;
}

export interface FlockNode {
  readonly name: string;
  readonly role: string;
  readonly url: string;
  readonly data: string;
  /** What it printed, all incarnations together. */
  readonly logFile: string;
  running(): boolean;
  pid(): number | null;
}

export interface Flock {
  readonly dir: string;
  /** The program that the agents run. */
  readonly program: string;
  readonly nodes: readonly FlockNode[];
  node(name: string): FlockNode;
  start(name: string): void;
  startAll(): void;
  /** Sends a signal; with SIGKILL or SIGTERM resolves when the process is gone. */
  signal(name: string, signal: NodeJS.Signals): Promise<void>;
  status(name: string): Promise<Page | null>;
  /** All running nodes agree on a leader that acts; its name. */
  leader(deadlineMs?: number): Promise<string>;
  token(name: string): string;
  stop(): Promise<void>;
}

export interface FlockOptions {
  /** Where the mesh listens. @default 127.0.0.1 */
  readonly meshHost?: string;
  /** How the others name the first node. @default meshHost */
  readonly seedHost?: string;
  readonly names: readonly string[];
  readonly timing?: Readonly<Record<string, number>>;
  readonly log?: Readonly<Record<string, number>>;
  /** Names whose folder the test makes itself; the others are certified beforehand. */
  readonly bare?: readonly string[];
  readonly daemons?: Readonly<Record<string, unknown>>;
  /** Each node's folder is a memory disk of this size while it runs. Linux. */
  readonly diskMegabytes?: number;
  /** What the node binary is told besides the program. */
  readonly nodeFlags?: readonly string[];
  /** What else stands in a node's configuration. */
  readonly configOf?: (name: string) => Readonly<Record<string, unknown>>;
}

export function checkedRole(role: string): Role {
  const found = roles.find((each) => each === role);
  if (found === undefined) throw new Error(`no role in the name: ${role}`);
  return found;
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** Asks again until the answer is not null; throws what was seen last when the time is over. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | null> | T | null,
  options: { deadlineMs: number; everyMs?: number; seen?: () => Promise<unknown> },
): Promise<T> {
  const endMs = performance.now() + options.deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > endMs) {
      const seen = options.seen === undefined ? '' : `: ${JSON.stringify(await options.seen())}`;
      throw new Error(`${what}: not within ${options.deadlineMs} ms${seen}`);
    }
    await wait(options.everyMs ?? 50);
  }
}

/** JSON of a GET, or null when nobody answers in time or the answer is no success. */
export async function getJson<T>(
  url: string,
  options: { timeoutMs?: number; token?: string | undefined } = {},
): Promise<T | null> {
  const { timeoutMs = 5000, token } = options;
  try {
    const response = await fetch(url, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    return response.ok ? (JSON.parse(text) as T) : null;
  } catch (error) {
    // A process that is down, stopped or slow: the caller asks again.
    if (error instanceof SyntaxError) throw error;
    return null;
  }
}

interface Process extends FlockNode {
  readonly args: readonly string[];
  child: ChildProcess | null;
}

function makeNode(
  flock: { dir: string; first: number; config: string; meshHost: string; seedHost: string },
  spec: { name: string; http: number; mesh: number; starts: boolean },
): Process {
  const { name, http, mesh, starts } = spec;
  const role = name.replace(/-\d+$/, '');
  const data = join(flock.dir, name);
  const node: Process = {
    name,
    role,
    data,
    url: `http://127.0.0.1:${http}`,
    logFile: join(flock.dir, `${name}.log`),
    running: () => node.child !== null,
    pid: () => node.child?.pid ?? null,
    child: null,
    args: [
      'agent',
      ...['--role', role, '--node-id', name, '--data', data, '--config', flock.config],
      ...['--http-port', String(http), '--mesh-host', flock.meshHost, '--mesh-port', String(mesh)],
      ...['--log-level', 'debug', '--start-cluster'],
      ...(starts ? [] : ['--peers', `${flock.seedHost}:${flock.first}`]),
    ],
  };
  return node;
}

export async function createFlock(options: FlockOptions): Promise<Flock> {
  const dir = mkdtempSync(join(tmpdir(), 'bellwether-e2e-'));
  const program = programIn(dir);
  const configFor = (name: string): string => {
    const file = join(dir, `${name}.yaml`);
    const { timing = {}, log = {}, daemons = {}, configOf } = options;
    writeFileSync(file, JSON.stringify({ timing, log, daemons, ...configOf?.(name) }));
    return file;
  };
  const ports = await freePorts(options.names.length * 2);
  const first = ports[1] ?? 0;
  const { meshHost = '127.0.0.1' } = options;
  const processes = options.names.map((name, i) =>
    makeNode(
      { dir, first, config: configFor(name), meshHost, seedHost: options.seedHost ?? meshHost },
      { name, http: ports[i * 2] ?? 0, mesh: ports[i * 2 + 1] ?? 0, starts: i === 0 },
    ),
  );

  // Certified beforehand by the library that `init` uses, so that all start at the same time.
  await foundFlock(
    processes
      .map(({ name, role, data }, i) => ({
        ...{
          name,
          role: checkedRole(role),
          data,
          mesh: `/ip4/127.0.0.1/tcp/${ports[i * 2 + 1] ?? 0}`,
        },
      }))
      .filter(({ name }) => options.bare?.includes(name) !== true),
    Date.now(),
  );

  const find = (name: string): Process => {
    const found = processes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  };

  function start(name: string): void {
    const node = find(name);
    if (node.child !== null) throw new Error(`${name} runs already`);
    const plain = [nodeBinary(), ...(options.nodeFlags ?? []), program, ...node.args];
    const { diskMegabytes: size } = options;
    const [file = '', ...args] = size === undefined ? plain : onSmallDisk(node.data, size, plain);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(node.logFile, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('exit', (code, signal) => {
      log.end(`--- ended: ${code ?? signal}\n`);
      if (node.child === child) node.child = null;
    });
    node.child = child;
  }

  async function signal(name: string, which: NodeJS.Signals): Promise<void> {
    const { child } = find(name);
    if (child === null) throw new Error(`${name} does not run`);
    const ends = which === 'SIGKILL' || which === 'SIGTERM';
    const gone = ends ? once(child, 'exit') : null;
    child.kill(which);
    await gone;
  }

  const status = (name: string): Promise<Page | null> => getJson<Page>(`${find(name).url}/status`);

  async function agreed(): Promise<string | null> {
    const running = processes.filter((node) => node.running());
    const pages = await Promise.all(running.map((node) => status(node.name)));
    const names = new Set(pages.map((page) => page?.election.leader?.name ?? null));
    const [name = null] = names;
    if (names.size !== 1 || name === null) return null;
    const leads = pages.find((page) => page?.node.name === name);
    return leads?.election.acting ? name : null;
  }

  return {
    dir,
    program,
    nodes: processes,
    node: find,
    start,
    startAll: () => {
      for (const node of processes) if (node.child === null) start(node.name);
    },
    signal,
    status,
    leader: (deadlineMs = 60_000) =>
      until('a leader that acts and that all running nodes know', agreed, {
        deadlineMs,
        seen: async () =>
          Promise.all(
            processes.map(async ({ name, logFile }) => ({
              name,
              election: (await status(name))?.election ?? null,
              log: readFileSync(logFile, 'utf8').slice(-600),
            })),
          ),
      }),
    token: (name) => {
      const { data, child } = find(name);
      const mounted = options.diskMegabytes !== undefined && child?.pid !== undefined;
      const folder = mounted ? pathInside(child.pid, data) : data;
      return readFileSync(join(folder, 'http.token'), 'utf8').trim();
    },
    stop: async () => {
      await Promise.all(
        processes.map(async ({ child }) => {
          if (child === null) return;
          const gone = once(child, 'exit');
          child.kill('SIGKILL');
          await gone;
        }),
      );
      if (process.env.BELLWETHER_KEEP === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}
