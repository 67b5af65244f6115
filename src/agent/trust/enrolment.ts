/**
 * The master's side of joining: makes one-time tokens, turns a token into a certificate, and renews
 * certificates. What a token allows is signed when it is made, so that its entry in the log, which
 * any leader could write, proves only that it is unused. A secret is shown to masters alone.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { TokenRecord } from '../../catalog/query-identity.ts';
import type { ConfigurationChange } from '../../consensus/api.ts';
import {
  type Claims,
  decodeStatement,
  type Grant,
  generationMax,
  grantSchema,
} from '../../wire/certificate.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import {
  type AuthorityPair,
  type Enrol,
  encodeEnrolment,
  enrolSchema,
  renewSchema,
} from '../../wire/enrolment.ts';
import { encodeJoinToken } from '../../wire/join-token.ts';
import type { Certificate, Role } from '../../wire/member.ts';
import { decodeNodeMessage } from '../../wire/node-message.ts';
import type { IdentityFace, TokenMade, TokenReport } from '../api.ts';
import type { Directory } from '../directory.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { PeerService } from '../peer-service.ts';
import { mustCount } from './authorities.ts';
import { claimsFor, keysOf, renewed, signCertificate } from './authority.ts';
import type { KeyRing } from './key-ring.ts';
import { createRoles, type IssuedCertificates } from './roles.ts';
import { createRotation, type RotationDeps } from './rotation.ts';
import { signStatement } from './signatures.ts';
import { signRevocation } from './succession.ts';
import type { Trust } from './trust.ts';
import { authorityRequest, type Vault } from './vault.ts';

const proposeTimeoutMs: Ms = 10_000;
const addressesMax = 8;
const peersToldMax = 64;

export interface EnrolmentDeps {
  readonly trust: Trust;
  /** Holds the signing key where this node is a master. */
  readonly vault: Vault;
  readonly networkKeys: KeyRing;
  readonly workersMayLead: boolean;
  readonly directory: Directory;
  readonly addresses: () => string[];
  readonly leader: () => PeerId | null;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly peers: PeerService;
  readonly propose: (command: Command, timeoutMs: Ms) => Promise<CommandResult>;
  readonly reconfigure: (change: ConfigurationChange, timeoutMs: Ms) => Promise<void>;
  readonly handOver: () => Promise<void>;
  readonly tokens: () => Promise<readonly TokenRecord[]>;
  readonly issued: () => Promise<IssuedCertificates>;
  /** Returns when trust knows everything that was acknowledged before. */
  readonly catchUp: () => Promise<void>;
  readonly ask: RotationDeps['ask'];
  readonly linked: () => readonly PeerId[];
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

const hashOf = (secret: string): string => hash('sha256', secret, 'hex');

/** Where others dial, without the peer ids; addresses of this machine alone come last. */
function dialable(addresses: readonly string[]): string[] {
  const bare = addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, ''));
  const local = (address: string): number => (/^\/(ip4\/127\.|ip6\/::1\/)/.test(address) ? 1 : 0);
  return [...new Set(bare)].sort((a, b) => local(a) - local(b));
}

