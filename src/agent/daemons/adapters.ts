/**
 * Which adapter runs which kind of daemon. An adapter is made once per agent from what the agent
 * knows (`AdapterDeps`); a kind without one refuses to be configured instead of pretending.
 */
import { AgentError } from '../../base/error.ts';
import { type DaemonAdapter, type DaemonType, daemonTypes } from '../../daemons/api.ts';
import type { Role } from '../../wire/member.ts';
import type { Config } from '../config.ts';

/** What adapters may know of the node; whoever needs more of the agent adds it here. */
export interface AdapterDeps {
  readonly role: Role;
}

type AdapterFactory = (deps: AdapterDeps) => DaemonAdapter;

const factories: Readonly<Record<DaemonType, AdapterFactory | null>> = {
  ipfs: null,
  ipfs_cluster_service: null,
  ipfs_cluster_follow: null,
  lotus: null,
};

/** The adapters of all configured daemons; throws `not-built` where there is none. */
export function adaptersFor(config: Config, deps: AdapterDeps): DaemonAdapter[] {
  const configured = daemonTypes.filter((type) => (config.daemons[type]?.mode ?? 'off') !== 'off');
  return configured.map((type) => {
    const make = factories[type];
    if (make === null)
      throw new AgentError('not-built', `daemons.${type}: this agent can't look after it yet`);
    return make(deps);
  });
}
