/**
 * ipfs-cluster-follow: a peer that pins what the trusted peers say and changes nothing. It takes
 * its configuration from a URL at every start: this node's own status port for the cluster that
 * the agents run, or the given one for other people's clusters. Its API is moved from a socket to a
 * port. It is connected when the leader's service (or, where that has none, any trusted peer) is
 * among its peers and its ping counts.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { DaemonAdapter, Finding, Launch, Place } from '../api.ts';
import { CauseError } from '../cause.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { type Federation, federationName, peerAddresses, trustedPeers } from './federation.ts';
import { type Foreign, foreignCluster, peerIdOf } from './foreign.ts';
import type { ForeignPeers } from './foreign-peers.ts';
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
import { askId, countsOf, ownPins, pingingPeers } from './rest.ts';
import { rebroadcast } from './template.ts';

export interface ClusterFollowDeps {
  readonly federation: Federation;
  readonly foreignPeers: ForeignPeers;
  readonly swarmHost: string;
  readonly wallMs: () => number;
}

const sourceSchema = z.looseObject({ source: z.string() });

/** The folder of one followed cluster, below the folder of them all. */
const homeOf = (place: Pick<Place, 'folder'>, name: string): string => join(place.folder, name);
const socketIn = (home: string): string => join(home, 'api-socket');

/** Where a follower's configuration comes from; null: a person wrote it out. */
function sourceIn(file: string): string | null {
  const parsed = sourceSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  return parsed.success ? parsed.data.source : null;
}

/** Makes the folder with the daemon's own `init`; a changed source keeps identity and pins. */
async function initialise(place: Place, name: string, url: string): Promise<string> {
  const home = homeOf(place, name);
  const service = join(home, 'service.json');
  if (!existsSync(service) || identityIn(home) === null) {
    mkdirSync(place.folder, { recursive: true, mode: 0o700 });
    await place.run(['--config', place.folder, name, 'init', url], {});
  } else if (sourceIn(service) !== null && sourceIn(service) !== url) {
    copyFileSync(service, `${service}.before`);
    writeFileSync(service, `${JSON.stringify({ source: url }, null, 2)}\n`, { mode: 0o600 });
  }
  chmodSync(service, 0o600); // the URL may carry a token
  const peerId = identityIn(home);
  if (peerId === null) throw new CauseError('bad-config', `init made no identity in ${home}`);
  return peerId;
}

/** The cluster that this node's agent belongs to. */
async function followOwn(
  { federation }: ClusterFollowDeps,
  place: Place,
  signal: AbortSignal,
): Promise<{ name: string; peerId: string; env: Record<string, string> }> {
  const name = federationName;
  const peerId = await initialise(place, name, federation.templateUrl());
  const own = { kind: 'ipfs_cluster_follow', peerId, port: place.ports.cluster ?? 0 } as const;
  const view = await federation.announce(own, signal);
  return {
    name,
    peerId,
    env: {
      CLUSTER_PEERADDRESSES: peerAddresses(view, peerId).join(','),
      CLUSTER_CRDT_TRUSTEDPEERS: trustedPeers(view).join(','),
      CLUSTER_CRDT_REBROADCASTINTERVAL: rebroadcast,
      CLUSTER_MONITORPINGINTERVAL: '2s',
    },
  };
}

async function followForeign(
  { federation, foreignPeers }: ClusterFollowDeps,
  place: Place,
  foreign: Foreign,
  signal: AbortSignal,
) {
  const url = foreign.initUrl ?? federation.templateUrl();
  const peerId = await initialise(place, foreign.clusterName, url);
  const addresses = (await foreignPeers.resolve(foreign, signal)).join(',');
  const env: Record<string, string> = addresses === '' ? {} : { CLUSTER_PEERADDRESSES: addresses };
  return { name: foreign.clusterName, peerId, env };
}

