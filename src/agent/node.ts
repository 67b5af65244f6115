/**
 * One node from its folder to a running member, in a fixed order: key and mesh, cluster (made,
 * found or known), stores, consensus, admission. `start` resolves once this node is a member whose
 * loop runs; a leader need not be there yet. What was started is stopped in reverse, also when the
 * start fails half-way.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import type { Fact } from '../consensus/api.ts';
import type { Mesh } from '../mesh/api.ts';
import type { Certificate } from '../wire/member.ts';
import type { Hello } from '../wire/node-message.ts';
import { createAddressBook } from './address-book.ts';
import type { IdentityFace } from './api.ts';
import type { Config } from './config.ts';
import type { DataFolder, MemberFile } from './data-folder.ts';
import type { Directory } from './directory.ts';
import type { Leadership } from './leadership.ts';
import { keepLinks } from './link-policy.ts';
import type { Identified } from './membership.ts';
import type { AgentMetrics } from './metrics.ts';
import { type Identity, openIdentity } from './node-identity.ts';
import { createPeerService, type PeerService } from './peer-service.ts';
import { createStrays, type Stray } from './recovery/strays.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import { foundsCluster, identify, planStart, type StartPlan } from './start-plan.ts';
import { openStores, type Stores } from './stores.ts';
import { type ClashWatch, createClashWatch } from './trust/clash-watch.ts';
import { createDoorLog, type DoorLog } from './trust/door-log.ts';
import { foundCluster } from './trust/founding.ts';
import type { KeyRing } from './trust/key-ring.ts';
import { createStanding, type Standing } from './trust/standing.ts';
import type { LastRefusal, Trust } from './trust/trust.ts';

export interface NodeDeps {
  readonly config: Config;
  readonly folder: DataFolder;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly statusUrl: () => string | null;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onRefused: (refusal: LastRefusal) => void;
  /** This node counts as something else from here on. */
  readonly onCertified: () => void;
  readonly onFact: (fact: Fact, directory: Directory) => void;
  readonly onApplied: (index: LogIndex) => void;
  readonly onFailure: (text: string, error: unknown) => void;
  readonly onFatal: (error: unknown) => void;
}

/** A node that has started. */
export interface Node {
  readonly self: PeerId;
  readonly mesh: Mesh;
  readonly stores: Stores;
  readonly runtime: Runtime;
  readonly directory: Directory;
  readonly leadership: Leadership;
  readonly peers: PeerService;
  readonly trust: Trust;
  readonly clashes: ClashWatch;
  readonly doors: DoorLog;
  readonly identity: IdentityFace;
  /** Takes over what the applied log says of certificates and network keys, now. */
  lookAround(): Promise<void>;
  readonly networkKeys: KeyRing;
  readonly member: MemberFile;
  /** Members of this cluster that are in another epoch. */
  strays(): Stray[];
  /** Asks a member who it is; throws when it is of another epoch, or doesn't answer. */
  greet(peer: PeerId): Promise<Hello>;
  certificate(): Certificate;
}

export interface NodeStarter {
  start(signal: AbortSignal): Promise<Node>;
  /** Stops what has been started, in reverse. */
  stop(): Promise<void>;
}

const nowhere: Identified = {
  clusterId: null,
  epoch: null,
  epochNumber: 0,
  parentEpoch: null,
};

