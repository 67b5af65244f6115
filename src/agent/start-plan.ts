/**
 * What kind of start this is: a known member goes on, a certified node joins its cluster, and one
 * master makes a new cluster. Contradictions between folder and configuration are refused with the
 * reason, and a folder without a certificate with the way to get one.
 */
import type { ClusterId, EpochId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Role } from '../wire/member.ts';
import type { Config } from './config.ts';
import type { DataFolder, MemberFile } from './data-folder.ts';
import type { FoundCluster } from './membership.ts';

export type StartPlan =
  | { readonly type: 'restart'; readonly member: MemberFile }
  | { readonly type: 'bootstrap'; readonly clusterId: ClusterId; readonly epoch: EpochId }
  | { readonly type: 'join'; readonly clusterId: ClusterId; readonly peers: readonly string[] };

type Folder = Pick<DataFolder, 'path' | 'node'>;

/** Whether this start makes a new cluster first. */
export function foundsCluster(config: Config, folder: Folder): boolean {
  return folder.node() === null && config.startCluster && config.peers.length === 0;
}

export function planStart(config: Config, folder: Folder): StartPlan {
  const file = folder.node();
  if (file !== null && file.name !== config.nodeId)
    throw new AgentError(
      'bad-request',
      `${folder.path} belongs to the node ${file.name}, not to ${config.nodeId}`,
    );
  switch (file?.state) {
    case 'member':
      if (file.left)
        throw new AgentError(
          'forbidden',
          `${file.name} has left its cluster; to join one anew, start with an empty folder`,
        );
      return { type: 'restart', member: file };
    case 'founding':
      return { type: 'bootstrap', clusterId: file.clusterId, epoch: file.epoch };
    case 'enrolled': {
      const peers = config.peers.length > 0 ? config.peers : file.peers;
      return { type: 'join', clusterId: file.clusterId, peers };
    }
    default:
      throw uncertified(folder.path);
  }
}

export function uncertified(path: string): AgentError {
  return new AgentError(
    'role-not-certified',
    `${path} holds no certificate. To join a cluster, run 'bellwether token create' on one of ` +
      "its masters and 'bellwether join TOKEN' here; a new cluster is made by 'bellwether init', " +
      'or by agent --role master --start-cluster in an empty folder',
  );
}

/** A role is what the certificate says. */
export function checkRole(name: string, certified: Role, configured: Role): void {
  if (certified === configured) return;
  throw new AgentError(
    'role-not-certified',
    `${name} is certified as ${certified}, the configuration says ${configured}; give it as ` +
      `${certified}, or join anew with a token for a ${configured} and an empty folder`,
  );
}

/** What the folder says once the log exists. */
export async function identify(
  plan: StartPlan,
  name: string,
  find: () => Promise<FoundCluster>,
): Promise<MemberFile> {
  if (plan.type === 'restart') return plan.member;
  const base = {
    ...({ version: 1, state: 'member', name, epochNumber: 1, certificate: null } as const),
    ...{ parentEpoch: null, pastEpochs: [] },
  };
  if (plan.type === 'join') return { ...base, ...(await find()), bootstrap: false };
  return { ...base, clusterId: plan.clusterId, epoch: plan.epoch, bootstrap: true };
}
