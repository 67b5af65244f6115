/**
 * Real daemons that belong to nobody's agent: started by a test by their own means, ended by it,
 * everything in one folder and on loopback. What an agent makes of them is what is tested.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { freePorts, until } from '../e2e/flock.ts';
import { daemonBinary } from './binaries.ts';

const startMsMax = 60_000;

export interface ForeignDaemon {
  readonly url: string;
  readonly peerId: string;
  /** Port that its peers dial. */
  readonly swarm: number;
  alive(): boolean;
  end(): Promise<void>;
}

interface Start {
  readonly name: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly answers: () => Promise<Response>;
}

const loopback = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`;
const idIn = (file: string): string => JSON.parse(readFileSync(file, 'utf8')).id;
const kuboAt = (url: string): string => loopback(Number(new URL(url).port));

async function start({ name, args, folder, env, answers }: Start) {
  const log = createWriteStream(join(folder, 'daemon.log'));
  await once(log, 'open');
  const child: ChildProcess = spawn(daemonBinary(name), args, { env, stdio: ['ignore', log, log] });
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  const end = async (): Promise<void> => {
    if (!alive()) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const ready = async (): Promise<true | null> => {
    if (!alive()) throw new Error(`${name} ended: ${readFileSync(join(folder, 'daemon.log'))}`);
    // Not there yet: asked again until the deadline.
    return (await answers().catch(() => null))?.ok ? true : null;
  };
  try {
    await until(`${name} answers`, ready, { deadlineMs: startMsMax, everyMs: 100 });
  } catch (thrown) {
    await end();
    throw thrown;
  }
  return { alive, end };
}

/** A kubo that finds nobody by itself. */
export async function startKubo(folder: string): Promise<ForeignDaemon> {
  mkdirSync(folder, { recursive: true });
  const [rpc = 0, swarm = 0] = await freePorts(2);
  const env = { ...process.env, IPFS_PATH: folder, IPFS_TELEMETRY: 'off' };
  const ipfs = (...args: string[]) =>
    execFileSync(daemonBinary('ipfs'), args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  ipfs('init', '--profile', 'test');
  const file = join(folder, 'config');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  Object.assign(config, { Bootstrap: [], AutoConf: { Enabled: false } });
  Object.assign(config.Addresses, { API: loopback(rpc), Gateway: [], Swarm: [loopback(swarm)] });
  Object.assign(config, {
    Routing: { Type: 'none', DelegatedRouters: [] },
    Ipns: { DelegatedPublishers: [] },
    DNS: { Resolvers: {} },
    AutoTLS: { Enabled: false },
  });
  writeFileSync(file, JSON.stringify(config));
  const url = `http://127.0.0.1:${rpc}`;
  const answers = () => fetch(`${url}/api/v0/id`, { method: 'POST' });
  const started = await start({ name: 'ipfs', args: ['daemon'], folder, env, answers });
  return { ...started, url, swarm, peerId: config.Identity.PeerID };
}

export interface ServiceOptions {
  readonly folder: string;
  /** Base of the API of its kubo. */
  readonly kubo: string;
  /** Hex; default: what its own `init` makes. */
  readonly secret?: string;
}

/** An ipfs-cluster-service of its own cluster, as its `init` makes it, on ports of its own. */
export async function startService(options: ServiceOptions): Promise<ForeignDaemon> {
  const { folder, kubo, secret } = options;
  mkdirSync(folder, { recursive: true });
  const [api = 0, proxy = 0, swarm = 0, pinning = 0] = await freePorts(4);
  const env = {
    ...process.env,
    IPFS_CLUSTER_PATH: folder,
    ...(secret === undefined ? {} : { CLUSTER_SECRET: secret }),
    CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: loopback(api),
    CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: loopback(proxy),
    CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS: loopback(pinning),
    CLUSTER_LISTENMULTIADDRESS: loopback(swarm),
    CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kuboAt(kubo),
    CLUSTER_IPFSPROXY_NODEMULTIADDRESS: kuboAt(kubo),
    CLUSTER_MONITORPINGINTERVAL: '2s',
    // Who misses the first word of a pin hears of it by the next of these; a minute as it comes.
    CLUSTER_CRDT_REBROADCASTINTERVAL: '5s',
    CLUSTER_MDNSINTERVAL: '0s',
  };
  execFileSync(daemonBinary('ipfs-cluster-service'), ['init'], { env, stdio: 'ignore' });
  const url = `http://127.0.0.1:${api}`;
  const answers = () => fetch(`${url}/id`);
  const name = 'ipfs-cluster-service';
  const started = await start({ name, args: ['daemon'], folder, env, answers });
  return { ...started, url, swarm, peerId: idIn(join(folder, 'identity.json')) };
}

export interface FollowOptions {
  readonly folder: string;
  readonly name: string;
  readonly kubo: string;
  /** Where it gets its configuration from. */
  readonly initUrl: string;
}

export async function startFollow(options: FollowOptions): Promise<ForeignDaemon> {
  const { folder, name: cluster, kubo, initUrl } = options;
  mkdirSync(folder, { recursive: true });
  const [api = 0, swarm = 0] = await freePorts(2);
  const env = {
    ...process.env,
    CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: loopback(api),
    CLUSTER_LISTENMULTIADDRESS: loopback(swarm),
    CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kuboAt(kubo),
    CLUSTER_MDNSINTERVAL: '0s',
  };
  const name = 'ipfs-cluster-follow';
  const common = ['--config', folder, cluster];
  execFileSync(daemonBinary(name), [...common, 'init', initUrl], { env, stdio: 'ignore' });
  const url = `http://127.0.0.1:${api}`;
  const answers = () => fetch(`${url}/id`);
  const started = await start({ name, args: [...common, 'run'], folder, env, answers });
  return { ...started, url, swarm, peerId: idIn(join(folder, cluster, 'identity.json')) };
}

/** Serves one JSON document, such as the template that followers of a cluster start from. */
export async function serveJson(document: () => unknown) {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(document()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/service.json`,
    close: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