export function createClusterFollowAdapter(deps: ClusterFollowDeps): DaemonAdapter {
  const { federation, foreignPeers, swarmHost } = deps;
  const pins = createPinLook(ownPins);
  const wanted = createPinLook((_, own, signal) => federation.expectedPins(own, signal));
  let foreign: Foreign | null = null;
  let lastSynced: string | null = null;

  const nameFor = (place: Pick<Place, 'options'>): string =>
    foreignCluster(place.options)?.clusterName ?? federationName;

  async function prepare(place: Place, signal: AbortSignal): Promise<Launch> {
    foreign = foreignCluster(place.options);
    const followed = foreign
      ? await followForeign(deps, place, foreign, signal)
      : await followOwn(deps, place, signal);
    const { name, env } = followed;
    await removeStaleSocket(socketIn(homeOf(place, name)));
    return {
      args: ['--config', place.folder, name, 'run'],
      env: {
        CLUSTER_PEERNAME: federation.peerName,
        CLUSTER_LISTENMULTIADDRESS: `/ip4/${swarmHost}/tcp/${place.ports.cluster}`,
        CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: loopback(place.ports.api ?? 0),
        CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kuboMultiaddr(place),
        CLUSTER_IPFSHTTP_CONNECTSWARMSDELAY: '5s',
        CLUSTER_MDNSINTERVAL: '0s',
        ...env,
        ...ownSettings(place),
      },
    };
  }

  /** Whose ping decides: the leader's service; where it has none, anybody we trust. */
  function sources(): string[] {
    if (foreign !== null)
      return foreignPeers.addresses(foreign).flatMap((at) => peerIdOf(at) ?? []);
    const leader = federation.leaderService();
    if (leader !== null) return [leader];
    const view = federation.view();
    return view === null ? [] : trustedPeers(view);
  }

  async function check(
    client: DaemonClient,
    signal: AbortSignal,
    place: Place | null,
  ): Promise<Finding> {
    const expected = place === null ? null : identityIn(homeOf(place, nameFor(place)));
    const id = await askId(client, expected, signal);
    const pinging = await pingingPeers(client, signal);
    const seen = (peer: string): boolean => id.cluster_peers.includes(peer) && pinging.has(peer);
    const from = sources();
    const others = id.cluster_peers.filter((peer) => peer !== id.id);
    const connected = from.length === 0 ? others.some(seen) : from.some(seen);
    const states = await pins.look(client, id.id, signal);
    const target = foreign === null ? await wanted.look(client, id.id, signal) : null;
    const missing = target === null ? null : missingOf(target, states);
    const inSync = connected && missing !== null && missing === 0;
    if (inSync) lastSynced = new Date(deps.wallMs()).toISOString();
    const held = countsOf(states.values()).find(([state]) => state === 'pinned')?.[1] ?? 0;
    const pinned = target === null || missing === null ? held : target.size - missing;
    return {
      ready: true,
      version: id.version,
      detail:
        `ipfs-cluster-follow ${id.version}, ${connected ? 'connected' : 'disconnected'}, ` +
        `${id.cluster_peers.length} peers, ${held} of ${states.size} pins pinned here`,
      progress: null,
      facts: {
        peer_id: id.id,
        addresses: (id.addresses ?? []).join(' '),
        cluster_name: foreign?.clusterName ?? (place === null ? null : federationName),
        peer_count: id.cluster_peers.length,
        cluster_peers: id.cluster_peers.join(' '),
        trusted_peers: from.join(' '),
        bootstrap_peer: from[0] ?? null,
        leader_connected: connected,
        pin_count: states.size,
        pinset_expected: target?.size ?? null,
        pinset_pinned: pinned,
        pinset_missing: missing,
        pinset_in_sync: inSync,
        pinset_last_synced: lastSynced,
      },
      problems: [
        ...(connected ? [] : [{ code: 'leader-disconnected', text: 'no trusted peer is heard' }]),
        ...(id.ipfs.error === '' ? [] : [{ code: 'kubo-unreachable', text: id.ipfs.error }]),
        ...(foreign === null ? [] : foreignPeers.silent()).map((text) => ({
          code: 'bootstrap-peer-silent',
          text,
        })),
      ],
    };
  }

  return {
    type: 'ipfs_cluster_follow',
    title: 'ipfs-cluster-follow',
    binaries: ['ipfs-cluster-follow'],
    needs: ['ipfs'],
    ports: { api: 9097, cluster: 9196 },
    api: 'api',
    checkMsMax: 5000,
    matches: ([program = '', ...args]) =>
      basename(program) === 'ipfs-cluster-follow' && args.at(-1) === 'run',
    prepare,
    endpoint: (place) => {
      foreign = foreignCluster(place.options); // also when an earlier agent started it
      return apiOf(place);
    },
    check,
    shutdown: null,
    classify: classifyCluster,
    sockets: (place) => [socketIn(homeOf(place, nameFor(place)))],
  };
}

function missingOf(wanted: Iterable<string>, states: ReadonlyMap<string, string>): number {
  let missing = 0;
  for (const cid of wanted) if (states.get(cid) !== 'pinned') missing += 1;
  return missing;
}
