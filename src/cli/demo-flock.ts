/**
 * Five agents as five processes of this machine. Whatever way the demo ends, they end: each watches
 * a pipe that the kernel closes with us. Only processes started here are ever signalled.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Role } from '../wire/member.ts';
import { type Client, createClient } from './client.ts';
import { tokenFileName } from './connection.ts';
import { ExitError } from './exit-code.ts';

/** The agents end within this, or are killed. */
const stopMsMax = 45_000;

export interface NodePlan {
  readonly name: string;
  readonly role: Role;
  readonly httpPort: number;
  readonly meshPort: number;
  readonly data: string;
  readonly configFile: string;
}

export interface FlockNode extends NodePlan {
  readonly statusUrl: string;
  /** Made when the agent has written its token. */
  client(): Client;
  pid(): number;
  alive(): boolean;
  /** The end of what it logged, for a person to read. */
  lastWords(): string;
}

export interface Flock {
  readonly nodes: readonly FlockNode[];
  node(name: string): FlockNode;
  living(): FlockNode[];
  start(name: string): void;
  /** kill -9; resolves when the process is gone, with the instant of the signal. */
  kill(name: string): Promise<number>;
  /** Ends every process; resolves when all are gone. */
  stop(): Promise<void>;
}

export interface FlockOptions {
  readonly folder: string;
  /** The program to start agents with; this one. */
  readonly program: string;
  readonly plans: readonly NodePlan[];
  /** Told when an agent ends that nobody here ended. */
  readonly onLost: (name: string, how: string) => void;
}

function argumentsFor(plan: NodePlan, first: NodePlan, options: FlockOptions): string[] {
  const mesh = `/ip4/127.0.0.1/tcp/${first.meshPort}`;
  return [
    options.program,
    'agent',
    ...['--role', plan.role, '--node-id', plan.name, '--data', plan.data],
    ...['--http-port', String(plan.httpPort)],
    ...['--mesh-host', '127.0.0.1', '--mesh-port', String(plan.meshPort)],
    ...['--config', plan.configFile],
    ...(plan === first ? [] : ['--peers', mesh]),
    '--start-cluster',
    '--parent-pipe',
  ];
}

function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new ExitError('no agent', `there is no token in ${file} yet`, { cause });
  }
}

function createNode(plan: NodePlan, first: NodePlan, options: FlockOptions) {
  const statusUrl = `http://127.0.0.1:${plan.httpPort}`;
  const log = join(options.folder, `${plan.name}.log`);
  let child: ChildProcess | null = null;
  let known: Client | null = null;
  let ending = false;
  const alive = (): boolean =>
    child !== null && child.exitCode === null && child.signalCode === null;
  const running = (): ChildProcess => {
    if (child === null || child.pid === undefined)
      throw new ExitError('failure', `${plan.name} was not started`);
    return child;
  };

  const node: FlockNode = {
    ...plan,
    statusUrl,
    alive,
    pid: () => running().pid ?? 0,
    client() {
      known ??= createClient(statusUrl, tokenIn(join(plan.data, tokenFileName)));
      return known;
    },
    lastWords: () => readFileSync(log, 'utf8').trimEnd().split('\n').at(-1) ?? '',
  };
  return {
    node,
    start() {
      const out = openSync(log, 'a');
      ending = false;
      // A process group of its own: Ctrl-C reaches us alone, and we end them in order.
      child = spawn(process.execPath, argumentsFor(plan, first, options), {
        stdio: ['pipe', out, out],
        detached: true,
      });
      closeSync(out);
      child.on('error', (error) => options.onLost(plan.name, error.message));
      child.on('exit', (code, signal) => {
        if (!ending) options.onLost(plan.name, signal ?? `exit code ${code}`);
      });
      // The agent may close its end first; that is how its death shows, nothing more.
      child.stdin?.on('error', (error: Error) => {
        if (alive()) options.onLost(plan.name, error.message);
      });
    },
    async kill(): Promise<number> {
      const gone = once(running(), 'exit');
      ending = true;
      const atMs = performance.now();
      running().kill('SIGKILL');
      await gone;
      return atMs;
    },
    async stop(): Promise<void> {
      await known?.close();
      if (!alive()) return;
      ending = true;
      const gone = once(running(), 'exit');
      running().kill('SIGTERM');
      const slow = new AbortController();
      const killed = wait(stopMsMax, undefined, { signal: slow.signal }).then(
        () => running().kill('SIGKILL'),
        (reason: Error) => reason.name === 'AbortError',
      );
      await gone;
      slow.abort();
      await killed;
    },
  };
}

export function createFlock(options: FlockOptions): Flock {
  const [first] = options.plans;
  if (!first) throw new ExitError('usage', 'a flock needs a node');
  const handles = new Map(
    options.plans.map((plan) => [plan.name, createNode(plan, first, options)] as const),
  );
  const at = (name: string) => {
    const handle = handles.get(name);
    if (!handle) throw new ExitError('not found', `there is no node '${name}' in the demo`);
    return handle;
  };
  const nodes = [...handles.values()].map(({ node }) => node);
  return {
    nodes,
    node: (name) => at(name).node,
    living: () => nodes.filter((node) => node.alive()),
    start: (name) => at(name).start(),
    kill: (name) => at(name).kill(),
    async stop() {
      await Promise.all([...handles.values()].map((handle) => handle.stop()));
    },
  };
}
