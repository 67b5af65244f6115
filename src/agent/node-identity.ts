/**
 * Who this node is and whom it knows: what exists of a node before its log is open. The folder must
 * hold a certificate, and its role must be the configured one.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { createPrng } from '../base/prng.ts';
import type { Mesh, MeshHandlers } from '../mesh/api.ts';
import { createMesh } from '../mesh/mesh.ts';
import type { Config } from './config.ts';
import type { DataFolder } from './data-folder.ts';
import { createDirectory, type Directory } from './directory.ts';
import { createLeadership, type Leadership } from './leadership.ts';
import { createMembership, listenOf, type Membership, type MembershipDeps } from './membership.ts';
import { checkRole, uncertified } from './start-plan.ts';
import { type Papers, readPapers } from './trust/authority.ts';
import { type KeyRing, openKeyRing } from './trust/key-ring.ts';
import { openTrust, type Trust, type TrustDeps } from './trust/trust.ts';

export interface Identity {
  readonly trust: Trust;
  readonly papers: Papers;
  readonly mesh: Mesh;
  readonly networkKeys: KeyRing;
  readonly directory: Directory;
  readonly leadership: Leadership;
  readonly membership: Membership;
}

export type IdentityDeps = Pick<
  MembershipDeps,
  'cluster' | 'statusUrl' | 'strayed' | 'learnEpoch' | 'reconfigure'
> &
  Pick<TrustDeps, 'onRefused'> & {
    readonly config: Config;
    readonly folder: DataFolder;
    readonly clock: Clock;
    readonly handlers: MeshHandlers;
  };

/** The mesh is made and not started. */
export async function openIdentity(deps: IdentityDeps): Promise<Identity> {
  const { config, folder, clock, handlers, cluster } = deps;
  const papers = await readPapers(folder.path);
  if (papers === null) throw uncertified(folder.path);
  const networkKeys = await openKeyRing({ dir: folder.path, file: config.networkKeyFile });
  const mesh = await createMesh(
    { handlers, clock, prng: createPrng(randomInt(2 ** 48 - 1)) },
    {
      dir: folder.path,
      listen: listenOf(config, config.meshPort),
      announce: config.announce,
      networkKey: networkKeys.keys,
      clusterId: () => cluster().clusterId,
    },
  );
  const { onRefused } = deps;
  const trust = await openTrust({ self: mesh.peerId, clock, papers, onRefused });
  checkRole(config.nodeId, trust.own().member.role, config.role);
  const directory = createDirectory(mesh.peerId, () => trust.own().member);
  const leadership = createLeadership(mesh.peerId, clock);
  const { statusUrl, strayed, learnEpoch, reconfigure } = deps;
  const membership = createMembership({
    ...{ config, mesh, directory, clock, trust, cluster },
    ...{ statusUrl, strayed, learnEpoch, reconfigure },
    leader: () => leadership.view().leader,
    leads: () => leadership.view().state === 'leader',
  });
  return { trust, papers, mesh, networkKeys, directory, leadership, membership };
}
