/**
 * What `mode: by-role` means on this node: ipfs-cluster-service where the node may lead, since only
 * the services of those are trusted by the others' pinsets; a follower where it may not. A witness
 * keeps no content and runs neither.
 */
import type { DaemonType } from '../../daemons/api.ts';
import type { DaemonMode } from '../../daemons/options.ts';
import { type Role, rightsOf } from '../../wire/member.ts';

export function modeOfRole(
  type: DaemonType,
  mode: DaemonMode,
  node: { readonly role: Role; readonly workersMayLead: boolean },
): Exclude<DaemonMode, 'by-role'> {
  if (mode !== 'by-role') return mode;
  const { leads } = rightsOf(node.role, node.workersMayLead);
  const follows = !leads && node.role !== 'witness';
  return (type === 'ipfs_cluster_service' ? leads : follows) ? 'managed' : 'off';
}
