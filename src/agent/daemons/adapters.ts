/**
 * Which adapter runs which kind of daemon. An adapter is made once per agent from what the agent
 * knows (`AdapterDeps`); a kind without one refuses to be configured instead of pretending.
 */
import { AgentError } from '../../base/error.ts';
import type { DaemonAdapter, DaemonType } from '../../daemons/api.ts';
import type { Federation } from '../../daemons/cluster/federation.ts';
import { createClusterFollowAdapter } from '../../daemons/cluster/follow.ts';
import type { ForeignPeers } from '../../daemons/cluster/foreign-peers.ts';
import { createClusterServiceAdapter } from '../../daemons/cluster/service.ts';
import { createKubo } from '../../daemons/kubo/kubo.ts';
import { createLotus } from '../../daemons/lotus/lotus.ts';
import type { Role } from '../../wire/member.ts';

/** What adapters may know of the node; whoever needs more of the agent adds it here. */
export interface AdapterDeps {
  readonly role: Role;
  /** Host that swarms listen on. */
  readonly swarmHost: string;
  /** Text of the flock's network key file; null: this node has none yet. */
  readonly networkKey: () => Promise<string | null>;
  readonly federation: Federation;
  readonly foreignPeers: ForeignPeers;
  readonly wallMs: () => number;
}

type AdapterFactory = (deps: AdapterDeps) => DaemonAdapter;

const factories: Readonly<Record<DaemonType, AdapterFactory | null>> = {
  ipfs: createKubo,
  ipfs_cluster_service: createClusterServiceAdapter,
  ipfs_cluster_follow: createClusterFollowAdapter,
  lotus: createLotus,
};

/** The adapter of a kind; null where there is none and none is configured. */
export function adapterFor(
  type: DaemonType,
  mode: 'managed' | 'external' | 'off',
  deps: AdapterDeps,
): DaemonAdapter | null {
  const make = factories[type];
  if (make === null && mode !== 'off')
    throw new AgentError('not-built', `daemons.${type}: this agent can't look after it yet`);
  return make?.(deps) ?? null;
}
