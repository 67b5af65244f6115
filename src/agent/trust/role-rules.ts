/** What a change of role would leave behind, as pure rules; voters are judged by consensus. */
import type { PeerId } from '../../base/brand.ts';
import { type Certificate, type Role, rankOf, rightsOf } from '../../wire/member.ts';

/** The record in another role; a rank within the role goes along where the role may lead. */
export function inRole(member: Certificate, role: Role, workersMayLead: boolean): Certificate {
  const rights = rightsOf(role, workersMayLead);
  const within = rights.leads ? member.rank - rankOf(member.role) : 0;
  return { ...member, role, rank: rankOf(role, within), ...rights };
}

/** Why `peer` can't have this role in the cluster as it is, in words; null: it can. */
export function whyNotRole(
  members: readonly Certificate[],
  peer: PeerId,
  next: Certificate,
): string | null {
  const others = members.filter(({ peerId }) => peerId !== peer);
  const { name, role } = next;
  if (role !== 'master' && !others.some((one) => one.role === 'master'))
    return (
      `${name} is the only master: as a ${role} it would take the authority key with it, and ` +
      'nobody could let anybody in; make another master first'
    );
  if (!next.leads && !others.some((one) => one.leads))
    return `${name} is the only member that may lead: as a ${role} it would leave no leader`;
  return null;
}
