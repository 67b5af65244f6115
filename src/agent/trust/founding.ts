/**
 * Data folders with a certificate, made on this machine: the first master of a new cluster, and,
 * where the same person owns all folders (a demo, a test bed), further members by the same
 * authority, without a token. Nothing here talks to anybody.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ClusterId, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import { loadIdentity, writeDurably } from '../../mesh/identity.ts';
import { loadNetworkKey } from '../../mesh/network-key.ts';
import type { AuthorityPair } from '../../wire/enrolment.ts';
import type { Role } from '../../wire/member.ts';
import { type DataFolder, openDataFolder } from '../data-folder.ts';
import { claimsFor, type PublicAuthority, signCertificate, writePapers } from './authority.ts';
import { networkKeyFile } from './key-ring.ts';
import { generateAuthority } from './signatures.ts';

export interface NewMember {
  readonly name: string;
  readonly role: Role;
  readonly zone: string;
  readonly rank: number;
  readonly workersMayLead: boolean;
}

export interface Founded {
  readonly clusterId: ClusterId;
  readonly peerId: PeerId;
  readonly networkKey: string;
  readonly authority: PublicAuthority;
  readonly pair: AuthorityPair;
}

/** The folder's new key; refuses a folder that holds a node already. */
export async function makeIdentity(folder: DataFolder, name: string): Promise<PeerId> {
  const file = folder.node();
  const begun = file?.state === 'joining';
  if (file !== null && !begun)
    throw new AgentError(
      'conflict',
      `${folder.path} holds the node ${file.name} already; use another --data folder, or start ` +
        'it with: bellwether agent',
    );
  await folder.writeNode({ version: 1, state: 'joining', name });
  return (await loadIdentity(folder.path, { create: true })).peerId;
}

/** A new authority in the folder, and its first certificate: that of the first master. */
export async function makeAuthority(
  dir: string,
  clusterId: ClusterId,
  first: Omit<NewMember, 'role'> & { readonly peerId: PeerId },
  wallMs: number,
  /** The entries up to here come from another cluster; its revocations go on counting. */
  unsignedUntil = 0,
): Promise<Pick<Founded, 'authority' | 'pair'>> {
  const pair = await generateAuthority();
  const { x } = pair;
  const authority: PublicAuthority = {
    version: 1,
    clusterId,
    trusted: [x],
    root: x,
    unsignedUntil,
  };
  const claims = claimsFor(clusterId, { ...first, role: 'master' }, wallMs);
  const certificate = await signCertificate(pair, claims);
  await writePapers(dir, { authority, certificate, secret: pair });
  return { authority, pair };
}

/** Makes a cluster whose first master has this folder. */
export async function foundCluster(
  folder: DataFolder,
  first: Omit<NewMember, 'role'>,
  wallMs: number,
): Promise<Founded> {
  const peerId = await makeIdentity(folder, first.name);
  const networkKey = await loadNetworkKey(join(folder.path, networkKeyFile), { create: true });
  const clusterId = randomBytes(16).toString('hex');
  const epoch = randomBytes(16).toString('hex');
  const papers = await makeAuthority(folder.path, clusterId, { ...first, peerId }, wallMs);
  await folder.writeNode({ version: 1, state: 'founding', name: first.name, clusterId, epoch });
  return { clusterId, peerId, networkKey, ...papers };
}

/** Makes a certified member of the same cluster in another folder of this machine. */
async function addMember(
  path: string,
  founded: Founded,
  member: NewMember & { readonly peers: readonly string[] },
  wallMs: number,
): Promise<void> {
  const folder = openDataFolder(path);
  try {
    const { clusterId, authority, pair, networkKey } = founded;
    const peerId = await makeIdentity(folder, member.name);
    await writeDurably(join(path, networkKeyFile), networkKey);
    const certificate = await signCertificate(
      pair,
      claimsFor(clusterId, { ...member, peerId }, wallMs),
    );
    const secret = member.role === 'master' ? pair : null;
    await writePapers(path, { authority, certificate, secret });
    const { name, peers } = member;
    await folder.writeNode({ version: 1, state: 'enrolled', name, clusterId, peers: [...peers] });
  } finally {
    folder.release();
  }
}

export interface FlockFolder {
  readonly name: string;
  readonly role: Role;
  readonly data: string;
  /** Where its mesh listens: a multiaddr. */
  readonly mesh: string;
}

/**
 * Folders of a whole flock on this machine; the first is its founder, and all the others know where
 * it listens. Folders that hold a node are left as they are.
 */
export async function foundFlock(plans: readonly FlockFolder[], wallMs: number): Promise<void> {
  const [first, ...others] = plans;
  if (first === undefined || first.role !== 'master')
    throw new AgentError('bad-request', 'a flock begins with a master');
  const common = { zone: 'default', rank: 0, workersMayLead: true };
  const folder = openDataFolder(first.data);
  try {
    if (folder.node() !== null) return;
    const founded = await foundCluster(folder, { ...common, name: first.name }, wallMs);
    const peers = [first.mesh];
    for (const { name, role, data } of others)
      await addMember(data, founded, { ...common, name, role, peers }, wallMs);
  } finally {
    folder.release();
  }
}
