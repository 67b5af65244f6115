/**
 * A simulated cluster: machines in numbered slots, the network between them, the checks that
 * listen, and the certificates that the mesh shows. A slot keeps its place in the network; the
 * identity in it may be replaced when its log is damaged for good.
 */
import { present } from '../base/assert.ts';
import type { EpochId, PeerId } from '../base/brand.ts';
import { createPrng, type Prng } from '../base/prng.ts';
import type {
  ActingRight,
  ConsensusOptions,
  Ready,
  SnapshotMeta,
  Timing,
} from '../consensus/api.ts';
import type { Certificate } from '../wire/member.ts';
import type { ClientChecks } from './client-checks.ts';
import type { ConfigurationChecks } from './configuration-checks.ts';
import { createEpochChecks, type EpochChecks } from './epoch-checks.ts';
import { clusterId, firstEpoch, foreignFrame, goOnFrom } from './epochs.ts';
import { createEventQueue, type EventQueue } from './event-queue.ts';
import { SimFailure } from './failure.ts';
import type { LeadershipChecks } from './leadership-checks.ts';
import type { Fail, LogChecks } from './log-checks.ts';
import { createNetwork, type Network } from './network.ts';
import { createBlankCatalog, createNodeCatalog, type Dump } from './node-catalog.ts';
import { clockRateErrorMax, createNodeClock } from './node-clock.ts';
import { createNodeDisk } from './node-disk.ts';
import { createSimNode, type SimNode } from './sim-node.ts';
import { createTrace, type Trace } from './trace.ts';
import type { Tally, WorldObserver } from './world-observer.ts';

/** What travels between machines: frames of the protocol, and orders of an acting leader. */
export type Packet =
  | {
      readonly type: 'frame';
      readonly from: PeerId;
      readonly to: PeerId;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'order'; readonly right: ActingRight };

export interface WorldOptions {
  readonly seed: number;
  readonly certificates: readonly Certificate[];
  readonly timing: Timing;
  readonly limits: ConsensusOptions['limits'];
  /** Clocks that run exactly right and together. */
  readonly perfectClocks?: boolean;
  /** Nothing is kept in catalogs: for runs that are about elections alone. */
  readonly blankCatalogs?: boolean;
  /** A connection over a cut path is never given up. */
  readonly patientConnections?: boolean;
  readonly keepTrace: boolean;
}

export interface World {
  readonly options: WorldOptions;
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly trace: Trace;
  readonly network: Network<Packet>;
  readonly nodes: readonly SimNode[];
  /** The checks of the newest epoch. */
  readonly log: LogChecks;
  readonly leadership: LeadershipChecks;
  readonly configurations: ConfigurationChecks;
  readonly clients: ClientChecks;
  readonly observer: WorldObserver;
  readonly tally: Tally;
  readonly fail: Fail;
  /** Orders that an acting leader gave, and that were executed. */
  readonly orders: { given: number; executed: number; refused: number };
  start(number: number): void;
  end(number: number, kind: 'kill' | 'power'): void;
  /** A new identity on an empty disk in the slot of one that is lost; not started. */
  replace(number: number, certificate: Certificate): SimNode;
  /** The newest epoch. */
  epoch(): EpochId;
  /** The node in this slot, which is stopped, goes on in a new epoch as its only voter. */
  forceEpoch(number: number): void;
  /** The node in this slot, which is stopped, comes into the newest epoch with an empty log. */
  rejoin(number: number): void;
  setCertificate(certificate: Certificate): void;
  node(id: PeerId): SimNode | null;
  /** A frame of another epoch reaches `to`: it must change nothing. */
  disturb(to: number): void;
  /** Whoever may act gives an order to `to`. */
  giveOrder(to: number): void;
  close(): void;
}

interface Snapshot {
  readonly meta: SnapshotMeta;
  readonly dump: Dump;
}

