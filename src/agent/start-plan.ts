/**
 * What kind of start this is: a known member goes on, a node with peers joins their cluster, and
 * one master in an empty folder without peers makes a new cluster if it is told to. Contradictions
 * between folder and configuration are refused with the reason.
 */
import { randomBytes } from 'node:crypto';
import type { ClusterId, EpochId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { readStoreHeader } from '../store/log-store.ts';
import type { Config } from './config.ts';
import type { DataFolder, MemberFile } from './data-folder.ts';
import type { FoundCluster } from './membership.ts';

export type StartPlan =
  | { readonly type: 'restart'; readonly member: MemberFile }
  | { readonly type: 'bootstrap' }
  | { readonly type: 'join' };

export function planStart(config: Config, folder: Pick<DataFolder, 'path' | 'node'>): StartPlan {
  const file = folder.node();
  if (file !== null && file.name !== config.nodeId)
    throw new AgentError(
      'bad-request',
      `${folder.path} belongs to the node ${file.name}, not to ${config.nodeId}`,
    );
  if (file?.state === 'member') {
    if (file.left)
      throw new AgentError(
        'forbidden',
        `${file.name} has left its cluster; to join one anew, start with an empty folder`,
      );
    const role = file.certificate?.role ?? config.role;
    if (role !== config.role)
      throw new AgentError(
        'bad-request',
        `${file.name} was admitted as ${role}, the configuration says ${config.role}: a role ` +
          'changes by forgetting the member and joining anew',
      );
    return { type: 'restart', member: file };
  }
  if (config.peers.length > 0) return { type: 'join' };
  if (config.startCluster) return { type: 'bootstrap' };
  throw new AgentError(
    'bad-request',
    `${folder.path} is empty: give peers to join their cluster, or startCluster on one master`,
  );
}

/** Cluster and epoch of this node: known, new, or asked of the configured peers. */
export async function identify(
  plan: StartPlan,
  options: {
    readonly name: string;
    readonly logDir: string;
    readonly find: () => Promise<FoundCluster>;
  },
): Promise<MemberFile> {
  if (plan.type === 'restart') return plan.member;
  const base = {
    version: 1 as const,
    state: 'member' as const,
    name: options.name,
    epochNumber: 1,
    parentEpoch: null,
    pastEpochs: [],
    certificate: null,
  };
  if (plan.type === 'join') return { ...base, ...(await options.find()), bootstrap: false };
  // A log without a `member` file is of a start that was interrupted before anything was in it.
  const header = await readStoreHeader(options.logDir);
  const clusterId: ClusterId = header?.clusterId ?? randomBytes(16).toString('hex');
  const epoch: EpochId = header?.epoch ?? randomBytes(16).toString('hex');
  return { ...base, clusterId, epoch, bootstrap: true };
}
