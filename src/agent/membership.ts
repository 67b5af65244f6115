/**
 * How a node gets into a cluster and knows the others. Whoever has the network key can ask who
 * somebody is (`hello`); who shows a certificate of the cluster is let in (`admit`): the leader
 * makes the member record out of it, other nodes pass the request on by one hop. The same name by
 * another key is refused. Until a configuration names this node it asks again and again, and stops
 * with a clear error when the answer can't change by waiting.
 */
import type { ClusterId, EpochId, Ms, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, asAgentError, type ErrorCode } from '../base/error.ts';
import type { ConfigurationChange } from '../consensus/api.ts';
import type { Mesh } from '../mesh/api.ts';
import type { Certificate } from '../wire/member.ts';
import {
  admitSchema,
  admittedSchema,
  agreedVersion,
  decodeNodeMessage,
  encodeNodeMessage,
  type Hello,
  helloSchema,
  nodeProtocol,
} from '../wire/node-message.ts';
import type { Config } from './config.ts';
import { pause } from './deadline.ts';
import type { Directory } from './directory.ts';
import type { Trust } from './trust/trust.ts';
import { version } from './version.ts';

const helloTimeoutMs = 3000;
const admitTimeoutMs = 5000;
const retryMs = 100;
/** Refusals by the configured peers after which looking for a cluster is given up. */
const refusalsMax = 5;

export interface Identified {
  readonly clusterId: ClusterId | null;
  readonly epoch: EpochId | null;
  readonly epochNumber: number;
  readonly parentEpoch: EpochId | null;
}

/** The cluster that a newcomer found. */
export type FoundCluster = Identified & {
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
};

export interface MembershipDeps {
  readonly config: Config;
  readonly mesh: Mesh;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly trust: Trust;
  readonly cluster: () => Identified;
  readonly statusUrl: () => string | null;
  readonly leader: () => PeerId | null;
  readonly leads: () => boolean;
  /** Somebody of this cluster is in another epoch. */
  readonly strayed: (hello: Hello, certificate: Certificate) => void;
  /** Number and parent of this node's own epoch, from a member that knows them. */
  readonly learnEpoch: (hello: Hello) => void;
  readonly reconfigure: (change: ConfigurationChange, timeoutMs: Ms) => Promise<void>;
}

export interface Membership {
  /** Asks a peer who it is; both sides know each other afterwards. */
  greet(peer: PeerId): Promise<Hello>;
  /** Answers `hello` and `admit`. */
  onHello(from: PeerId, body: Uint8Array): Promise<Uint8Array>;
  onAdmit(from: PeerId, body: Uint8Array): Promise<Uint8Array>;
  /** Dials the configured addresses until a member of a cluster answers. */
  findCluster(peers: readonly string[], signal: AbortSignal): Promise<FoundCluster>;
  /** Asks until the leader has made the record; returns it. */
  join(signal: AbortSignal): Promise<Certificate>;
}

/** `host:port` as a multiaddr; a multiaddr stays as it is. */
export function multiaddrOf(peer: string): string {
  if (peer.startsWith('/')) return peer;
  const at = peer.lastIndexOf(':');
  const host = peer.slice(0, at).replace(/^\[|\]$/g, '');
  const port = peer.slice(at + 1);
  if (at <= 0 || !/^\d+$/.test(port))
    throw new AgentError('bad-request', `peers: ${peer} is neither a multiaddr nor host:port`);
  const kind = host.includes(':') ? 'ip6' : /^[\d.]+$/.test(host) ? 'ip4' : 'dns';
  return `/${kind}/${host}/tcp/${port}`;
}

/** Where this node listens; nowhere if it only dials out. */
export const listenOf = ({ dialOutOnly, meshHost }: Config, port: number): string[] =>
  dialOutOnly ? [] : [multiaddrOf(`${meshHost}:${port}`)];

const encodesSame = (a: Certificate, b: Certificate): boolean =>
  (Object.keys(b) as (keyof Certificate)[]).every((key) => a[key] === b[key]);