export function createEnrolment(deps: EnrolmentDeps): IdentityFace {
  const { trust, clock, directory, metrics } = deps;

  const masters = () => directory.configuration().members.filter(({ role }) => role === 'master');

  function authority(): AuthorityPair {
    const secret = deps.vault.secret();
    if (secret !== null) return secret;
    if (trust.own().member.role === 'master')
      throw new AgentError(
        'unavailable',
        'this master has not got the secret of the newest authority yet; it asks the others for ' +
          'it every few seconds',
      );
    const ports = masters()
      .map(({ peerId }) => directory.factsOf(peerId).statusUrl)
      .filter((url) => url !== null);
    throw new AgentError(
      'role-not-certified',
      `this node is a ${trust.own().member.role}: only masters hold the authority key; ask one ` +
        `of ${ports.join(', ') || 'them'}`,
    );
  }

  async function applied(command: Command): Promise<unknown> {
    const result = await deps.propose(command, proposeTimeoutMs);
    if (!result.ok) throw new AgentError(result.code, result.detail);
    return result.value;
  }

  const addressesOf = (role: Role | null): string[] =>
    directory
      .configuration()
      .members.filter((member) => role === null || member.role === role)
      .flatMap(({ peerId }) =>
        peerId === directory.self ? deps.addresses() : directory.factsOf(peerId).addresses,
      );

  async function createToken(asked: {
    readonly role: Role;
    readonly name: string | null;
    readonly zone: string | null;
    readonly ttlMs: Ms;
  }): Promise<TokenMade> {
    const pair = authority();
    const { role, name, zone, ttlMs } = asked;
    if (name !== null) refuseTaken(name, null);
    const addresses = dialable([...deps.addresses(), ...addressesOf('master')]);
    if (addresses.length === 0)
      throw new AgentError('unavailable', 'this node listens nowhere that others could dial');
    const id = randomBytes(8).toString('hex');
    const secret = randomBytes(16).toString('hex');
    const grant: Grant = { v: 1, iss: trust.clusterId, id, hash: hashOf(secret), role, name, zone };
    const expiresAtMs = clock.wallMs() + ttlMs;
    const statement = await signStatement(pair, 'grant', grant);
    const command = { type: 'token.put', id, hash: grant.hash, grant: statement } as const;
    await applied({ ...command, expiresAtMs });
    deps.event('token-created', { id, role, name });
    const { sending: networkKey } = deps.networkKeys.keys();
    const known = { clusterId: trust.clusterId, networkKey, authority: pair.x };
    const token = { ...known, id, secret, role, addresses: addresses.slice(0, addressesMax) };
    return { token: encodeJoinToken(token), id, role, name, expiresAtMs };
  }

  function refuseTaken(name: string, peer: PeerId | null): void {
    const namesake = directory.byName(name);
    if (namesake === null || namesake.peerId === peer) return;
    throw new AgentError(
      'conflict',
      `the name ${name} belongs to the key ${namesake.peerId}; choose another name, or forget ` +
        'that member first',
    );
  }

  async function readGrant(text: string): Promise<Grant> {
    const { payload, by } = await trust.authorities.verifier().verify('grant', text);
    const grant = decodeStatement('grant', grantSchema, payload);
    if (grant.iss !== trust.clusterId)
      throw new AgentError('token-wrong', 'the join token is for another cluster');
    mustCount(trust.authorities, by, 'the join token; make another with: token create');
    return grant;
  }

  async function enrol(from: PeerId, asked: Enrol): Promise<Uint8Array> {
    const pair = authority();
    if (asked.name !== null) refuseTaken(asked.name, from);
    const secretHash = hashOf(asked.secret);
    const use = { type: 'token.use', id: asked.id, hash: secretHash, peer: from } as const;
    const { grant: text } = (await applied(use)) as { grant: string };
    const grant = await readGrant(text);
    if (grant.id !== asked.id || grant.hash !== secretHash)
      throw new AgentError('token-wrong', 'the join token is not what was signed');
    const name = grant.name ?? asked.name;
    if (name === null) throw new AgentError('bad-request', 'name: the token leaves it to you');
    refuseTaken(name, from);
    const { role } = grant;
    const zone = grant.zone ?? asked.zone ?? 'default';
    const { workersMayLead } = deps;
    const subject = { peerId: from, name, role, zone, rank: asked.rank, workersMayLead };
    const certificate = await issue(claimsFor(trust.clusterId, subject, clock.wallMs()));
    deps.event('certificate-issued', { name, role, peer: from });
    return encodeEnrolment({
      certificate,
      ...keysOf(trust.authorities.papers()),
      authority: role === 'master' ? pair : null,
      peers: dialable([...deps.addresses(), ...addressesOf(null)]).slice(0, peersToldMax),
    });
  }

  function issue(claims: Claims): Promise<string> {
    metrics.count('certificates_issued');
    return signCertificate(authority(), claims);
  }

  async function onEnrol(from: PeerId, body: Uint8Array): Promise<Uint8Array> {
    try {
      return await enrol(from, decodeNodeMessage('enrol', enrolSchema, body));
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      metrics.count('tokens_refused');
      deps.event('token-refused', { peer: from, code, detail: message });
      throw thrown;
    }
  }

  /** The next certificate of a member whose last one may be over, with the same rights. */
  async function onRenew(from: PeerId, body: Uint8Array): Promise<Uint8Array> {
    const { certificate } = decodeNodeMessage('renew', renewSchema, body);
    const { claims, counts } = await trust.examine(from, certificate);
    const record = directory.configuration().members.find(({ peerId }) => peerId === from);
    if (record === undefined)
      throw new AgentError('forbidden', `${claims.name} is no member any more; it joins anew`);
    const next = await issue(renewed(counts ? claims : recorded(record), clock.wallMs()));
    deps.event('certificate-renewed', { name: claims.name, peer: from });
    const chain = trust.authorities.chain();
    return encodeEnrolment({ certificate: next, ...(chain.length > 0 && { chain: [...chain] }) });
  }

  /**
   * What a member is by the log. A certificate of a retired authority says no more than who shows
   * it: whoever took the old secret away could have signed any rights into it.
   */
  function recorded(record: Certificate): Claims {
    const { peerId, name, role, zone, rank, leads } = record;
    const subject = { peerId, name, role, zone, rank: 0, workersMayLead: leads };
    const gen = trust.issued(peerId)?.claims.gen ?? 1;
    return { ...claimsFor(trust.clusterId, subject, clock.wallMs()), rank, gen };
  }

  async function revoke(name: string, reason: string): Promise<{ peerId: PeerId }> {
    const pair = authority();
    const member = directory.byName(name);
    if (member === null) throw new AgentError('not-found', `no member is called ${name}`);
    const { peerId } = member;
    if (peerId === deps.leader())
      throw new AgentError('conflict', `${name} leads: hand the lead over first (switchover)`);
    // While it may still vote: a voter that is refused could never be voted out.
    await deps.reconfigure({ type: 'forget', peerId }, proposeTimeoutMs);
    const floor = generationMax;
    const what = { sub: peerId, floor, reason };
    const statement = await signRevocation(trust.clusterId, pair, what, clock.wallMs());
    await applied({ type: 'certificate.revoke', peer: peerId, name, floor, reason, statement });
    deps.event('certificate-revoked', { name, peer: peerId, reason });
    return { peerId };
  }

  async function tokens(): Promise<TokenReport[]> {
    const list: TokenReport[] = [];
    for (const { id, grant, expiresAtMs, usedBy } of await deps.tokens()) {
      const allowed = await readGrant(grant).catch((thrown: unknown) => {
        // Of an authority that no longer counts, as after a restore: so does the token.
        if (thrown instanceof AgentError) return null;
        throw thrown;
      });
      if (allowed === null) continue;
      const { role, name, zone } = allowed;
      const over = expiresAtMs < clock.wallMs();
      const state = usedBy !== null ? 'used' : over ? 'expired' : 'open';
      list.push({ id, role, name, zone, expiresAtMs, state, usedBy });
    }
    return list;
  }

  const roles = createRoles({
    ...{ trust, clock, issue },
    ...{ workersMayLead: deps.workersMayLead, leader: deps.leader, issued: deps.issued },
    ...{ propose: deps.propose, reconfigure: deps.reconfigure, handOver: deps.handOver },
    members: () => directory.configuration().members,
    event: deps.event,
  });

  async function setRole(name: string, role: Role) {
    authority();
    return roles.set(name, role);
  }

  function onAuthority(from: PeerId): Uint8Array {
    const answer = deps.vault.answer();
    deps.event('authority-given', { name: directory.nameOf(from), peer: from });
    return answer;
  }

  deps.peers.serve(authorityRequest, 'master', onAuthority);
  deps.peers.serve('enrol', 'nothing', onEnrol);
  deps.peers.serve('renew', 'nothing', onRenew);
  const rotation = createRotation({
    ...{ trust, clock, applied, authority },
    ...{ vault: deps.vault, directory, peers: deps.peers, event: deps.event },
    ...{ catchUp: deps.catchUp, ask: deps.ask, linked: deps.linked },
    openTokens: async () => (await tokens()).filter(({ state }) => state === 'open').length,
  });
  return { createToken, tokens, revoke, setRole, ...rotation };
}
