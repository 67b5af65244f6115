/**
 * kubo (`ipfs daemon`): the adapter. Every look asks who answers, so that another node's API on the
 * same port is never taken for ours; the repo's size and pins are counted beside, once a minute,
 * because that walks through the whole repo.
 */
import { basename, join } from 'node:path';
import type { Cause } from '../../supervise/api.ts';
import type { Role } from '../../wire/member.ts';
import type { DaemonAdapter, Finding, Place } from '../api.ts';
import { CauseError } from '../cause.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { withDeadline } from '../deadline.ts';
import { removeStale } from '../stale-locks.ts';
import { prepareRepo, readKuboConfig } from './kubo-config.ts';
import { askToShutDown, type KuboLook, type KuboStock, lookAt, takeStock } from './kubo-rpc.ts';
import { setSwarmKey } from './swarm-key.ts';

const stockEveryMs = 60_000;
const stockMsMax = 45_000;
/** Of its StorageMax; from here on the next pins may not fit. */
const fullShare = 0.95;

const knownTexts: readonly (readonly [RegExp, Cause])[] = [
  [/someone else has the lock|lock.*already (locked|held)/i, 'repo-locked'],
  [/migrat|lower than your repos|fs-repo.*version/i, 'wrong-version'],
  [/failure to decode config|invalid config|unmarshal|config.*(invalid|failed)/i, 'bad-config'],
  [/'auto' (placeholder|is used)|AutoConf/, 'bad-config'],
];

/** The pins and the size of one repo, counted beside the looks. */
function createStock() {
  let stock: KuboStock | null = null;
  let error: string | null = null;
  let nextMs = 0;
  let counting = false;
  return {
    now: () => ({ stock, error }),
    countAside: (client: DaemonClient): void => {
      if (counting || performance.now() < nextMs) return;
      counting = true;
      withDeadline(stockMsMax, 'counting the repo', (signal) => takeStock(client, signal))
        .then(
          (counted) => {
            stock = counted;
            error = null;
          },
          (thrown: unknown) => {
            error = thrown instanceof Error ? thrown.message : String(thrown);
          },
        )
        .finally(() => {
          counting = false;
          nextMs = performance.now() + stockEveryMs;
        });
    },
  };
}

function datastoreOf(place: Place | null): string | null {
  const spec = place === null ? null : readKuboConfig(place.folder)?.Datastore.Spec;
  const text = JSON.stringify(spec ?? '');
  const found = ['pebbleds', 'badgerds', 'flatfs', 'levelds'].find((kind) => text.includes(kind));
  return found ?? null;
}

function findingOf(
  look: KuboLook,
  counted: { stock: KuboStock | null; error: string | null },
  fixed: Finding['facts'],
): Finding {
  const { stock, error } = counted;
  const problems: { code: string; text: string }[] = [];
  if (stock !== null && stock.repoBytes > stock.storageMax * fullShare)
    problems.push({
      code: 'repo-nearly-full',
      text: `the repo holds ${stock.repoBytes} of ${stock.storageMax} bytes`,
    });
  if (error !== null) problems.push({ code: 'repo-not-counted', text: error });
  const pins = stock === null ? 'pins not counted yet' : `${stock.pins} pins`;
  return {
    ready: true,
    version: look.version,
    detail: `kubo ${look.version}, ${look.peers} peers, ${pins}`,
    progress: null,
    facts: {
      ...fixed,
      version: look.version,
      peer_id: look.peerId,
      peer_count: look.peers,
      bandwidth_in: look.bytesIn,
      bandwidth_out: look.bytesOut,
      repo_size: stock?.repoBytes ?? null,
      repo_objects: stock?.objects ?? null,
      storage_max: stock?.storageMax ?? null,
      pins_count: stock?.pins ?? null,
    },
    problems,
  };
}

export interface KuboDeps {
  readonly role: Role;
  /** Text of the flock's network key file; null: this node has none yet. */
  readonly networkKey: () => Promise<string | null>;
}

export function createKubo({ role, networkKey }: KuboDeps): DaemonAdapter {
  const stock = createStock();
  /** Read from the config once per place; it does not change while the daemon runs. */
  let known: { place: Place; peerId: string | null; datastore: string | null } | null = null;

  function knownOf(place: Place | null) {
    if (place === null) return null;
    if (known?.place !== place)
      known = {
        place,
        peerId: readKuboConfig(place.folder)?.Identity.PeerID ?? null,
        datastore: datastoreOf(place),
      };
    return known;
  }

  async function check(
    client: DaemonClient,
    signal: AbortSignal,
    place: Place | null,
  ): Promise<Finding> {
    const look = await lookAt(client, signal);
    const own = knownOf(place);
    if (own !== null && own.peerId !== look.peerId)
      throw new Error(`${client.url} answers as ${look.peerId}, but our kubo is ${own.peerId}`);
    stock.countAside(client);
    return findingOf(look, stock.now(), {
      api_address: client.url,
      gateway_address: place === null ? null : `http://127.0.0.1:${place.ports.gateway}`,
      datastore_type: own?.datastore ?? null,
      config_profile: place === null ? null : 'server',
      private_network: place === null ? null : place.options.privateNetwork === true,
    });
  }

  return {
    type: 'ipfs',
    title: 'kubo',
    binaries: ['ipfs'],
    needs: [],
    ports: { rpc: 5001, gateway: 8080, swarm: 4001 },
    udpPorts: ['swarm'],
    api: 'rpc',
    checkMsMax: 3000,
    // A script shows its interpreter first.
    matches: ([program = '', second = '', ...args]) =>
      (basename(program) === 'ipfs' && [second, ...args].includes('daemon')) ||
      (basename(second) === 'ipfs' && args.includes('daemon')),
    prepare: async (place) => {
      const { folder } = place;
      await removeStale(join(folder, 'repo.lock'), [join(folder, 'api'), join(folder, 'gateway')]);
      await prepareRepo(place, role);
      const isPrivate = place.options.privateNetwork === true;
      const key = await networkKey();
      if (key !== null) setSwarmKey(folder, key, isPrivate);
      else if (isPrivate)
        throw new CauseError('dependency-down', 'privateNetwork: this node has no network key yet');
      return {
        args: ['daemon', '--enable-gc', '--migrate=false'],
        env: {
          IPFS_PATH: folder,
          IPFS_TELEMETRY: 'off',
          // Without the key it does not start, so it never talks to everybody by mistake.
          ...(isPrivate ? { LIBP2P_FORCE_PNET: '1' } : {}),
        },
      };
    },
    endpoint: ({ ports }) => ({
      url: `http://127.0.0.1:${ports.rpc}`,
      authorization: null,
      tls: null,
    }),
    check,
    shutdown: askToShutDown,
    classify: ({ logTail }) => knownTexts.find(([pattern]) => pattern.test(logTail))?.[1] ?? null,
    sockets: ({ folder }) => [join(folder, 'api')],
  };
}
