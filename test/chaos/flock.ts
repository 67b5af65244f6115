/**
 * Agent processes, each in its network namespace, on its own disk, with its log kept. Knows when a
 * process was killed, stopped or ended by itself. Only processes started here are signalled.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { foundFlock } from '../../src/agent/trust/founding.ts';
import { checkedRole, getJson, type Page, until } from '../e2e/flock.ts';
import { nodeBinary, programIn } from '../e2e/program.ts';
import type { EndRecord } from './acting.ts';
import { createDisk, type Disk } from './disk.ts';
import { contentPort, httpPort, meshPort, type Network } from './network.ts';

const faketime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

/** The machine's monotonic clock, as the agents log it. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export interface ChaosNode {
  readonly number: number;
  readonly name: string;
  readonly url: string;
  readonly data: string;
  readonly disk: Disk;
  readonly logFile: string;
  /** A file with the shift of its wall clock; null where the clock is left alone. */
  readonly clockFile: string | null;
}

export interface Flock {
  readonly nodes: readonly ChaosNode[];
  readonly ends: readonly EndRecord[];
  /** Processes that ended though nobody asked: name and exit code. */
  readonly surprises: readonly string[];
  running(node: ChaosNode): boolean;
  start(node: ChaosNode): void;
  kill(node: ChaosNode): Promise<void>;
  stop(node: ChaosNode): void;
  resume(node: ChaosNode): void;
  /** Its end is the fault's doing, not a surprise. */
  mayEnd(node: ChaosNode, may: boolean): void;
  /** Resolves with the exit code, or null if it still runs after `ms`. */
  ended(node: ChaosNode, ms: number): Promise<number | null>;
  token(node: ChaosNode): string;
  page(node: ChaosNode): Promise<Page | null>;
  /** All nodes agree on a leader that acts; its name. */
  leader(deadlineMs: number): Promise<string>;
  stopAll(): Promise<void>;
}

export interface FlockOptions {
  readonly dir: string;
  readonly names: readonly string[];
  readonly network: Network;
  /** Names whose clock will be moved. */
  readonly clocks: readonly string[];
  readonly timing: Readonly<Record<string, number>>;
}

