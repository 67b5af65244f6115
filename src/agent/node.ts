/**
 * One node from its folder to a running member, in a fixed order: key and mesh, cluster (made,
 * found or known), stores, consensus, admission. `start` resolves once this node is a member whose
 * loop runs; a leader need not be there yet. What was started is stopped in reverse, also when the
 * start fails half-way.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import { createPrng } from '../base/prng.ts';
import type { Fact } from '../consensus/api.ts';
import type { Mesh } from '../mesh/api.ts';
import { createMesh } from '../mesh/mesh.ts';
import { loadNetworkKey } from '../mesh/network-key.ts';
import type { Certificate } from '../wire/member.ts';
import type { Hello } from '../wire/node-message.ts';
import { createAddressBook } from './address-book.ts';
import type { Config } from './config.ts';
import type { DataFolder, MemberFile } from './data-folder.ts';
import { createDirectory, type Directory } from './directory.ts';
import { createLeadership, type Leadership } from './leadership.ts';
import { keepLinks } from './link-policy.ts';
import {
  certificateFrom,
  createMembership,
  type Identified,
  type Membership,
  multiaddrOf,
} from './membership.ts';
import type { AgentMetrics } from './metrics.ts';
import { createPeerService, type PeerService } from './peer-service.ts';
import { createStrays, type Stray } from './recovery/strays.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import { identify, planStart, type StartPlan } from './start-plan.ts';
import { openStores, type Stores } from './stores.ts';

export interface NodeDeps {
  readonly config: Config;
  readonly folder: DataFolder;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly statusUrl: () => string | null;
  readonly event: (type: string, data: Record<string, unknown>) => void;
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
  readonly networkKey: string;
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

/** What exists once the mesh can be made: who this node is and whom it knows. */
interface Identity {
  readonly mesh: Mesh;
  readonly networkKey: string;
  readonly directory: Directory;
  readonly leadership: Leadership;
  readonly membership: Membership;
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
  let admitted: Certificate | null = null;
  let identity: Identity | null = null;
  let runtime: Runtime | null = null;

  const need = <T>(value: T | null, what: string): T => {
    if (value === null) throw new AgentError('unavailable', `${what} is not there yet`);
    return value;
  };
  const certificate = (self: PeerId): Certificate =>
    identity?.directory.configuration().members.find((member) => member.peerId === self) ??
    admitted ??
    certificateFrom(config, self);

  const peers = createPeerService({
    clock,
    metrics: deps.metrics,
    membership: () => need(identity, 'membership').membership,
    directory: () => need(identity, 'directory').directory,
    leadership: () => identity?.leadership ?? null,
    snapshots: () => runtime?.snapshots ?? null,
    post: (event) => runtime?.post(event),
    event: deps.event,
  });

  async function openIdentity(plan: StartPlan): Promise<Identity> {
    const path = config.networkKeyFile ?? join(folder.path, 'network.key');
    const create = plan.type === 'bootstrap' && config.networkKeyFile === null;
    const networkKey = await loadNetworkKey(path, { create });
    if (folder.node() === null)
      await folder.writeNode({ version: 1, state: 'joining', name: config.nodeId });
    const mesh = await createMesh(
      { handlers: peers.handlers, clock, prng: createPrng(randomInt(2 ** 48 - 1)) },
      {
        dir: folder.path,
        listen: [multiaddrOf(`${config.meshHost}:${config.meshPort}`)],
        announce: config.announce,
        networkKey,
        clusterId: () => cluster.clusterId,
      },
    );
    const directory = createDirectory(mesh.peerId, () => certificate(mesh.peerId));
    const leadership = createLeadership(mesh.peerId, clock);
    const membership = createMembership({
      config,
      mesh,
      directory,
      clock,
      certificate: () => certificate(mesh.peerId),
      cluster: () => {
        const { clusterId, epoch, epochNumber, parentEpoch } = cluster;
        return { clusterId, epoch, epochNumber, parentEpoch };
      },
      statusUrl: deps.statusUrl,
      strayed: (hello) => strays.note(hello, clock.now().monoMs),
      learnEpoch,
      leader: () => leadership.view().leader,
      leads: () => leadership.view().state === 'leader',
      reconfigure: (change, timeoutMs) => need(runtime, 'consensus').reconfigure(change, timeoutMs),
    });
    return { mesh, networkKey, directory, leadership, membership };
  }

