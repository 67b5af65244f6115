/**
 * ipfs-cluster-service: the peer that may change the pinset. Its folder comes from its own `init`;
 * secret, peers and trust come from the replicated catalog by environment at every start, so a
 * restart is all it takes to learn of a change. Its pinning API is moved off the follower's port.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DaemonAdapter, Finding, Launch, Place } from '../api.ts';
import { CauseError } from '../cause.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { type Federation, federationName, peerAddresses, trustedPeers } from './federation.ts';
import {
  apiOf,
  classifyCluster,
  identityIn,
  kuboMultiaddr,
  loopback,
  ownSettings,
  removeStaleSocket,
} from './home.ts';
import { createPinLook } from './pin-look.ts';
import { askId, countsOf, ownPins } from './rest.ts';
import { metricTtl, rebroadcast } from './template.ts';

export interface ClusterServiceDeps {
  readonly federation: Federation;
  /** Host that its swarm listens on: 0.0.0.0, or one address. */
  readonly swarmHost: string;
}

const socketIn = (folder: string): string => join(folder, 'api-socket');

export function createClusterServiceAdapter(deps: ClusterServiceDeps): DaemonAdapter {
  const { federation, swarmHost } = deps;
  const pins = createPinLook(ownPins);

  async function prepare(place: Place, signal: AbortSignal): Promise<Launch> {
    const { folder, ports } = place;
    await removeStaleSocket(socketIn(folder));
    const home = { IPFS_CLUSTER_PATH: folder };
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!existsSync(join(folder, 'service.json')) || identityIn(folder) === null)
      await place.run(['init', '--consensus', 'crdt'], home);
    const peerId = identityIn(folder);
    if (peerId === null) throw new CauseError('bad-config', `init made no identity in ${folder}`);
    const own = { kind: 'ipfs_cluster_service', peerId, port: ports.cluster ?? 0 } as const;
    const view = await federation.announce(own, signal);
    const kubo = kuboMultiaddr(place);
    return {
      args: ['daemon'],
      env: {
        ...home,
        CLUSTER_SECRET: view.secret,
        CLUSTER_PEERNAME: federation.peerName,
        CLUSTER_LISTENMULTIADDRESS: `/ip4/${swarmHost}/tcp/${ports.cluster}`,
        CLUSTER_PEERADDRESSES: peerAddresses(view, peerId).join(','),
        CLUSTER_MDNSINTERVAL: '0s',
        CLUSTER_MONITORPINGINTERVAL: '2s',
        CLUSTER_DISK_METRICTTL: metricTtl,
        CLUSTER_CRDT_CLUSTERNAME: federationName,
        CLUSTER_CRDT_REBROADCASTINTERVAL: rebroadcast,
        CLUSTER_CRDT_TRUSTEDPEERS: trustedPeers(view).join(','),
        CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: loopback(ports.api ?? 0),
        CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: loopback(ports.proxy ?? 0),
        CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS: loopback(ports.pinning ?? 0),
        CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kubo,
        CLUSTER_IPFSPROXY_NODEMULTIADDRESS: kubo,
        CLUSTER_IPFSHTTP_CONNECTSWARMSDELAY: '5s',
        ...ownSettings(place),
      },
    };
  }

  async function check(
    client: DaemonClient,
    signal: AbortSignal,
    place: Place | null,
  ): Promise<Finding> {
    const expected = place === null ? null : identityIn(place.folder);
    const id = await askId(client, expected, signal);
    const states = await pins.look(client, id.id, signal);
    const counts = countsOf(states.values());
    const failed = counts.filter(([state]) => state.includes('error'));
    const pinned = counts.map(([state, count]) => `${count} ${state}`).join(', ');
    const problems = failed.map(([state, count]) => ({
      code: 'pins-failed',
      text: `${count} pins are in the state ${state}`,
    }));
    if (id.ipfs.error !== '')
      problems.push({ code: 'kubo-unreachable', text: `its kubo: ${id.ipfs.error}` });
    const peers = id.cluster_peers.length;
    return {
      ready: true,
      version: id.version,
      detail:
        `ipfs-cluster ${id.version}, ${peers} peers, ${states.size} pins` +
        (pinned === '' ? '' : ` (${pinned})`),
      progress: null,
      facts: {
        peer_id: id.id,
        cluster_peers: id.cluster_peers.join(' '),
        peer_count: peers,
        pins_count: states.size,
        pins_pinned: counts.find(([state]) => state === 'pinned')?.[1] ?? 0,
        consensus: 'crdt',
        cluster_name: federationName,
      },
      problems,
    };
  }

  return {
    type: 'ipfs_cluster_service',
    title: 'ipfs-cluster-service',
    binaries: ['ipfs-cluster-service'],
    needs: ['ipfs'],
    ports: { api: 9094, proxy: 9095, cluster: 9096, pinning: 9093 },
    api: 'api',
    checkMsMax: 5000,
    matches: ([program = '', ...args]) =>
      basename(program) === 'ipfs-cluster-service' && args.includes('daemon'),
    prepare,
    endpoint: apiOf,
    check,
    shutdown: null,
    classify: classifyCluster,
    sockets: ({ folder }) => [socketIn(folder)],
  };
}