export async function createFlock(options: FlockOptions): Promise<Flock> {
  const { dir, network } = options;
  const program = programIn(dir);
  const config = join(dir, 'config.yaml');
  writeFileSync(
    config,
    JSON.stringify({
      timing: options.timing,
      content: { reserveBytes: 1024 * 1024, port: contentPort },
      log: { keepEntries: 500, cutEntries: 1500 },
    }),
  );
  const children = new Map<string, ChildProcess>();
  const ends: EndRecord[] = [];
  const surprises: string[] = [];
  const excused = new Set<string>();
  const nodes: ChaosNode[] = [];
  for (const [number, name] of options.names.entries()) {
    const disk = await createDisk(dir, name);
    const clockFile = options.clocks.includes(name) ? join(dir, `${name}.clock`) : null;
    nodes.push({
      number,
      name,
      disk,
      clockFile,
      data: join(disk.dir, 'data'),
      url: `http://${network.address(number)}:${httpPort}`,
      logFile: join(dir, `${name}.log`),
    });
  }

  await foundFlock(
    nodes.map(({ name, data, number }) => ({
      ...{ name, role: checkedRole(name.replace(/-\d+$/, '')), data },
      mesh: `/ip4/${network.address(number)}/tcp/${meshPort}`,
    })),
    Date.now(),
  );

  function argsOf({ number, name, data }: ChaosNode): string[] {
    const address = network.address(number);
    return [
      'agent',
      ...['--role', name.replace(/-\d+$/, ''), '--node-id', name, '--data', data],
      ...['--config', config, '--log-level', 'debug'],
      ...['--http-host', address, '--http-port', String(httpPort)],
      ...['--mesh-host', address, '--mesh-port', String(meshPort)],
      ...(number === 0 ? ['--start-cluster'] : ['--peers', `${network.address(0)}:${meshPort}`]),
    ];
  }

  function start(node: ChaosNode): void {
    if (children.has(node.name)) throw new Error(`${node.name} runs already`);
    const env: NodeJS.ProcessEnv = { ...process.env };
    if (node.clockFile !== null) {
      writeFileSync(node.clockFile, '+0\n');
      env.LD_PRELOAD = faketime;
      env.FAKETIME_TIMESTAMP_FILE = node.clockFile;
      // Only wall time moves; the monotonic clock of a machine doesn't jump.
      env.FAKETIME_DONT_FAKE_MONOTONIC = '1';
      env.FAKETIME_NO_CACHE = '1';
      env.NO_FAKE_STAT = '1';
    }
    const log = openSync(node.logFile, 'a');
    const inside = `--net=/run/netns/${network.namespace(node.number)}`;
    const child = spawn('nsenter', [inside, '--', nodeBinary(), program, ...argsOf(node)], {
      stdio: ['ignore', log, log],
      env,
    });
    closeSync(log);
    child.on('exit', (code, signal) => {
      ends.push({ node: node.name, atMs: machineMs() });
      appendFileSync(node.logFile, `--- ended: ${code ?? signal}\n`);
      if (signal !== 'SIGKILL' && !excused.has(node.name))
        surprises.push(`${node.name} ended with ${code ?? signal}`);
      if (children.get(node.name) === child) children.delete(node.name);
    });
    children.set(node.name, child);
  }

  async function kill(node: ChaosNode): Promise<void> {
    const child = children.get(node.name);
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  const page = (node: ChaosNode): Promise<Page | null> =>
    getJson<Page>(`${node.url}/status`, { timeoutMs: 3000, token: token(node) });

  const token = (node: ChaosNode): string => {
    try {
      return readFileSync(join(node.data, 'http.token'), 'utf8').trim();
    } catch {
      // Not made yet, or its disk is away: the port refuses, and the caller asks again.
      return 'none';
    }
  };

  /** Whoever ended by itself won't agree any more. */
  function mustRun(): void {
    const gone = surprises.length > 0 && nodes.find(({ name }) => !children.has(name));
    if (gone)
      throw new Error(`${gone.name} ended: ${readFileSync(gone.logFile, 'utf8').slice(-600)}`);
  }

  async function agreed(): Promise<string | null> {
    mustRun();
    const pages = await Promise.all(nodes.map(page));
    const names = new Set(pages.map((each) => each?.election.leader?.name ?? null));
    const [name = null] = names;
    if (names.size !== 1 || name === null) return null;
    const leads = pages.find((each) => each?.node.name === name);
    return leads?.election.acting ? name : null;
  }

  return {
    nodes,
    ends,
    surprises,
    running: (node) => children.has(node.name),
    start,
    kill,
    stop: (node) => void children.get(node.name)?.kill('SIGSTOP'),
    resume: (node) => void children.get(node.name)?.kill('SIGCONT'),
    mayEnd: (node, may) => void (may ? excused.add(node.name) : excused.delete(node.name)),
    ended: async (node, ms) => {
      const child = children.get(node.name);
      if (child === undefined) return null;
      const signal = AbortSignal.timeout(ms);
      return once(child, 'exit', { signal })
        .then(([code]: (number | null)[]) => code ?? -1)
        .catch(() => null);
    },
    token,
    page,
    leader: (deadlineMs) =>
      until('a leader that acts and that all nodes know', agreed, {
        deadlineMs,
        everyMs: 100,
        seen: async () => {
          const pages = await Promise.all(nodes.map(page));
          return nodes.map(({ name, logFile }, i) => ({
            name,
            election: pages[i]?.election ?? null,
            log: readFileSync(logFile, 'utf8').slice(-400),
          }));
        },
      }),
    stopAll: async () => {
      await Promise.all(nodes.map(kill));
    },
  };
}