  async function openMember(plan: StartPlan, who: Identity, signal: AbortSignal) {
    const member = await identify(plan, {
      name: config.nodeId,
      logDir: folder.logDir,
      find: () => who.membership.findCluster(signal),
    });
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

  async function startRuntime(who: Identity, stores: Stores, member: MemberFile): Promise<Runtime> {
    const made = createRuntime({
      config,
      clock,
      metrics: deps.metrics,
      mesh: who.mesh,
      stores,
      member,
      certificate: certificate(who.mesh.peerId),
      incomingDir: folder.incomingDir,
      onFact: (fact) => {
        who.leadership.fact(fact);
        if (fact.type === 'configuration-changed')
          who.directory.setConfiguration(fact.configuration);
        deps.onFact(fact, who.directory);
      },
      onApplied: deps.onApplied,
      onFailure: deps.onFailure,
      onFatal: deps.onFatal,
    });
    await made.snapshots.clear();
    who.directory.setConfiguration(made.status().configuration);
    runtime = made;
    made.start();
    closers.push({ name: 'consensus', close: () => made.stop() });
    for (const { peerId, connected } of who.mesh.links())
      if (connected) made.post({ type: 'link', peer: peerId, change: 'opened' });
    return made;
  }

  /** After a `rejoin` the number of the epoch is heard from the others. */
  function learnEpoch({ epochNumber, parentEpoch }: Hello): void {
    const file = folder.node();
    if (file?.state !== 'member' || file.epochNumber !== 0) return;
    const next = { ...file, epochNumber, parentEpoch };
    cluster = next;
    folder
      .writeNode(next)
      .catch((error: unknown) => deps.onFailure('node.json could not be written', error));
  }

  async function admit(member: MemberFile, who: Identity, signal: AbortSignal) {
    const self = who.mesh.peerId;
    const inside = who.directory.configuration().members.find((one) => one.peerId === self);
    const record = inside ?? (await who.membership.join(signal));
    admitted = record;
    const { epochNumber, parentEpoch } = cluster;
    const next: MemberFile = { ...member, epochNumber, parentEpoch, certificate: record };
    if (JSON.stringify(member.certificate) !== JSON.stringify(record)) await folder.writeNode(next);
    return next;
  }

  /** Dials the configured peers once; after that the reconnector knows who they are. */
  function dialSeeds(who: Identity, signal: AbortSignal): void {
    if (config.peers.length === 0) return;
    const work = who.membership
      .findCluster(signal)
      .then(() => undefined)
      .catch((error: unknown) => {
        if (!signal.aborted) deps.onFailure('the configured peers were not reached', error);
      });
    closers.push({ name: 'seeds', close: () => work });
  }

  async function start(signal: AbortSignal): Promise<Node> {
    const plan = planStart(config, folder);
    const who = await openIdentity(plan);
    identity = who;
    if (plan.type === 'restart') {
      cluster = plan.member;
      admitted = plan.member.certificate;
    }
    peers.serve('hello', (from, body) => who.membership.onHello(from, body));
    peers.serve('admit', (from, body) => who.membership.onAdmit(from, body));
    keepLinks(who);
    const book = createAddressBook(folder.path, deps.onFailure);
    await who.mesh.start();
    closers.push({ name: 'mesh', close: () => who.mesh.stop() });
    const { member, stores } = await openMember(plan, who, signal);
    await book.start(who.directory);
    closers.push({ name: 'addresses', close: () => book.stop() });
    const made = await startRuntime(who, stores, member);
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
      networkKey: who.networkKey,
      get member() {
        const { epochNumber, parentEpoch } = cluster;
        return { ...known, epochNumber, parentEpoch };
      },
      strays: () => strays.list(clock.now().monoMs),
      greet: (peer) => who.membership.greet(peer),
      certificate: () => certificate(who.mesh.peerId),
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
