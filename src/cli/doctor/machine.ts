/**
 * What this machine has that an agent needs: programs with their versions, ports and who holds
 * them, room, a configuration that holds. Only looks; every problem comes with its remedy.
 */
import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { asAgentError } from '../../base/error.ts';
import { type DaemonType, daemonTypes } from '../../daemons/api.ts';
import { findBinary } from '../../daemons/binaries.ts';
import { holderOf, type Protocol } from '../../daemons/proc.ts';

const versionMsMax = 10_000;
const bytesLow = 2 * 1024 ** 3;
const run = promisify(execFile);

export interface Finding {
  /** `ok`: fine; `missing`: not there, which may be what is wanted; `problem`: something to do. */
  readonly state: 'ok' | 'missing' | 'problem';
  readonly what: string;
  readonly detail: string;
  /** What to do about it; null where there is nothing to do. */
  readonly remedy: string | null;
}

export const programs: Readonly<Record<DaemonType, readonly string[]>> = {
  ipfs: ['ipfs'],
  ipfs_cluster_service: ['ipfs-cluster-service'],
  ipfs_cluster_follow: ['ipfs-cluster-follow'],
  lotus: ['lotus', 'forest'],
};

type UsualPort = readonly [
  port: number,
  user: DaemonType | 'agent',
  setting: string,
  protocol?: Protocol,
];

/** Usual ports, by who uses them. */
export const usualPorts: readonly UsualPort[] = [
  [9099, 'agent', 'httpPort'],
  [4101, 'agent', 'meshPort'],
  [5001, 'ipfs', 'daemons.ipfs.ports.rpc'],
  [8080, 'ipfs', 'daemons.ipfs.ports.gateway'],
  [4001, 'ipfs', 'daemons.ipfs.ports.swarm'],
  [4001, 'ipfs', 'daemons.ipfs.ports.swarm', 'udp'],
  [9094, 'ipfs_cluster_service', 'daemons.ipfs_cluster_service.ports.api'],
  [9095, 'ipfs_cluster_service', 'daemons.ipfs_cluster_service.ports.proxy'],
  [9096, 'ipfs_cluster_service', 'daemons.ipfs_cluster_service.ports.cluster'],
  [9097, 'ipfs_cluster_follow', 'daemons.ipfs_cluster_follow.ports.api'],
  [1234, 'lotus', 'daemons.lotus.ports.rpc'],
];

/** Ports in use, as `listeningPorts` finds them. */
export type Listening = Readonly<Record<Protocol, ReadonlySet<number>>>;
type Env = Readonly<Record<string, string | undefined>>;

async function programFinding(type: DaemonType, env: Env): Promise<Finding> {
  const what = `program ${programs[type].join(' or ')}`;
  let path: string;
  try {
    path = findBinary(programs[type], undefined, env);
  } catch (thrown) {
    const install = `scripts/install-daemons${type === 'lotus' ? ' --filecoin' : ''}`;
    const remedy = `${install} gets it; nothing to do where this node shall not run it`;
    return { state: 'missing', what, detail: asAgentError(thrown).message, remedy };
  }
  try {
    const { stdout } = await run(path, ['--version'], { timeout: versionMsMax });
    const version = stdout.trim().split('\n')[0] ?? '';
    return { state: 'ok', what, detail: `${path}: ${version}`, remedy: null };
  } catch (thrown) {
    const detail = `${path} --version failed: ${asAgentError(thrown).message.split('\n')[0]}`;
    return { state: 'problem', what, detail, remedy: 'install it anew, or remove it from PATH' };
  }
}

async function portFinding(
  [port, user, setting, protocol = 'tcp']: UsualPort,
  listening: Listening,
): Promise<Finding> {
  const what = `port ${port}${protocol === 'udp' ? '/udp' : ''} (${user})`;
  if (!listening[protocol].has(port)) return { state: 'ok', what, detail: 'free', remedy: null };
  const holder = await holderOf(port, protocol);
  if (holder === null)
    return {
      state: 'problem',
      what,
      detail: 'taken by a process of another user',
      remedy: `look as root who it is, or choose another port: ${setting}`,
    };
  const { pid, argv } = holder;
  const command = argv.join(' ').slice(0, 120);
  const name = basename(argv[0] ?? '');
  const daemon = user !== 'agent' && programs[user].includes(name);
  if (user === 'agent' ? /bellwether|src\/cli\/main/.test(command) : daemon)
    return {
      state: 'ok',
      what,
      detail: `taken by process ${pid}: ${command}`,
      remedy: daemon
        ? `if no agent manages it: doctor --adopt proposes how to take it over, or ${setting}`
        : null,
    };
  const managed = user === 'agent' ? '' : '; a managed daemon takes the next free one by itself';
  return {
    state: 'problem',
    what,
    detail: `taken by process ${pid}: ${command}`,
    remedy: `end it if it is not wanted, or choose another: ${setting}${managed}`,
  };
}

async function roomFinding(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const what = 'room on the disk';
  const detail = `${(free / 1e9).toFixed(1)} GB free in ${folder}`;
  if (free >= bytesLow) return { state: 'ok', what, detail, remedy: null };
  return { state: 'problem', what, detail, remedy: 'free some, or set data to another disk' };
}

export async function lookAtMachine(options: {
  readonly env: Env;
  readonly folder: string;
  readonly listening: Listening;
}): Promise<Finding[]> {
  const { env, folder, listening } = options;
  const node = process.versions.node;
  return Promise.all([
    { state: 'ok', what: 'Node', detail: node, remedy: null } as const,
    roomFinding(folder),
    ...daemonTypes.map((type) => programFinding(type, env)),
    ...usualPorts.map((port) => portFinding(port, listening)),
  ]);
}
