/**
 * The newcomer's side of joining: a folder with a key of its own, a short visit at a master over
 * the private mesh, and a certificate in the folder. The master is believed only when its
 * certificate is signed by the authority that the token names; the secret is shown to nobody else.
 * Asking again with the same folder and token after an interruption is the same use.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { ClusterId, Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import { createPrng } from '../../base/prng.ts';
import type { Mesh, MeshHandlers } from '../../mesh/api.ts';
import { writeDurably } from '../../mesh/identity.ts';
import { createMesh } from '../../mesh/mesh.ts';
import { type Claims, decodeClaims, refusalOf } from '../../wire/certificate.ts';
import { type Enrolled, encodeEnrolment, enrolledSchema } from '../../wire/enrolment.ts';
import { decodeJoinToken, type JoinToken } from '../../wire/join-token.ts';
import type { Role } from '../../wire/member.ts';
import { parseNetworkKey } from '../../wire/network-key.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type Hello,
  helloSchema,
  nodeProtocol,
} from '../../wire/node-message.ts';
import type { DataFolder } from '../data-folder.ts';
import { version } from '../version.ts';
import { keysOf, writePapers } from './authority.ts';
import { makeIdentity } from './founding.ts';
import { networkKeyFile } from './key-ring.ts';
import { createVerifier, kidOf, type Verifier } from './signatures.ts';
import { followOffer } from './succession.ts';

const dialTimeoutMs: Ms = 5000;
const askTimeoutMs: Ms = 15_000;

export interface Joined {
  readonly name: string;
  readonly role: Role;
  readonly zone: string;
  readonly clusterId: ClusterId;
  readonly peerId: PeerId;
}

export interface JoinWish {
  readonly name: string;
  readonly zone: string | null;
  readonly rank: number;
}

/** Who visits answers nothing but who it is: nobody yet. */
function visitor(hello: () => Hello): MeshHandlers {
  return {
    onFrame: () => undefined,
    onLink: () => undefined,
    onGossip: () => undefined,
    onClash: () => undefined,
    onHandshakeFailed: () => undefined,
    mayGossip: async () => false,
    onStream: async () => {
      throw new AgentError('unavailable', 'this node is being enrolled');
    },
    onRequest: async (_from, name) => {
      if (name === 'hello') return encodeNodeMessage(hello());
      throw new AgentError('unavailable', 'this node is being enrolled');
    },
  };
}

const helloOf = (clusterId: ClusterId): Hello => ({
  ...{ protocol: nodeProtocol, certificate: null, clusterId, epoch: null, version },
  ...{ epochNumber: 0, parentEpoch: null },
  ...{ statusUrl: null, addresses: [], leader: null, members: [] },
});

interface Door {
  readonly mesh: Mesh;
  readonly token: JoinToken;
  /** Of the token's authority, and of what was proved to follow it. */
  verifier: Verifier;
  readonly wallMs: () => Ms;
}

async function claimsIn(door: Door, peer: PeerId, text: string): Promise<Claims> {
  const claims = decodeClaims((await door.verifier.verify('certificate', text)).payload);
  const { clusterId } = door.token;
  const refusal = refusalOf(claims, { peer, clusterId, wallMs: door.wallMs(), floor: 1 });
  if (refusal !== null) throw new AgentError(refusal.code, refusal.detail);
  return claims;
}

/** The token names the authority of its time; another one counts when it follows from that. */
async function believe(door: Door, chain: readonly string[]): Promise<void> {
  const { clusterId, authority } = door.token;
  const { links, retired } = await followOffer(clusterId, [authority], chain);
  if (retired.has(authority))
    throw new AgentError(
      'token-wrong',
      `the join token names the authority ${kidOf(authority)}, which was retired; make another ` +
        'token with: token create',
    );
  door.verifier = await createVerifier([authority, ...links.map(({ to }) => to)]);
}

/** Connects to a master of the token's cluster; anybody else is left again. */
async function knock(door: Door, address: string): Promise<PeerId> {
  const { mesh, token } = door;
  const peer = await mesh.dial(address, { timeoutMs: dialTimeoutMs });
  const body = encodeNodeMessage(helloOf(token.clusterId));
  const answer = await mesh.request(peer, 'hello', body, { timeoutMs: askTimeoutMs });
  const { certificate, chain = [] } = decodeNodeMessage('hello', helloSchema, answer);
  await believe(door, chain);
  if (certificate === null)
    throw new AgentError('certificate-missing', `${address} shows no certificate`);
  const { role, name } = await claimsIn(door, peer, certificate);
  if (role === 'master') return peer;
  throw new AgentError('role-not-certified', `${name} at ${address} is a ${role}, no master`);
}

async function enrol(door: Door, wish: JoinWish): Promise<Enrolled> {
  const { id, secret } = door.token;
  const body = encodeEnrolment({ id, secret, ...wish });
  const failures: AgentError[] = [];
  for (const address of door.token.addresses)
    try {
      const master = await knock(door, address);
      const answer = await door.mesh.request(master, 'enrol', body, { timeoutMs: askTimeoutMs });
      return decodeNodeMessage('enrolled', enrolledSchema, answer);
    } catch (thrown) {
      const error = asAgentError(thrown);
      const passing = ['unavailable', 'timeout', 'not-leader', 'no-quorum', 'outcome-unknown'];
      if (!passing.includes(error.code) && error.code !== 'network-key-mismatch') throw error;
      failures.push(error);
    }
  // What a person can act on goes before a silent address.
  const told = failures.find(({ code }) => code !== 'unavailable') ?? failures[0];
  throw told ?? new AgentError('unavailable', 'the join token names no address');
}

/** Makes the folder a certified member of the token's cluster. */
export async function joinCluster(
  folder: DataFolder,
  text: string,
  wish: JoinWish,
  clock: Clock,
): Promise<Joined> {
  const token = decodeJoinToken(text);
  const peerId = await makeIdentity(folder, wish.name);
  const networkKey = parseNetworkKey(token.networkKey);
  const mesh = await createMesh(
    {
      handlers: visitor(() => helloOf(token.clusterId)),
      clock,
      prng: createPrng(randomInt(2 ** 48 - 1)),
    },
    { dir: folder.path, listen: [], networkKey, clusterId: token.clusterId },
  );
  await mesh.start();
  try {
    const verifier = await createVerifier([token.authority]);
    const door: Door = { mesh, token, verifier, wallMs: () => clock.wallMs() };
    const enrolled = await enrol(door, wish);
    const { certificate, authority, peers } = enrolled;
    const { name, role, zone } = await claimsIn(door, peerId, certificate);
    const { clusterId } = token;
    await writeDurably(join(folder.path, networkKeyFile), networkKey);
    await writePapers(folder.path, {
      authority: { version: 1, clusterId, ...keysOf(enrolled) },
      certificate,
      secret: authority,
    });
    await folder.writeNode({ version: 1, state: 'enrolled', name, clusterId, peers });
    return { name, role, zone, clusterId, peerId };
  } finally {
    await mesh.stop();
  }
}