/** Answers that waiting doesn't change. */
const hopeless = new Set<ErrorCode>([
  ...(['conflict', 'cluster-mismatch', 'epoch-mismatch', 'forbidden'] as const),
  ...(['network-key-mismatch', 'certificate-invalid', 'certificate-revoked'] as const),
  ...(['certificate-expired', 'authority-retired', 'role-not-certified'] as const),
]);

export function createMembership(deps: MembershipDeps): Membership {
  const { config, mesh, directory, clock, trust } = deps;
  let admitting: Promise<unknown> = Promise.resolve();

  function chainPart(): Pick<Hello, 'chain'> {
    const chain = trust.authorities.chain();
    return chain.length === 0 ? {} : { chain: [...chain] };
  }

  const ownHello = (): Hello => ({
    ...chainPart(),
    protocol: nodeProtocol,
    certificate: trust.own().text,
    ...deps.cluster(),
    version,
    statusUrl: deps.statusUrl(),
    addresses: mesh.addresses().slice(0, 16),
    leader: deps.leader(),
    members: directory
      .meshPeers()
      .slice(0, 256)
      .map(({ peerId, addresses }) => ({ peerId, addresses: [...addresses] })),
  });

  /**
   * Refuses whoever can't work with us; notes everybody else. A machine that is being enrolled has
   * no certificate: it gets an answer and is nobody yet.
   */
  async function meet(peer: PeerId, hello: Hello): Promise<void> {
    const { min, max } = hello.protocol;
    if (agreedVersion(nodeProtocol, hello.protocol) === null)
      throw new AgentError(
        'forbidden',
        `${peer} speaks node protocol ${min} to ${max}, this node ${nodeProtocol.min} to ` +
          `${nodeProtocol.max}`,
      );
    if (hello.chain !== undefined) await trust.authorities.offer(hello.chain);
    if (hello.certificate === null) return;
    const certificate = await trust.learn(peer, hello.certificate);
    const own = deps.cluster();
    if (hello.epoch !== null && own.epoch !== null) {
      if (hello.epoch !== own.epoch) {
        deps.strayed(hello, certificate);
        throw new AgentError(
          'epoch-mismatch',
          `${certificate.name} belongs to epoch ${hello.epoch}, ${config.nodeId} to ${own.epoch}`,
        );
      }
      if (own.epochNumber === 0 && hello.epochNumber > 0) deps.learnEpoch(hello);
    }
    directory.hello(peer, hello, certificate, clock.now().monoMs);
    for (const member of hello.members) directory.hint(member.peerId, member.addresses);
  }

  async function greet(peer: PeerId): Promise<Hello> {
    const body = encodeNodeMessage(ownHello());
    const answer = await mesh.request(peer, 'hello', body, { timeoutMs: helloTimeoutMs });
    const hello = decodeNodeMessage('hello', helloSchema, answer);
    await meet(peer, hello);
    return hello;
  }

  async function onHello(from: PeerId, body: Uint8Array): Promise<Uint8Array> {
    try {
      await meet(from, decodeNodeMessage('hello', helloSchema, body));
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      const isMember = directory.configuration().members.some(({ peerId }) => peerId === from);
      if (code !== 'authority-retired' || !isMember) throw thrown;
      // It was away while the authority changed: from the answer it learns which one to ask.
      trust.refused(from, 'hello', { code, detail: message });
    }
    return encodeNodeMessage(ownHello());
  }

  /** The leader's decision about a certified member; one at a time. */
  async function decide(member: Certificate): Promise<Certificate> {
    const { members } = directory.configuration();
    const known = members.find(({ peerId }) => peerId === member.peerId);
    if (known !== undefined && encodesSame(known, member)) return known;
    const namesake = members.find(({ name }) => name === member.name);
    if (namesake !== undefined && namesake.peerId !== member.peerId)
      throw new AgentError(
        'conflict',
        `the name ${member.name} belongs to the key ${namesake.peerId}; choose another name, ` +
          'or forget that member first',
      );
    await deps.reconfigure({ type: 'admit', member }, admitTimeoutMs);
    return member;
  }

  async function onAdmit(from: PeerId, body: Uint8Array): Promise<Uint8Array> {
    const admit = decodeNodeMessage('admit', admitSchema, body);
    const own = deps.cluster();
    if (admit.epoch !== own.epoch)
      throw new AgentError('epoch-mismatch', `this is epoch ${own.epoch}`);
    if (!admit.forwarded && admit.peerId !== from)
      throw new AgentError('forbidden', `${from} asks for ${admit.peerId}`);
    const member = await trust.learn(admit.peerId, admit.certificate);
    if (deps.leads()) {
      const decision = admitting.then(() => decide(member));
      // The next one waits for this decision, whatever it is.
      admitting = decision.then(
        () => undefined,
        () => undefined,
      );
      return encodeNodeMessage({ certificate: await decision });
    }
    const leader = deps.leader();
    if (admit.forwarded || leader === null)
      throw new AgentError('not-leader', `${config.nodeId} knows no leader to admit a member`);
    const forwarded = encodeNodeMessage({ ...admit, forwarded: true });
    return mesh.request(leader, 'admit', forwarded, { timeoutMs: admitTimeoutMs });
  }

  /** Who listens at a configured address; null when that is this node itself. */
  async function greetAt(address: string): Promise<Hello | null> {
    try {
      return await greet(await mesh.dial(address, { timeoutMs: helloTimeoutMs }));
    } catch (error) {
      if (asAgentError(error).code === 'conflict') return null;
      throw error;
    }
  }

  async function findCluster(peers: readonly string[], signal: AbortSignal): Promise<FoundCluster> {
    const addresses = peers.map(multiaddrOf);
    let last = 'nobody answered';
    let refusals = 0;
    while (!signal.aborted) {
      const answers = await Promise.allSettled(addresses.map(greetAt));
      for (const answer of answers) {
        if (answer.status === 'fulfilled') {
          const { clusterId = null, epoch = null } = answer.value ?? {};
          if (clusterId === null || epoch === null) continue;
          const { epochNumber = 0, parentEpoch = null } = answer.value ?? {};
          return { clusterId, epoch, epochNumber, parentEpoch };
        }
        const error = asAgentError(answer.reason);
        last = error.message;
        // A peer that goes down in the middle of a handshake looks like a refusal, once.
        if (hopeless.has(error.code)) refusals += 1;
        if (refusals >= refusalsMax) throw error;
      }
      await pause(retryMs, signal);
    }
    throw new AgentError('stopped', `stopped while looking for a cluster: ${last}`);
  }

  /**
   * Whom to ask: the leader if it is known and linked, else everybody who is linked: they pass it
   * on. In a large cluster a newcomer is linked to a handful, perhaps without the leader.
   */
  function doors(): PeerId[] {
    const leader = deps.leader();
    const linked = mesh
      .links()
      .filter((link) => link.connected)
      .map((link) => link.peerId);
    return leader !== null && linked.includes(leader) ? [leader] : linked;
  }

  async function join(signal: AbortSignal): Promise<Certificate> {
    const { epoch } = deps.cluster();
    if (epoch === null) throw new AgentError('internal', 'join before hello');
    const certificate = trust.own().text;
    const asked = { peerId: mesh.peerId, certificate, epoch, forwarded: false };
    const body = encodeNodeMessage(asked);
    let last = 'no member is linked';
    while (!signal.aborted) {
      for (const door of doors())
        try {
          const answer = await mesh.request(door, 'admit', body, { timeoutMs: admitTimeoutMs });
          return decodeNodeMessage('admitted', admittedSchema, answer).certificate;
        } catch (thrown) {
          const error = asAgentError(thrown);
          // A door into an epoch that this node has left is the wrong one; others may be right.
          if (hopeless.has(error.code) && error.code !== 'epoch-mismatch') throw error;
          last = error.message;
        }
      await pause(retryMs, signal);
    }
    throw new AgentError('stopped', `stopped before this node was admitted: ${last}`);
  }

  return { greet, onHello, onAdmit, findCluster, join };
}
