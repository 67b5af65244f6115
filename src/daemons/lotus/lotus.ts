/**
 * A Filecoin node, Lotus or Forest: the adapter. Both speak the same JSON-RPC with a token that the
 * node itself writes; how they are started differs. Identity, network and wallets are asked for
 * every few seconds, head and peers at every look.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Cause } from '../../supervise/api.ts';
import type { DaemonAdapter, Finding, Launch, Place } from '../api.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { type LotusStock, lookAtLotus, lotusFinding, takeLotusStock } from './lotus-look.ts';
import { createLotusRpc } from './lotus-rpc.ts';

const stockEveryMs = 5000;

const knownTexts: readonly (readonly [RegExp, Cause])[] = [
  [
    /repo is already locked|already locked|lock.*(held|taken)|could not acquire lock/i,
    'repo-locked',
  ],
  [/toml|invalid config|unknown field|invalid value|unexpected argument/i, 'bad-config'],
];

const isForest = (binary: string): boolean => basename(binary).startsWith('forest');

/** Names in capitals are variables, names with a dot go into Forest's file, others are flags. */
function settingsOf(settings: Readonly<Record<string, unknown>>) {
  const env: Record<string, string> = {};
  const args: string[] = [];
  const file = new Map<string, string[]>();
  for (const [name, value] of Object.entries(settings)) {
    const [section = '', key] = name.split('.');
    if (/^[A-Z0-9_]+$/.test(name)) env[name] = String(value);
    else if (key !== undefined)
      file.set(section, [...(file.get(section) ?? []), `${key} = ${JSON.stringify(value)}`]);
    else if (value === true) args.push(`--${name}`);
    else args.push(`--${name}`, String(value));
  }
  return { env, args, file };
}

/** Ours is the file's whole content, so it has a name of its own and no person's is touched. */
async function launchForest({ folder, ports, options }: Place): Promise<Launch> {
  const { env, args, file } = settingsOf(options.settings ?? {});
  const client = file.get('client') ?? [];
  file.set('client', [`data_dir = ${JSON.stringify(join(folder, 'data'))}`, ...client]);
  const text = [...file]
    .map(([section, lines]) => `[${section}]\n${lines.join('\n')}\n`)
    .join('\n');
  const config = join(folder, 'bellwether-forest.toml');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(config, text, { mode: 0o600 });
  const own: Record<string, string> = {
    config,
    'rpc-address': `127.0.0.1:${ports.rpc}`,
    'p2p-listen-address': `/ip4/0.0.0.0/tcp/${ports.p2p}`,
    'healthcheck-address': `127.0.0.1:${ports.health}`,
    'metrics-address': `127.0.0.1:${ports.metrics}`,
    'encrypt-keystore': 'false',
    'save-token': join(folder, 'token'),
  };
  const given = new Set(args.filter((arg) => arg.startsWith('--')));
  const ours = Object.entries(own)
    .filter(([name]) => !given.has(`--${name}`))
    .flatMap(([name, value]) => [`--${name}`, value]);
  return { args: [...ours, ...args], env };
}

async function launchLotus({ folder, ports, options }: Place): Promise<Launch> {
  const { env, args } = settingsOf(options.settings ?? {});
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return {
    args: ['daemon', '--api', String(ports.rpc), ...args],
    env: {
      LOTUS_PATH: folder,
      LOTUS_LIBP2P_LISTENADDRESSES: `/ip4/0.0.0.0/tcp/${ports.p2p}`,
      ...env,
    },
  };
}

function tokenIn(folder: string): string | null {
  try {
    return readFileSync(join(folder, 'token'), 'utf8').trim();
  } catch (thrown) {
    // The node writes it while it starts; until then it can be asked what needs none.
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return null;
    throw thrown;
  }
}

export function createLotus(): DaemonAdapter {
  let stock: LotusStock | null = null;
  let stockMs = Number.NEGATIVE_INFINITY;

  async function check(client: DaemonClient, signal: AbortSignal): Promise<Finding> {
    const rpc = createLotusRpc(client, signal);
    if (stock === null || performance.now() - stockMs >= stockEveryMs) {
      stock = await takeLotusStock(rpc);
      stockMs = performance.now();
    }
    const { blockDelayS } = stock;
    const look = await lookAtLotus(rpc, { blockDelayS, nowS: Math.floor(Date.now() / 1000) });
    return lotusFinding(look, stock, `${client.url}/rpc/v1`);
  }

  return {
    type: 'lotus',
    title: 'Lotus',
    binaries: ['lotus', 'forest'],
    needs: [],
    ports: { rpc: 1234, p2p: 1347, health: 2346, metrics: 6116 },
    api: 'rpc',
    checkMsMax: 5000,
    matches: ([program = '', ...args]) =>
      basename(program) === 'forest' || (basename(program) === 'lotus' && args.includes('daemon')),
    prepare: (place) => (isForest(place.binary) ? launchForest(place) : launchLotus(place)),
    endpoint: ({ ports, folder }) => {
      const token = tokenIn(folder);
      return {
        url: `http://127.0.0.1:${ports.rpc}`,
        authorization: token === null ? null : `Bearer ${token}`,
        tls: null,
      };
    },
    check,
    shutdown: null,
    classify: ({ logTail }) => knownTexts.find(([pattern]) => pattern.test(logTail))?.[1] ?? null,
    sockets: () => [],
  };
}
