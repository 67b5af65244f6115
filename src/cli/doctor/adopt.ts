/**
 * What is on this machine already: folders of earlier installs, daemons that run, units that start
 * them. Makes a proposal for the `daemons:` section out of it and changes nothing: what runs is
 * proposed as external, what only lies there as managed, with its own folder.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { type DaemonType, daemonTypes } from '../../daemons/api.ts';
import { findProcesses } from '../../daemons/proc.ts';
import { programs } from './machine.ts';

export interface Install {
  readonly type: DaemonType;
  /** Its folder, where there is one. */
  readonly folder: string | null;
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  /** Units of the system's manager that start it. */
  readonly units: readonly string[];
  /** Where its API answers by its own files; null: they don't say. */
  readonly url: string | null;
}

export interface Places {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly unitFolders: readonly string[];
}

/** The file that shows that a folder is what its name says. */
const marks: Readonly<
  Record<DaemonType, readonly [env: string | null, name: string, mark: string]>
> = {
  ipfs: ['IPFS_PATH', '.ipfs', 'config'],
  ipfs_cluster_service: ['IPFS_CLUSTER_PATH', '.ipfs-cluster', 'service.json'],
  ipfs_cluster_follow: [null, '.ipfs-cluster-follow', ''],
  lotus: ['LOTUS_PATH', '.lotus', ''],
};

function folderOf(type: DaemonType, { home, env }: Places): string | null {
  const [variable, name, mark] = marks[type];
  const folder = (variable === null ? undefined : env[variable]) ?? join(home, name);
  return existsSync(join(folder, mark)) ? folder : null;
}

async function textIn(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    // Not there, or not ours to read: then it says nothing.
    if (thrown instanceof Error && 'code' in thrown) return null;
    throw thrown;
  }
}

/** `/ip4/127.0.0.1/tcp/5001` as an URL; an address that means everywhere is reached on loopback. */
export function urlOf(multiaddr: string): string | null {
  const match = /^\/(ip4|ip6|dns4?|dns6)\/([^/]+)\/tcp\/(\d+)/.exec(multiaddr.trim());
  if (match === null) return null;
  const [, kind = '', host = '', port = ''] = match;
  const everywhere = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${kind === 'ip6' ? `[${everywhere}]` : everywhere}:${port}`;
}

async function addressIn(type: DaemonType, folder: string | null): Promise<string | null> {
  if (folder === null) return null;
  if (type === 'lotus') return urlOf((await textIn(join(folder, 'api'))) ?? '');
  const file = { ipfs: 'config', ipfs_cluster_service: 'service.json', ipfs_cluster_follow: '' }[
    type
  ];
  const text = file === '' ? null : await textIn(join(folder, file));
  const pattern =
    type === 'ipfs' ? /"API":\s*\[?\s*"([^"]+)"/ : /"http_listen_multiaddress":\s*\[?\s*"([^"]+)"/;
  return urlOf(pattern.exec(text ?? '')?.[1] ?? '');
}

/** The words of a process line that a daemon of this kind has, beside its program. */
const words: Readonly<Record<DaemonType, string | null>> = {
  ipfs: 'daemon',
  ipfs_cluster_service: 'daemon',
  ipfs_cluster_follow: 'run',
  lotus: null,
};

function isDaemon(type: DaemonType, [program = '', ...args]: readonly string[]): boolean {
  const name = basename(program);
  if (!programs[type].includes(name)) return false;
  const word = name === 'lotus' ? 'daemon' : words[type];
  return word === null || args.includes(word);
}

async function unitsOf(type: DaemonType, folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    const names = existsSync(folder) ? await readdir(folder) : [];
    for (const name of names.filter((one) => one.endsWith('.service'))) {
      const path = join(folder, name);
      const starts = /^ExecStart=[-@:+!]*(.+)$/m.exec((await textIn(path)) ?? '')?.[1];
      if (starts !== undefined && isDaemon(type, starts.trim().split(/\s+/))) found.push(path);
    }
  }
  return found;
}

export async function findInstalls(places: Places): Promise<Install[]> {
  const installs: Install[] = [];
  for (const type of daemonTypes) {
    const folder = folderOf(type, places);
    const processes = (await findProcesses((argv) => isDaemon(type, argv))).map(
      ({ pid, argv }) => ({ pid, command: argv.join(' ').slice(0, 200) }),
    );
    const units = await unitsOf(type, places.unitFolders);
    const url = await addressIn(type, folder);
    if (folder !== null || processes.length > 0 || units.length > 0)
      installs.push({ type, folder, processes, units, url });
  }
  return installs;
}

const usualUrl: Readonly<Record<DaemonType, string>> = {
  ipfs: 'http://127.0.0.1:5001',
  ipfs_cluster_service: 'http://127.0.0.1:9094',
  ipfs_cluster_follow: 'http://127.0.0.1:9097',
  lotus: 'http://127.0.0.1:1234',
};

/** Somebody else starts it: it stays theirs, and the agent watches. */
const isTheirs = ({ processes, units }: Install): boolean =>
  processes.length > 0 || units.length > 0;

export function proposalOf(installs: readonly Install[]) {
  const daemons: Record<string, unknown> = {};
  const notes: string[] = [];
  for (const install of installs) {
    const { type, folder, units, processes, url } = install;
    if (isTheirs(install)) {
      const token = type === 'lotus' && folder !== null ? join(folder, 'token') : null;
      daemons[type] = {
        mode: 'external',
        url: url ?? usualUrl[type],
        ...(token === null ? {} : { auth: { type: 'bearer', file: token } }),
      };
      const by = units.length > 0 ? units.join(', ') : `process ${processes[0]?.pid}`;
      notes.push(
        `${type} is run by ${by}: as external it is only watched. For the agent to run it: stop ` +
          `and disable that, then mode: managed${folder === null ? '' : `, folder: ${folder}`}`,
      );
      if (url === null) notes.push(`${type}: its files don't say where its API answers; check url`);
    } else {
      daemons[type] = { mode: 'managed', folder };
      notes.push(
        `${type}: nothing runs it; as managed the agent would, and keeps a copy of each setting ` +
          'that it changes',
      );
    }
  }
  const yaml = installs.length === 0 ? '' : stringify({ daemons });
  return { daemons, notes, yaml };
}
