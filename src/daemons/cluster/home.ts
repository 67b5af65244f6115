/**
 * The folder of an ipfs-cluster daemon: its identity, and what stays behind when it is killed. The
 * daemon's own `init` makes the folder; settings go in by environment and nothing in it is
 * overwritten.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import type { Cause } from '../../supervise/api.ts';
import type { Endpoint, Exit, Place } from '../api.ts';
import { CauseError } from '../cause.ts';

const identitySchema = z.looseObject({ id: z.string().min(1).max(128) });
const socketMsMax = 1000;

export const loopback = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`;

/** The peer id of the daemon in this folder; null before its `init`. */
export function identityIn(folder: string): string | null {
  const file = join(folder, 'identity.json');
  if (!existsSync(file)) return null;
  try {
    return identitySchema.parse(JSON.parse(readFileSync(file, 'utf8'))).id;
  } catch (cause) {
    throw new CauseError('bad-config', `${file} is no identity of ipfs-cluster`, { cause });
  }
}

/** Multiaddr of the kubo that a cluster daemon works with. */
export function kuboMultiaddr({ endpointOf }: Place): string {
  const kubo = endpointOf('ipfs');
  if (kubo === null) throw new CauseError('bad-config', 'ipfs-cluster needs kubo: daemons.ipfs');
  const { hostname, port, protocol } = new URL(kubo.url);
  if (protocol !== 'http:' || kubo.authorization !== null)
    throw new CauseError(
      'bad-config',
      `ipfs-cluster reaches kubo by plain HTTP without a password; daemons.ipfs is at ${kubo.url}`,
    );
  const host = hostname.replace(/^\[|\]$/g, '');
  const kind = host.includes(':') ? 'ip6' : /^[\d.]+$/.test(host) ? 'ip4' : 'dns';
  return `/${kind}/${host}/tcp/${port || 80}`;
}

/** What an operator set by the daemon's own names (`CLUSTER_...`). */
export function ownSettings({ options }: Place): Record<string, string> {
  const entries = Object.entries(options.settings ?? {}).map(([name, value]) => {
    if (!/^CLUSTER_[A-Z0-9_]+$/.test(name))
      throw new CauseError('bad-config', `settings: ${name} is no CLUSTER_... setting`);
    return [name, typeof value === 'string' ? value : JSON.stringify(value)] as const;
  });
  return Object.fromEntries(entries);
}

export const apiOf = ({ ports }: Pick<Place, 'ports'>): Endpoint => ({
  url: `http://127.0.0.1:${ports.api}`,
  authorization: null,
  tls: null,
});

/** Removes a socket that nobody listens on any more; one that answers is left alone. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(path);
  socket.setTimeout(socketMsMax, () => resolve(true));
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const answered = await promise;
  socket.destroy();
  if (answered) throw new CauseError('repo-locked', `a daemon that is not ours listens on ${path}`);
  rmSync(path, { force: true });
}

/** Causes by what the program itself says; the system's texts are known elsewhere. */
export function classifyCluster({ logTail }: Exit): Cause | null {
  if (/resource temporarily unavailable|cannot acquire lock|lock .*held/i.test(logTail))
    return 'repo-locked';
  if (
    /error loading config|reading the configurations|invalid.*secret|encoding\/hex/i.test(logTail)
  )
    return 'bad-config';
  if (/timed out waiting for IPFS/i.test(logTail)) return 'dependency-down';
  return null;
}
