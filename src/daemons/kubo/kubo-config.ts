/**
 * kubo's configuration as this agent wants it. In a repo that a person made only addresses and what
 * the operator asked for are changed; in one of our own also what the role asks for. Every change
 * goes through `ipfs config replace`, after a copy of the file as it was.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Role } from '../../wire/member.ts';
import type { Place } from '../api.ts';
import { CauseError } from '../cause.ts';
import { writeWhole } from '../process.ts';

type Json = z.infer<ReturnType<typeof z.json>>;
type JsonObject = { [name: string]: Json };

const copiesMax = 10;
const copyPrefix = 'config.before-bellwether-';

export const kuboConfigSchema = z
  .looseObject({
    Identity: z.looseObject({ PeerID: z.string() }),
    Addresses: z.looseObject({ Swarm: z.array(z.string()).nullish() }),
    Datastore: z.looseObject({ Spec: z.looseObject({}).nullish() }),
  })
  .and(z.record(z.string(), z.json()));
export type KuboConfig = z.infer<typeof kuboConfigSchema>;

export function readKuboConfig(folder: string): KuboConfig | null {
  const path = join(folder, 'config');
  if (!existsSync(path)) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new CauseError('bad-config', `${path} is not JSON`, { cause });
  }
  const parsed = kuboConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CauseError('bad-config', `${path}: ${z.prettifyError(parsed.error)}`);
}

/** How many connections a node of this role keeps, and how it cleans up. */
function roleSettings(role: Role): JsonObject {
  const [low, high] = {
    master: [200, 400],
    worker: [100, 250],
    leecher: [32, 96],
    witness: [8, 32],
  }[role] as [number, number];
  return {
    'Swarm.ConnMgr.Type': 'basic',
    'Swarm.ConnMgr.LowWater': low,
    'Swarm.ConnMgr.HighWater': high,
    'Swarm.ConnMgr.GracePeriod': '20s',
    'Datastore.GCPeriod': role === 'leecher' ? '30m' : '1h',
    'Datastore.StorageGCWatermark': 85,
  };
}

/** Explicit values where kubo says `auto`: it refuses those in a private network and offline. */
const nothingAutomatic: JsonObject = {
  Bootstrap: [],
  'Routing.DelegatedRouters': [],
  'Ipns.DelegatedPublishers': [],
  'DNS.Resolvers': {},
  'AutoConf.Enabled': false,
  'AutoTLS.Enabled': false,
  'Swarm.AddrFilters': [],
  'Swarm.Transports.Network.QUIC': false,
  'Addresses.NoAnnounce': [],
};

/** Among those who have the key, on the transport that can ask for it. */
function privateSettings(addresses: readonly string[], swarmPort: number): JsonObject {
  return {
    ...nothingAutomatic,
    'Routing.Type': 'dht',
    'Swarm.Transports.Network.WebTransport': false,
    'Swarm.Transports.Network.WebRTCDirect': false,
    'Addresses.Swarm': withSwarmPort(
      addresses.filter((address) => !address.includes('/udp/')),
      swarmPort,
    ),
  };
}

/** Finds and serves nobody beyond this machine. */
function localSettings(swarmPort: number): JsonObject {
  return {
    ...nothingAutomatic,
    'Routing.Type': 'none',
    'Discovery.MDNS.Enabled': false,
    'Swarm.DisableNatPortMap': true,
    'Swarm.RelayClient.Enabled': false,
    'Addresses.Swarm': [`/ip4/127.0.0.1/tcp/${swarmPort}`],
  };
}

/** The listen addresses with another port; those on a port of their own choice stay. */
export function withSwarmPort(addresses: readonly string[], port: number): string[] {
  const first = /\/(?:tcp|udp)\/(\d+)/.exec(addresses[0] ?? '')?.[1];
  if (first === undefined || first === '0') return [...addresses];
  return addresses.map((address) =>
    address.replace(new RegExp(`/(tcp|udp)/${first}(?=/|$)`), `/$1/${port}`),
  );
}

export function setAt(config: JsonObject, path: string, value: Json): void {
  const names = path.split('.');
  let at = config;
  for (const name of names.slice(0, -1)) {
    const inner = at[name];
    const next: JsonObject =
      typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {};
    at[name] = next;
    at = next;
  }
  at[names.at(-1) ?? path] = value;
}

/** All settings that this start wants, by dotted path; later ones go over earlier ones. */
export function wantedSettings(
  current: KuboConfig,
  place: Pick<Place, 'options' | 'ports'>,
  how: { readonly role: Role; readonly ours: boolean },
): JsonObject {
  const { options, ports } = place;
  const { rpc = 5001, gateway = 8080, swarm = 4001 } = ports;
  return {
    ...(how.ours ? roleSettings(how.role) : {}),
    'Addresses.Swarm': withSwarmPort(current.Addresses.Swarm ?? [], swarm),
    ...(options.privateNetwork ? privateSettings(current.Addresses.Swarm ?? [], swarm) : {}),
    ...(options.network === 'local' ? localSettings(swarm) : {}),
    ...(options.storageMax ? { 'Datastore.StorageMax': `${options.storageMax}B` } : {}),
    ...options.settings,
    'Addresses.API': `/ip4/127.0.0.1/tcp/${rpc}`,
    'Addresses.Gateway': `/ip4/127.0.0.1/tcp/${gateway}`,
  };
}

function keepCopy(folder: string): void {
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  copyFileSync(join(folder, 'config'), join(folder, `${copyPrefix}${stamp}`));
  const copies = readdirSync(folder).filter((name) => name.startsWith(copyPrefix));
  // The oldest copy is the one that a person wrote; what goes is the oldest of the later ones.
  for (const name of copies.sort().slice(1, -(copiesMax - 1))) rmSync(join(folder, name));
}

/** Makes the repo if there is none, and its config what this start wants. */
export async function prepareRepo(place: Place, role: Role): Promise<void> {
  const { folder } = place;
  const env = { IPFS_PATH: folder };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const mark = join(folder, 'made-by-bellwether');
  if (readKuboConfig(folder) === null) {
    await place.run(['init', '--profile', 'server'], env);
    writeWhole(mark, 'The agent made this repo and sets its limits by the role of the node.\n');
  }
  const current = readKuboConfig(folder);
  if (current === null) throw new CauseError('bad-config', `ipfs init made no config in ${folder}`);
  const next = structuredClone(current) as JsonObject;
  const wanted = wantedSettings(current, place, { role, ours: existsSync(mark) });
  for (const [path, value] of Object.entries(wanted)) setAt(next, path, value);
  if (JSON.stringify(next) === JSON.stringify(current)) return;
  keepCopy(folder);
  // kubo keeps its private key itself and refuses to be given one.
  const { PrivKey: _, ...identity } = next.Identity as JsonObject;
  const file = join(folder, 'config.wanted');
  writeWhole(file, JSON.stringify({ ...next, Identity: identity }));
  await place.run(['config', 'replace', file], env);
  rmSync(file);
}
