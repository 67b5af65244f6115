/**
 * Several consensus cores on one virtual clock, over an in-memory net that passes every message
 * through the real encoding. Disk and catalog answer after a fixed time; links, cuts, crashes and
 * restarts are commands. It decides nothing by chance: the same calls give the same run.
 */

import { createPrng } from '../../src/base/prng.ts';
import type {
  Consensus,
  Event,
  Fact,
  HardState,
  Outcome,
  PersistJob,
  ReadOutcome,
  SnapshotMeta,
  Timing,
} from '../../src/consensus/api.ts';
import { createConsensus } from '../../src/consensus/consensus.ts';
import { defaultTiming } from '../../src/consensus/timing.ts';
import { decodeConfiguration, encodeConfiguration } from '../../src/wire/configuration.ts';
import { decodeMessage, encodeMessage, type Message } from '../../src/wire/consensus-message.ts';
import { type Entry, makeEntry } from '../../src/wire/entry.ts';
import type { Certificate } from '../../src/wire/member.ts';
import { type Role, rankOf, rightsOf, roles } from '../../src/wire/member.ts';

export interface Disk {
  hardState: HardState;
  snapshot: SnapshotMeta | null;
  entries: Entry[];
  applied: number;
}

export interface SimNode {
  readonly id: string;
  epoch: string;
  certificate: Certificate;
  core: Consensus | null;
  disk: Disk;
  /** What the catalog has applied: one line per command, and the index it came from. */
  catalog: { index: number; text: string }[];
  skippedMs: number;
  /** This node's clock: how fast it runs, and how much it slept. */
  rate: number;
  sleptMs: number;
  awakeAtMs: number;
  /** Work of a disk that stands still, or null. */
  stuck: (() => void)[] | null;
  outcomes: Map<number, Outcome>;
  reads: Map<number, ReadOutcome>;
  orders: Map<number, { execute: boolean; fence: number }>;
  facts: Fact[];
  incarnation: number;
}

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export interface ClusterOptions {
  readonly linkMs?: number;
  readonly diskMs?: number;
  readonly timing?: Partial<Timing>;
  readonly trailing?: number;
  readonly seed?: number;
  /** Slowest and fastest clock; the nodes alternate between them. */
  readonly rates?: readonly [number, number];
  readonly watch?: (node: SimNode, fact: Fact) => void;
  readonly drop?: (from: string, to: string, message: Message) => boolean;
}

const clusterId = 'c'.repeat(32);
const epoch = 'e'.repeat(32);

const emptyDisk = (): Disk => ({
  hardState: { term: 0, vote: null, leaseMsLongest: 0, fence: 0 },
  snapshot: null,
  entries: [],
  applied: 0,
});

export function certificateOf(id: string, role: Role, within = 0): Certificate {
  const rights = rightsOf(role, true);
  return { peerId: id, name: id, role, rank: rankOf(role, within), zone: '', ...rights };
}

export class Cluster {
  nowMs = 1000;
  readonly nodes = new Map<string, SimNode>();
  readonly options: ClusterOptions;
  readonly cuts = new Set<string>();
  /** How much longer than usual a node's redials take to fail, ms. */
  readonly redialsLate = new Map<string, number>();
  messages = 0;
  onMessage: ((from: string, to: string, message: Message) => void) | null = null;
  /** Rules that lose messages, by name. */
  readonly losing = new Map<string, (from: string, to: string, message: Message) => boolean>();
  /** Rules that delay messages, by name. */
  readonly delaying = new Map<string, (from: string, to: string, message: Message) => number>();
  /** Extra one-way latency of a directed link. */
  readonly slow = new Map<string, number>();
  #queue: Scheduled[] = [];
  #order = 0;
  #ref = 1;

  constructor(options: ClusterOptions = {}) {
    this.options = options;
  }

  add(id: string, role: Role, within = 0): SimNode {
    const node: SimNode = {
      id,
      epoch,
      certificate: certificateOf(id, role, within),
      core: null,
      disk: emptyDisk(),
      catalog: [],
      skippedMs: 0,
      rate: this.options.rates?.[this.nodes.size % 2] ?? 1,
      sleptMs: 0,
      awakeAtMs: 0,
      stuck: null,
      outcomes: new Map(),
      reads: new Map(),
      orders: new Map(),
      facts: [],
      incarnation: 0,
    };
    this.nodes.set(id, node);
    return node;
  }

