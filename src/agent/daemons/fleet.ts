/**
 * This node's daemons together with what binds them to those of the others: the ipfs-cluster that
 * the agents run, the leader's mirror of the catalog's pins into it, and the configuration that
 * followers start from.
 */
import { readFileSync } from 'node:fs';
import type { CidText } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/error.ts';
import { federationName } from '../../daemons/cluster/federation.ts';
import { createForeignPeers } from '../../daemons/cluster/foreign-peers.ts';
import {
  type FollowTemplate,
  federationTemplate,
  foreignTemplate,
} from '../../daemons/cluster/template.ts';
import { askPeerId } from '../../mesh/ask-peer-id.ts';
import type { Config } from '../config.ts';
import type { Node } from '../node.ts';
import { sendingKeyText } from '../trust/key-ring.ts';
import { createDaemons, type Daemons } from './daemons.ts';
import { createFederation } from './federation.ts';
import { createMirror, type MirrorState } from './mirror.ts';

export interface FleetDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly dataFolder: string;
  readonly token: string;
  readonly statusUrl: () => string | null;
  readonly node: () => Node | null;
  readonly car: (cid: CidText) => AsyncIterable<Uint8Array>;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

/** `federation` on the status page; it shows no secret. */
export interface FederationPage {
  readonly peers: readonly {
    readonly node: string;
    readonly kind: string;
    readonly peerId: string;
    readonly trusted: boolean;
  }[];
  readonly leaderService: string | null;
  readonly mirror: MirrorState;
}

export interface Fleet extends Daemons {
  /** The node has joined: the daemons of the cluster learn of each other. */
  joined(): void;
  page(): FederationPage | null;
  /** Whom a follower of this node follows, and where it reads its configuration from. */
  follows(): { readonly clusterName: string; readonly url: string };
  /** For followers, who bring the token; throws `unavailable` before there is a federation. */
  followTemplate(): FollowTemplate;
}

/** Where a follower on this machine gets its configuration; the token goes along. */
function templateUrlOf(statusUrl: string | null, token: string): string {
  if (statusUrl === null) throw new AgentError('unavailable', 'the status port is not there yet');
  const url = new URL('/v1/federation/service.json', statusUrl);
  url.username = 'bellwether';
  url.password = token;
  return url.href;
}

export function createFleet(deps: FleetDeps): Fleet {
  const { config, clock, node } = deps;
  const common = { node, event: deps.event, onFailure: deps.onFailure };
  const nowMs = (): number => clock.now().monoMs;
  const federation = createFederation({
    ...common,
    ...{ config, nowMs, dataFolder: deps.dataFolder },
    daemons: () => daemons,
    templateUrl: () => templateUrlOf(deps.statusUrl(), deps.token),
  });
  const foreignPeers = createForeignPeers(askPeerId);
  const daemons = createDaemons({
    ...{ config, clock, dataFolder: deps.dataFolder },
    ...{ event: deps.event, onFailure: deps.onFailure },
    adapters: {
      role: config.role,
      swarmHost: config.meshHost,
      ...{ federation, foreignPeers },
      networkKey: () => sendingKeyText({ dir: deps.dataFolder, file: config.networkKeyFile }),
      wallMs: () => clock.wallMs(),
    },
  });
  const mirror = createMirror({
    ...common,
    nowMs,
    daemons: () => daemons,
    record: federation.record,
    hold: federation.pinsets.hold,
    car: deps.car,
  });

  const nameOf = (peer: string): string => node()?.directory.nameOf(peer) ?? peer;

  return {
    ...daemons,
    joined: () => {
      federation.start();
      mirror.start();
    },
    stop: async (how) => {
      await mirror.stop();
      await federation.stop();
      await daemons.stop(how);
    },
    page: () => {
      const record = federation.record();
      if (record === null || record.peers.length === 0) return null;
      const peers = federation.view()?.peers ?? [];
      return {
        peers: peers.map((peer) => ({
          node: nameOf(peer.node),
          kind: peer.kind,
          peerId: peer.peerId,
          trusted: peer.trusted,
        })),
        leaderService: federation.leaderService(),
        mirror: mirror.state(),
      };
    },
    follows: () => {
      const { follow } = config.daemons.ipfs_cluster_follow ?? {};
      const own = (): string => templateUrlOf(deps.statusUrl(), deps.token);
      return {
        clusterName: follow?.clusterName ?? federationName,
        url: follow?.initUrl ?? own(),
      };
    },
    followTemplate: () => {
      const { follow } = config.daemons.ipfs_cluster_follow ?? {};
      if (follow !== undefined && follow.initUrl === undefined) {
        const { secretFile } = follow;
        const secret = secretFile === undefined ? '' : readFileSync(secretFile, 'utf8').trim();
        return foreignTemplate(follow, secret, foreignPeers.addresses(follow));
      }
      const view = federation.view();
      if (view === null)
        throw new AgentError('unavailable', 'no node of this cluster has told of its ipfs-cluster');
      return federationTemplate(view);
    },
  };
}
