/**
 * What an operator sets about daemons: the `daemons:` section of the configuration, one entry per
 * kind. Rules across fields are in `daemonMistakes`; defaults that depend on the node's role
 * belong to the adapters.
 */
import { z } from 'zod';
import { followMistakes, followSchema } from './cluster/foreign.ts';

const port = z.int().min(1).max(65_535);
const bytes = z.int().min(1_048_576);

const authSchema = z.strictObject({
  /** Basic: the file holds `user:password`. Bearer: it holds the token. */
  type: z.enum(['basic', 'bearer']),
  file: z.string().min(1),
});

const tlsSchema = z.strictObject({
  /** Certificate of the authority that signed the daemon's certificate; default: the system's. */
  caFile: z.string().min(1).optional(),
  /** The name its certificate is made out to, where the URL has another one. */
  serverName: z.string().min(1).optional(),
});

const limitsSchema = z.strictObject({
  /** Its memory; a daemon in Go collects earlier near it, and no daemon gets more. */
  memoryBytes: bytes.optional(),
  /** Processors at a time. */
  cpus: z.number().min(0.1).max(1024).optional(),
  /** Open files and sockets. */
  files: z.int().min(64).max(10_000_000).optional(),
});

const daemonSchema = z.strictObject({
  /**
   * managed: we start it and own it; external: we only watch; off. by-role, for the two of
   * ipfs-cluster: managed where the node's role runs it, else off. @default off
   */
  mode: z.enum(['managed', 'external', 'off', 'by-role']).optional(),
  /** Path of its binary. @default looked for in the install folder, then on PATH */
  binary: z.string().min(1).optional(),
  /** Its folder. @default <data>/daemons/<type>/home */
  folder: z.string().min(1).optional(),
  /** The ports it shall have, by name; one that is taken is replaced by the next free one. */
  ports: z.record(z.string().max(32), port).optional(),
  /** external: the base of its API. */
  url: z.url({ protocol: /^https?$/ }).optional(),
  auth: authSchema.optional(),
  tls: tlsSchema.optional(),
  limits: limitsSchema.optional(),
  /** kubo: how much its repo may hold. */
  storageMax: bytes.optional(),
  /** kubo: `local` finds and serves nobody beyond this machine. @default public */
  network: z.enum(['public', 'local']).optional(),
  /** kubo: talks only to kubos that have the flock's network key. @default false */
  privateNetwork: z.boolean().optional(),
  /** Whether it is restarted when it fails. @default true; `daemon heal` changes it */
  autoHeal: z.boolean().optional(),
  /** ipfs_cluster_follow: somebody else's cluster. @default the one that the agents run */
  follow: followSchema.optional(),
  /** Settings of the daemon itself, by its own names, which go over ours. */
  settings: z.record(z.string().max(200), z.json()).optional(),
});
export type DaemonOptions = z.infer<typeof daemonSchema>;
export type DaemonMode = NonNullable<DaemonOptions['mode']>;

const ms = z.int().min(1).max(86_400_000);

export const daemonsSchema = z.strictObject({
  /** Time between one act of healing and the next. @default 300000 */
  coolDownMs: ms.optional(),
  /** Without an answer for so long a running daemon is unresponsive. @default 10000 */
  unresponsiveMs: ms.optional(),
  /** How often each daemon is looked at. @default 1000 */
  checkMs: ms.optional(),
  ipfs: daemonSchema.optional(),
  ipfs_cluster_service: daemonSchema.optional(),
  ipfs_cluster_follow: daemonSchema.optional(),
  lotus: daemonSchema.optional(),
});
export type DaemonsOptions = z.infer<typeof daemonsSchema>;

/** What contradicts itself in one daemon's settings, one sentence each. */
export function daemonMistakes(type: string, options: DaemonOptions): string[] {
  const at = `daemons.${type}`;
  const mistakes: string[] = [];
  const { mode = 'off', url, auth, tls } = options;
  if (mode === 'external' && url === undefined)
    mistakes.push(`${at}.url: an external daemon needs the URL of its API`);
  if (mode !== 'external' && (url !== undefined || auth !== undefined || tls !== undefined))
    mistakes.push(`${at}: url, auth and tls are for mode external; the mode is ${mode}`);
  if (tls !== undefined && url !== undefined && !url.startsWith('https:'))
    mistakes.push(`${at}.tls: the url ${url} is not https`);
  if (mode === 'by-role' && type !== 'ipfs_cluster_service' && type !== 'ipfs_cluster_follow')
    mistakes.push(
      `${at}.mode: by-role is for the two of ipfs-cluster. It takes managed, external, off`,
    );
  if (mode === 'by-role' && options.follow !== undefined)
    mistakes.push(
      `${at}.mode: by-role follows the cluster that the agents run; with follow it takes managed`,
    );
  if (options.privateNetwork !== undefined && type !== 'ipfs')
    mistakes.push(`${at}.privateNetwork: only ipfs (kubo) takes the network key`);
  if (options.follow !== undefined) {
    if (type !== 'ipfs_cluster_follow')
      mistakes.push(`${at}.follow: only ipfs_cluster_follow follows somebody's cluster`);
    mistakes.push(...followMistakes(`${at}.follow`, options.follow));
  }
  if (mode === 'external')
    for (const name of [
      'binary',
      'folder',
      'limits',
      'storageMax',
      'network',
      'privateNetwork',
      'follow',
      'settings',
      'ports',
    ] as const)
      if (options[name] !== undefined)
        mistakes.push(`${at}.${name}: we only watch an external daemon and change nothing of it`);
  return mistakes;
}