  node(id: string): SimNode {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`no node ${id}`);
    return node;
  }

  /** The node's certificate in another role. */
  certified(id: string, role: string): Certificate {
    const known = roles.find((one) => one === role);
    if (known === undefined) throw new Error(`${role} is no role`);
    this.node(id);
    return certificateOf(id, known);
  }

  /** The node shows this certificate from here on. */
  certify(certificate: Certificate): void {
    const node = this.node(certificate.peerId);
    node.certificate = certificate;
    if (node.core) this.step(node, { type: 'certified', certificate });
  }

  start(id: string, bootstrap = false): void {
    const node = this.node(id);
    node.incarnation += 1;
    const { trailing } = this.options;
    node.core = createConsensus({
      id,
      certificate: node.certificate,
      clusterId,
      epoch: node.epoch,
      session: '5'.repeat(32),
      timing: { ...defaultTiming, ...this.options.timing },
      prng: createPrng(
        ((this.options.seed ?? 1) * 1000 + id.charCodeAt(0)) * 64 + node.incarnation,
      ),
      bootstrap,
      restored: {
        hardState: node.disk.hardState,
        snapshot: node.disk.snapshot,
        entries: [...node.disk.entries],
        appliedIndex: node.disk.applied,
      },
      now: this.now(node),
      ...(trailing === undefined
        ? {}
        : { limits: { trailingEntriesMax: trailing, trailingBytesMax: 1 << 24 } }),
    });
    node.catalog = node.catalog.filter((line) => line.index <= node.disk.applied);
    for (const other of this.nodes.values())
      if (other !== node && other.core) this.#link(node, other, 'opened');
    this.drain(node);
  }

  now(node: SimNode): { monoMs: number; skippedMs: number } {
    return { monoMs: (this.nowMs - node.sleptMs) * node.rate, skippedMs: node.skippedMs };
  }

  isCut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  /** Cuts both directions and lets both sides see the link close. */
  cut(a: string, b: string, seen = true): void {
    this.cuts.add(`${a}>${b}`);
    this.cuts.add(`${b}>${a}`);
    if (seen) this.#link(this.node(a), this.node(b), 'closed');
  }

  heal(a: string, b: string): void {
    this.cuts.delete(`${a}>${b}`);
    this.cuts.delete(`${b}>${a}`);
    this.#link(this.node(a), this.node(b), 'opened');
  }

  isolate(id: string, seen = true): void {
    for (const other of this.nodes.keys()) if (other !== id) this.cut(id, other, seen);
  }

  rejoin(id: string): void {
    for (const other of this.nodes.keys()) if (other !== id) this.heal(id, other);
  }

  #link(a: SimNode, b: SimNode, change: 'opened' | 'closed' | 'redial-failed'): void {
    this.step(a, { type: 'link', peer: b.id, change });
    this.step(b, { type: 'link', peer: a.id, change });
  }

  /** kill -9: everything not yet durable is lost, and peers see the connection close. */
  kill(id: string, seen = true): void {
    const node = this.node(id);
    node.core = null;
    node.incarnation += 1;
    for (const other of this.nodes.values()) {
      if (other === node || !other.core || !seen) continue;
      this.step(other, { type: 'link', peer: id, change: 'closed' });
      for (const ms of [1, 2])
        this.#after(ms + (this.redialsLate.get(other.id) ?? 0), () => {
          if (!node.core) this.step(other, { type: 'link', peer: id, change: 'redial-failed' });
        });
    }
  }

  /** A stopped node's log goes on in a new epoch, with this node as the only voter. */
  forceEpoch(id: string, next: string): void {
    const node = this.node(id);
    const { entries, snapshot, hardState } = node.disk;
    const last = entries.at(-1) ?? snapshot;
    const changed = entries.findLast(({ kind }) => kind === 'config');
    const known = changed ? decodeConfiguration(changed.data) : snapshot?.configuration;
    if (!last || !known) throw new Error(`${id} has nothing to go on from`);
    this.#apply(node, entries.slice(node.disk.applied - (snapshot?.index ?? 0)));
    const { index, term, hash } = last;
    const configuration = { ...known, voters: [id], outgoing: null, leaving: [] };
    const meta = { clusterId, epoch: next, index, term, hash };
    node.epoch = next;
    node.disk.hardState = { ...hardState, term: hardState.term + 1, vote: id, fence: 0 };
    node.disk.snapshot = { ...meta, configuration, configurationIndex: index };
    const input = { previousHash: hash, epoch: next, index: index + 1, term: hardState.term + 1 };
    const data = encodeConfiguration(configuration);
    node.disk.entries = [makeEntry({ ...input, kind: 'config', data })];
  }

  /** A stopped node gives up its log and comes into another epoch empty. */
  acceptEpoch(id: string, next: string): void {
    const node = this.node(id);
    node.epoch = next;
    node.disk = emptyDisk();
  }

  /** The machine sleeps: its monotonic clock stands still, wall time goes on. */
  suspend(id: string, ms: number): void {
    const node = this.node(id);
    node.awakeAtMs = this.nowMs + ms;
    this.#after(ms, () => {
      node.sleptMs += ms;
      node.skippedMs += ms;
    });
  }

  releaseDisk(id: string): void {
    const node = this.node(id);
    const waiting = node.stuck ?? [];
    node.stuck = null;
    for (const work of waiting) work();
  }

  step(node: SimNode, event: Event): void {
    if (!node.core) return;
    if (node.awakeAtMs > this.nowMs) {
      this.#after(node.awakeAtMs - this.nowMs, () => this.step(node, event));
      return;
    }
    node.core.step(this.now(node), event);
    this.drain(node);
  }

  drain(node: SimNode): void {
    const { core, incarnation } = node;
    if (!core) return;
    const ready = core.ready();
    const still = (run: () => void) => () => {
      if (node.incarnation === incarnation) run();
    };
    const { linkMs = 1, diskMs = 0.5 } = this.options;
    if (ready.persist.length > 0)
      this.#after(
        diskMs,
        still(() => {
          if (node.stuck) node.stuck.push(still(() => this.#persist(node, ready.persist)));
          else this.#persist(node, ready.persist);
        }),
      );
    for (const { to, message } of ready.messages) this.#send(node, to, message, linkMs);
    if (ready.apply.length > 0)
      this.#after(
        0.1,
        still(() => this.#apply(node, ready.apply)),
      );
    for (const { ref, outcome } of ready.outcomes) {
      if (node.outcomes.has(ref)) throw new Error(`two outcomes for ${ref}`);
      node.outcomes.set(ref, outcome);
    }
    for (const { ref, outcome } of ready.reads) node.reads.set(ref, outcome);
    for (const { ref, execute, fence } of ready.orders) node.orders.set(ref, { execute, fence });
    for (const fact of ready.facts) {
      node.facts.push(fact);
      this.options.watch?.(node, fact);
    }
    for (const { to, requestId } of ready.sendSnapshots) this.#stream(node, to, requestId);
    if (ready.compactTo !== null) {
      const meta = core.snapshotMeta(ready.compactTo);
      if (!meta) throw new Error('no meta to compact to');
      node.disk.snapshot = meta;
      node.disk.entries = node.disk.entries.filter((entry) => entry.index > meta.index);
    }
  }

  #persist(node: SimNode, jobs: readonly PersistJob[]): void {
    const { disk } = node;
    for (const job of jobs) {
      if (job.installSnapshot) {
        const { meta, ref } = job.installSnapshot;
        disk.snapshot = meta;
        disk.entries = [];
        disk.applied = meta.index;
        node.catalog = JSON.parse(ref);
      }
      if (job.hardState) disk.hardState = job.hardState;
      const { cutBackTo } = job;
      if (cutBackTo !== null)
        disk.entries = disk.entries.filter((entry) => entry.index <= cutBackTo);
      for (const entry of job.append) {
        const last = disk.entries.at(-1)?.index ?? disk.snapshot?.index ?? 0;
        if (entry.index !== last + 1) throw new Error(`${node.id}: ${entry.index} after ${last}`);
        disk.entries.push(entry);
      }
    }
    const id = jobs.at(-1)?.id;
    if (id !== undefined) this.step(node, { type: 'persisted', id });
  }

  #apply(node: SimNode, entries: readonly Entry[]): void {
    const results = entries.map((entry) => {
      const last = node.disk.applied;
      if (entry.index !== last + 1) throw new Error(`${node.id} applies ${entry.index} on ${last}`);
      node.disk.applied = entry.index;
      const text = Buffer.from(entry.data).toString();
      if (entry.kind === 'command') node.catalog.push({ index: entry.index, text });
      const result = entry.kind === 'command' ? Buffer.from(`${entry.index}:${text}`) : Buffer.of();
      return { index: entry.index, result: new Uint8Array(result) };
    });
    this.step(node, { type: 'applied', index: node.disk.applied, results });
  }

  #send(node: SimNode, to: string, message: Message, linkMs: number): void {
    this.messages += 1;
    if (this.isCut(node.id, to) || !this.nodes.has(to)) return;
    if (this.options.drop?.(node.id, to, message)) return;
    this.onMessage?.(node.id, to, message);
    for (const rule of this.losing.values()) if (rule(node.id, to, message)) return;
    const frame = encodeMessage(message);
    const { certificate, id: from } = node;
    const sender = node.incarnation;
    let ms = linkMs + (this.slow.get(`${from}>${to}`) ?? 0);
    for (const rule of this.delaying.values()) ms += rule(from, to, message);
    this.#after(ms, () => {
      const target = this.node(to);
      if (this.isCut(from, to) || node.incarnation !== sender) return;
      const decoded = decodeMessage(frame);
      this.step(target, { type: 'message', from, certificate, message: decoded });
    });
  }

  #stream(node: SimNode, to: string, requestId: number): void {
    const meta = node.core?.snapshotMeta(node.disk.applied);
    const catalog = JSON.stringify(node.catalog);
    this.#after(5, () => {
      const ok = meta !== null && meta !== undefined && !this.isCut(node.id, to);
      if (ok)
        this.step(this.node(to), {
          type: 'snapshot-received',
          from: node.id,
          meta,
          ref: catalog,
          requestId,
        });
      this.step(node, { type: 'snapshot-sent', to, requestId, ok });
    });
  }

  #after(ms: number, run: () => void): void {
    this.#order += 1;
    const item = { atMs: this.nowMs + ms, order: this.#order, run };
    let at = this.#queue.length;
    while (at > 0) {
      const before = this.#queue[at - 1];
      if (!before || before.atMs <= item.atMs) break;
      at -= 1;
    }
    this.#queue.splice(at, 0, item);
  }

  /** Runs until `untilMs` of the virtual clock, or until `stop` holds. */
  run(ms: number, stop: () => boolean = () => false): boolean {
    const untilMs = this.nowMs + ms;
    for (let guard = 0; guard < 5_000_000; guard += 1) {
      if (stop()) return true;
      const next = this.#queue[0];
      let wake = next?.atMs ?? Number.POSITIVE_INFINITY;
      let ticking: SimNode | null = null;
      for (const node of this.nodes.values()) {
        if (!node.core || node.awakeAtMs > this.nowMs) continue;
        const at = Math.max(node.core.nextWakeMs() / node.rate + node.sleptMs + 1e-6, this.nowMs);
        if (at < wake) {
          wake = at;
          ticking = node;
        }
      }
      if (wake > untilMs) break;
      this.nowMs = Math.max(this.nowMs, wake);
      if (ticking) this.#tick(ticking);
      else this.#queue.shift()?.run();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    return stop();
  }

  #ticks = 0;
  #lastTickMs = -1;

  #tick(node: SimNode): void {
    this.#ticks = this.nowMs === this.#lastTickMs ? this.#ticks + 1 : 0;
    this.#lastTickMs = this.nowMs;
    if (this.#ticks > 1000) throw new Error(`${node.id} wakes without end at ${this.nowMs}`);
    this.step(node, { type: 'tick' });
  }

  leader(): SimNode | null {
    let best: SimNode | null = null;
    for (const node of this.nodes.values()) {
      const status = node.core?.status(this.now(node));
      if (status?.state !== 'leader') continue;
      if (!best || status.term > (best.core?.status(this.now(best)).term ?? 0)) best = node;
    }
    return best;
  }

  acting(): string[] {
    return [...this.nodes.values()]
      .filter((node) => node.awakeAtMs <= this.nowMs && node.core?.mayAct(this.now(node)))
      .map((node) => node.id);
  }

  propose(id: string, text: string, withinMs = 5000): number {
    const ref = this.#ref++;
    const deadlineMs = this.now(this.node(id)).monoMs + withinMs;
    this.step(this.node(id), { type: 'propose', ref, data: Buffer.from(text), deadlineMs });
    return ref;
  }

  ask(id: string, event: Record<string, unknown>, withinMs = 5000): number {
    const ref = this.#ref++;
    const full = {
      ...event,
      ref,
      deadlineMs: this.now(this.node(id)).monoMs + withinMs,
    } as unknown as Event;
    this.step(this.node(id), full);
    return ref;
  }

  status(id: string) {
    const node = this.node(id);
    if (!node.core) throw new Error(`${id} is down`);
    return node.core.status(this.now(node));
  }
}

/** A cluster of the given roles, all admitted, its voter set as the rule wants it. */
export function formed(roles: Record<string, Role>, options: ClusterOptions = {}): Cluster {
  const cluster = new Cluster(options);
  const ids = Object.keys(roles);
  for (const [id, role] of Object.entries(roles)) cluster.add(id, role);
  const first = ids[0] ?? '';
  cluster.start(first, true);
  for (const id of ids.slice(1)) cluster.start(id);
  cluster.run(2000, () => cluster.leader() !== null);
  for (const id of ids.slice(1)) {
    const member = cluster.node(id).certificate;
    cluster.ask(first, { type: 'reconfigure', change: { type: 'admit', member } });
  }
  cluster.run(8000);
  return cluster;
}
