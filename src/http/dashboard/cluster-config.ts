/**
 * The settings files of the cluster daemons, for people: read without secrets, changed by a merge
 * that keeps a copy of what was there, made by the daemon's own `init`. What the agent itself sets
 * (secret, peers, ports) goes over them at every start.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AgentError } from '../../base/error.ts';
import type { DaemonView } from '../../daemons/api.ts';
import { federationName } from '../../daemons/cluster/federation.ts';
import { hideCredentials } from '../../daemons/credentials.ts';

const initMsMax = 30_000;
const run = promisify(execFile);

export type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const secretNames = /secret|private_key|password|basic_auth_credentials|token|api_key/i;

/** The same without what must not be seen. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value === 'string') return hideCredentials(value);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !secretNames.test(name))
      .map(([name, inner]) => [name, withoutSecrets(inner)]),
  );
}

async function jsonIn(path: string): Promise<Json | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
    throw thrown;
  }
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new AgentError('damaged', `${path} holds no JSON object`);
  return value;
}

/** Which cluster a follower of this node follows, and where it reads its configuration from. */
export interface FollowSource {
  readonly clusterName: string;
  readonly url: string;
}

/** The service keeps its files in its folder, a follower one folder below, named by its cluster. */
function homeOf(view: DaemonView, { clusterName }: FollowSource): string {
  const { folder, type, mode } = view;
  if (mode === 'external')
    throw new AgentError('conflict', `${type} is external: its settings are not this node's`);
  if (folder === null) throw new AgentError('not-found', `${type} is not configured on this node`);
  return type === 'ipfs_cluster_service' ? folder : join(folder, clusterName);
}

const parts = (service: Json | null, identity: Json | null) => ({
  service_config: service === null ? null : (withoutSecrets(service) as Json),
  identity_config: identity === null ? null : (withoutSecrets(identity) as Json),
});

export async function readConfig(view: DaemonView, source: FollowSource) {
  const home = homeOf(view, source);
  const service = await jsonIn(join(home, 'service.json'));
  const identity = await jsonIn(join(home, 'identity.json'));
  const exists = service !== null;
  return {
    success: exists,
    config_exists: exists,
    ...parts(service, identity),
    errors: exists ? [] : [`there is no service.json in ${home}; starting the daemon makes it`],
  };
}

/** Deep merge that refuses what doesn't fit: a section becomes no number, a number no text. */
function merged(before: Json, change: Json, at: string): Json {
  const after = { ...before };
  for (const [name, value] of Object.entries(change)) {
    const path = at === '' ? name : `${at}.${name}`;
    const old = before[name];
    if (secretNames.test(name))
      throw new AgentError('bad-request', `body.${path}: secrets are not changed here`);
    if (at === '' && old === undefined)
      throw new AgentError(
        'bad-request',
        `body.${path}: no such section; it takes ${Object.keys(before).join(', ')}`,
      );
    if (isObject(old) && isObject(value)) after[name] = merged(old, value, path);
    else if (old !== undefined && old !== null && typeof old !== typeof value)
      throw new AgentError(
        'bad-request',
        `body.${path}: got ${JSON.stringify(value)}. It takes a ${typeof old}`,
      );
    else if (isObject(old) || (Array.isArray(old) !== Array.isArray(value) && old !== undefined))
      throw new AgentError('bad-request', `body.${path}: it takes what is there now in its shape`);
    else after[name] = value;
  }
  return after;
}

export async function updateConfig(view: DaemonView, source: FollowSource, change: Json) {
  const home = homeOf(view, source);
  const path = join(home, 'service.json');
  const before = await jsonIn(path);
  if (before === null) throw new AgentError('not-found', `there is no ${path} yet`);
  const after = merged(before, change, '');
  await copyFile(path, `${path}.before-${Date.now()}`);
  await writeFile(`${path}.new`, `${JSON.stringify(after, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return {
    success: true,
    config_updated: true,
    updated_config: withoutSecrets(after) as Json,
    restart_required: view.pid !== null,
    errors: [],
  };
}

export interface CreateOptions {
  readonly overwrite: boolean;
  readonly clusterName: string | undefined;
  readonly bootstrapPeer: string | undefined;
}

/** What the caller asks for and the agent decides by other means, one sentence each. */
function notTaken(view: DaemonView, source: FollowSource, options: CreateOptions): string[] {
  const { clusterName, bootstrapPeer } = options;
  const follows = view.type === 'ipfs_cluster_follow';
  const named = follows ? source.clusterName : federationName;
  const where = follows ? 'daemons.ipfs_cluster_follow.follow' : 'the cluster that the agents run';
  return [
    ...(clusterName === undefined || clusterName === named
      ? []
      : [`cluster_name: got '${clusterName}'; it is '${named}', by ${where}`]),
    ...(bootstrapPeer === undefined
      ? []
      : [`bootstrap_peer: not taken; at every start the peers come from ${where}`]),
  ];
}

/** Makes the settings by the daemon's own init; an identity that is there is kept. */
async function initialise(view: DaemonView, home: string, source: FollowSource): Promise<void> {
  const { binary, folder } = view;
  if (binary === null || folder === null)
    throw new AgentError('not-found', `${view.title} is not on this machine`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (view.type === 'ipfs_cluster_service') {
    const env = { ...process.env, IPFS_CLUSTER_PATH: home };
    await run(binary, ['init', '--consensus', 'crdt'], { env, timeout: initMsMax });
    return;
  }
  const { clusterName, url } = source;
  if ((await jsonIn(join(home, 'identity.json'))) === null)
    await run(binary, ['--config', folder, clusterName, 'init', url], { timeout: initMsMax });
  else {
    const text = `${JSON.stringify({ source: url }, null, 2)}\n`;
    await writeFile(join(home, 'service.json'), text, { mode: 0o600 });
  }
  await chmod(join(home, 'service.json'), 0o600); // the URL may carry a token
}

export async function createConfig(view: DaemonView, source: FollowSource, options: CreateOptions) {
  const home = homeOf(view, source);
  if (view.pid !== null)
    throw new AgentError(
      'conflict',
      `${view.title} runs: stop it before its settings are made anew`,
    );
  const path = join(home, 'service.json');
  const before = await jsonIn(path);
  if (before !== null && !options.overwrite)
    throw new AgentError('conflict', `overwrite: ${path} is there already; true makes it anew`);
  const identityBefore = await jsonIn(join(home, 'identity.json'));
  if (before !== null) await rename(path, `${path}.before-${Date.now()}`);
  await initialise(view, home, source);
  const service = await jsonIn(path);
  const identity = await jsonIn(join(home, 'identity.json'));
  const made = service !== null;
  return {
    success: made,
    config_created: made,
    identity_created: identityBefore === null && identity !== null,
    ...parts(service, identity),
    errors: [...(made ? [] : ['init made no service.json']), ...notTaken(view, source, options)],
  };
}