export function createNodeStarter(deps: NodeDeps): NodeStarter {
  const { config, folder, clock } = deps;
  const closers: { name: string; close: () => Promise<void> | void }[] = [];
  let cluster: Identified = nowhere;
  const strays = createStrays();
  let identity: Identity | null = null;
  let runtime: Runtime | null = null;

  const need = <T>(value: T | null, what: string): T => {
    if (value === null) throw new AgentError('unavailable', `${what} is not there yet`);
    return value;
  };
  const clashes = createClashWatch({
    ...{ dir: folder.path, clock, event: deps.event, onFailure: deps.onFailure },
    votes: () => identity?.trust.own().member.votes ?? false,
    nameOf: (peer) => identity?.directory.nameOf(peer) ?? peer,
  });
  const doors = createDoorLog({
    ...{ clock, event: deps.event },
    count: (by) => deps.metrics.count('connections_refused', by),
  });
  const peers = createPeerService({
    clock,
    doors,
    clashes: () => clashes,
    metrics: deps.metrics,
    trust: () => need(identity, 'trust').trust,
    membership: () => need(identity, 'membership').membership,
    directory: () => need(identity, 'directory').directory,
    leadership: () => identity?.leadership ?? null,
    snapshots: () => runtime?.snapshots ?? null,
    post: (event) => runtime?.post(event),
    event: deps.event,
  });

  const openOwnIdentity = (): Promise<Identity> =>
    openIdentity({
      ...{ config, folder, clock, handlers: peers.handlers, learnEpoch },
      statusUrl: deps.statusUrl,
      onRefused: deps.onRefused,
      cluster: () => {
        const { clusterId, epoch, epochNumber, parentEpoch } = cluster;
        return { clusterId, epoch, epochNumber, parentEpoch };
      },
      strayed: (hello, certificate) => strays.note(hello, certificate, clock.now().monoMs),
      reconfigure: (change, timeoutMs) => need(runtime, 'consensus').reconfigure(change, timeoutMs),
    });

  async function openMember(plan: StartPlan, who: Identity, signal: AbortSignal) {
    const peersToMeet = plan.type === 'join' ? plan.peers : config.peers;
    const find = () => who.membership.findCluster(peersToMeet, signal);
    const member = await identify(plan, config.nodeId, find);
    cluster = member;
    const stores = await openStores({
      catalogDir: folder.catalogDir,
      log: {
        dir: folder.logDir,
        clusterId: member.clusterId,
        epoch: member.epoch,
        identity: who.mesh.peerId,
        mustExist: plan.type === 'restart',
      },
    });
    closers.push({ name: 'stores', close: () => stores.close() });
    for (const note of stores.log.report.notes) deps.event('log-note', { note });
    if (plan.type !== 'restart') await folder.writeNode(member);
    return { member, stores };
  }

  async function startRuntime(
    who: Identity,
    stores: Stores,
    member: MemberFile,
    standing: Standing,
  ): Promise<Runtime> {
    const made = createRuntime({
      config,
      clock,
      metrics: deps.metrics,
      mesh: who.mesh,
      stores,
      member,
      certificate: who.trust.own().member,
      incomingDir: folder.incomingDir,
      onFact: (fact) => {
        who.leadership.fact(fact);
        if (fact.type === 'configuration-changed')
          who.directory.setConfiguration(fact.configuration);
        deps.onFact(fact, who.directory);
      },
      onApplied: (index) => {
        deps.onApplied(index);
        standing.onApplied();
      },
      onFailure: deps.onFailure,
      onFatal: deps.onFatal,
    });
    await made.snapshots.clear();
    who.directory.setConfiguration(made.status().configuration);
    runtime = made;
    made.start();
    clashes.onStopVoting(() => made.post({ type: 'identity-clash' }));
    closers.push({ name: 'consensus', close: () => made.stop() });
    for (const { peerId, connected } of who.mesh.links())
      if (connected) made.post({ type: 'link', peer: peerId, change: 'opened' });
    return made;
  }

  /** After a `rejoin` the number of the epoch is heard from the others. */
  function learnEpoch({ epochNumber, parentEpoch }: Hello): void {
    if (cluster.epochNumber !== 0 || folder.node()?.state !== 'member') return;
    cluster = { ...cluster, epochNumber, parentEpoch };
    folder
      .changeMember((file) => ({ ...file, epochNumber, parentEpoch }))
      .catch((error: unknown) => deps.onFailure('node.json could not be written', error));
  }

  async function admit(member: MemberFile, who: Identity, signal: AbortSignal) {
    const self = who.mesh.peerId;
    const inside = who.directory.configuration().members.find((one) => one.peerId === self);
    const record = inside ?? (await who.membership.join(signal));
    const { epochNumber, parentEpoch } = cluster;
    const next: MemberFile = { ...member, epochNumber, parentEpoch, certificate: record };
    // The number of the epoch may be written at the same time.
    if (JSON.stringify(member.certificate) !== JSON.stringify(record))
      await folder.changeMember((file) => ({ ...file, certificate: record }));
    return next;
  }

  /** Dials the configured peers once; after that the reconnector knows who they are. */
  function dialSeeds(who: Identity, signal: AbortSignal): void {
    if (config.peers.length === 0) return;
    const work = who.membership
      .findCluster(config.peers, signal)
      .then(() => undefined)
      .catch((error: unknown) => {
        if (!signal.aborted) deps.onFailure('the configured peers were not reached', error);
      });
    closers.push({ name: 'seeds', close: () => work });
  }

  async function start(signal: AbortSignal): Promise<Node> {
    if (foundsCluster(config, folder)) {
      const { nodeId: name, zone, rank, workersMayLead } = config;
      await foundCluster(folder, { name, zone, rank, workersMayLead }, clock.wallMs());
    }
    const plan = planStart(config, folder);
    const who = await openOwnIdentity();
    identity = who;
    const where = plan.type === 'restart' ? plan.member : nowhere;
    cluster = { ...where, clusterId: who.trust.clusterId };
    peers.serve('hello', 'nothing', (from, body) => who.membership.onHello(from, body));
    peers.serve('admit', 'member', (from, body) => who.membership.onAdmit(from, body));
    keepLinks(who);
    const book = createAddressBook(folder.path, deps.onFailure);
    await who.mesh.start();
    closers.push({ name: 'mesh', close: () => who.mesh.stop() });
    const { member, stores } = await openMember(plan, who, signal);
    const standing = createStanding({
      ...{ ...who, config, clock, peers, stores, dir: folder.path },
      ...{ metrics: deps.metrics, event: deps.event, onFailure: deps.onFailure },
      epoch: () => member.epoch,
      onCertified: (certificate) => {
        runtime?.post({ type: 'certified', certificate });
        deps.onCertified();
      },
    });
    await standing.look();
    closers.push({ name: 'standing', close: () => standing.stop() });
    await book.start(who.directory);
    closers.push({ name: 'addresses', close: () => book.stop() });
    const made = await startRuntime(who, stores, member, standing);
    const face = standing.start(made);
    if (plan.type === 'restart') dialSeeds(who, signal);
    const known = plan.type === 'bootstrap' ? member : await admit(member, who, signal);
    return {
      self: who.mesh.peerId,
      mesh: who.mesh,
      stores,
      runtime: made,
      directory: who.directory,
      leadership: who.leadership,
      peers,
      trust: who.trust,
      clashes,
      doors,
      ...{ identity: face, lookAround: standing.look },
      networkKeys: who.networkKeys,
      get member() {
        const { epochNumber, parentEpoch } = cluster;
        return { ...known, epochNumber, parentEpoch };
      },
      strays: () => strays.list(clock.now().monoMs),
      greet: (peer) => who.membership.greet(peer),
      certificate: () => who.trust.own().member,
    };
  }

  return {
    start,
    stop: async () => {
      for (const { name, close } of closers.splice(0).reverse())
        try {
          await close();
        } catch (error) {
          deps.onFailure(`${name} did not stop cleanly`, error);
        }
    },
  };
}