export function createWorld(options: WorldOptions): World {
  const queue = createEventQueue();
  const prng = createPrng(options.seed);
  const trace = createTrace(options.keepTrace);
  const certificates = new Map(options.certificates.map((item) => [item.peerId, item]));
  const numbers = new Map(options.certificates.map((item, number) => [item.peerId, number]));
  const nodes: SimNode[] = [];
  const snapshots = new Map<string, Snapshot>();
  const newCatalog = ({ log }: EpochChecks) =>
    options.blankCatalogs ? createBlankCatalog() : createNodeCatalog((at) => log.entryAt(at));
  const tally: Tally = { snapshots: 0, newEpochs: 0, damaged: new Set() };
  const orders = { given: 0, executed: 0, refused: 0 };

  const fail: Fail = (check, detail) => {
    throw new SimFailure('correctness', check, detail, queue.nowMs());
  };
  const checkDeps = { queue, trace, fail, orders, tally, nodes: () => nodes };
  const epochs = [createEpochChecks(checkDeps, firstEpoch, null)];
  const current = (): EpochChecks => present(epochs.at(-1), 'an epoch');
  const network = createNetwork<Packet>({
    queue,
    prng: prng.fork(),
    nodes: options.certificates.length,
    keepAlive: options.patientConnections !== true,
    ends: {
      process: (number) => present(nodes[number], 'a node').state(),
      onPacket: (to, from, packet) => receive(to, from, packet),
      onLink: (at, peer, change) => {
        const node = present(nodes[at], 'a node');
        const other = present(nodes[peer], 'a node').id;
        trace.line(queue.nowMs(), () => `${node.id} link to ${other} ${change}`);
        node.post({ type: 'link', peer: other, change });
      },
    },
  });
  const checksOf = (node: SimNode): EpochChecks =>
    present(
      epochs.find(({ epoch }) => epoch === node.epoch),
      node.epoch,
    );

  function receive(to: number, from: number, packet: Packet): void {
    const node = present(nodes[to], 'a node');
    if (packet.type === 'order') {
      const ref = ++orders.given;
      checksOf(node).observer.expectOrder(ref, packet.right);
      node.post({ type: 'order', ref, epoch: packet.right.epoch, term: packet.right.term });
      return;
    }
    // A connection is between identities: nobody inherits it with the slot.
    const sender = present(nodes[from], 'a node').id;
    if (sender === packet.from && node.id === packet.to) node.receive(sender, packet.bytes);
  }

  function make(number: number, certificate: Certificate): SimNode {
    const checks = current();
    const { epoch, observer } = checks;
    const rates = options.perfectClocks ? 0 : clockRateErrorMax;
    const clock = createNodeClock({
      monoMsStart: options.perfectClocks ? 0 : prng.range(0, 1e7),
      rate: 1 + prng.range(-rates, rates),
      wallAheadMs: options.perfectClocks ? 0 : prng.range(-3_600_000, 3_600_000),
    });
    const node = createSimNode(
      {
        ...{ queue, prng: prng.fork(), clock, observer, catalog: newCatalog(checks) },
        disk: createNodeDisk({ queue, prng: prng.fork() }),
        send: (to, bytes) => {
          const peer = numbers.get(to);
          if (peer !== undefined)
            network.send(number, peer, { type: 'frame', from: node.id, to, bytes });
        },
        certificateOf: (peer) => certificates.get(peer) ?? null,
        onSnapshotWanted: (want) => sendSnapshot(node, want),
        installSnapshot: (ref) =>
          node.catalog.install(present(snapshots.get(ref), `snapshot ${ref}`).dump),
      },
      { number, id: certificate.peerId, clusterId, epoch, limits: options.limits },
    );
    node.timing = options.timing;
    return node;
  }

  function sendSnapshot(node: SimNode, want: Ready['sendSnapshots'][number]): void {
    const { to, requestId, atLeast } = want;
    const ended = (ok: boolean): void => node.post({ type: 'snapshot-sent', to, requestId, ok });
    const dump = node.catalog.dump();
    const peer = numbers.get(to);
    const meta = node.core()?.snapshotMeta(dump.index) ?? null;
    if (peer === undefined || meta === null || dump.index < atLeast) {
      queue.in(1, () => ended(false));
      return;
    }
    const ref = `${node.id}-${dump.index}-${snapshots.size}`;
    network.stream(node.number, peer, dump.bytes, (whole) => {
      if (!whole) {
        ended(false);
        return;
      }
      snapshots.set(ref, { meta, dump });
      const receiver = present(nodes[peer], 'a node');
      receiver.post({ type: 'snapshot-received', from: node.id, meta, ref, requestId });
      ended(true);
    });
  }

  /** The same identity, in another epoch. */
  function comeOver(old: SimNode, node: SimNode): void {
    old.catalog.close();
    node.admitted = old.admitted;
    nodes[node.number] = node;
    trace.line(queue.nowMs(), () => `--- ${node.id} is in epoch ${node.epoch}`);
  }

  options.certificates.forEach((certificate, number) => {
    nodes.push(make(number, certificate));
  });

  return {
    ...{ options, queue, prng, trace, network, nodes, fail, orders, tally },
    epoch: () => current().epoch,
    get log() {
      return current().log;
    },
    get leadership() {
      return current().leadership;
    },
    get configurations() {
      return current().configurations;
    },
    get clients() {
      return current().clients;
    },
    get observer() {
      return current().observer;
    },
    start: (number) => {
      const node = present(nodes[number], 'a node');
      if (node.state() !== 'absent') return;
      node.start();
      if (node.state() !== 'absent') network.started(number);
    },
    end: (number, kind) => {
      const node = present(nodes[number], 'a node');
      if (node.state() === 'absent') return;
      node.end(kind);
      network.ended(number, kind === 'kill');
    },
    replace: (number, certificate) => {
      present(nodes[number], 'a node').catalog.close();
      certificates.set(certificate.peerId, certificate);
      numbers.set(certificate.peerId, number);
      const node = make(number, certificate);
      nodes[number] = node;
      return node;
    },
    forceEpoch: (number) => {
      const old = present(nodes[number], 'a node');
      const id = prng.hex(16);
      tally.newEpochs += 1;
      epochs.push(createEpochChecks(checkDeps, id, current()));
      const node = make(number, old.certificate);
      goOnFrom(old, node, current().observer);
      comeOver(old, node);
    },
    rejoin: (number) => {
      const old = present(nodes[number], 'a node');
      comeOver(old, make(number, old.certificate));
    },
    setCertificate: (certificate) => {
      certificates.set(certificate.peerId, certificate);
    },
    node: (id) => nodes.find((node) => node.id === id) ?? null,
    disturb: (to) => {
      const node = present(nodes[to], 'a node');
      const from = prng.pick(nodes).id;
      if (from !== node.id && node.state() === 'running') node.receive(from, foreignFrame(prng));
    },
    giveOrder: (to) => {
      for (const node of nodes) {
        const right = node.state() === 'running' ? node.core()?.mayAct(node.now()) : null;
        if (right == null || node.number === to) continue;
        network.send(node.number, to, { type: 'order', right });
      }
    },
    close: () => {
      for (const node of nodes) {
        if (node.state() !== 'absent') node.end('kill');
        node.catalog.close();
      }
    },
  };
}
