/**
 * Consensus with everything it needs to run: stores behind their queues, the event loop, whoever
 * waits for an answer, snapshots and compaction. It knows nothing of libp2p beyond the mesh port
 * and nothing of content. Built when cluster and identity are known, started once, stopped in
 * reverse; after `stop` everything that was handed to the store has been written.
 */
import { randomBytes, randomInt } from 'node:crypto';
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import { createPrng } from '../base/prng.ts';
import { sessionSequencesMax } from '../catalog/limits.ts';
import type {
  ActingRight,
  ConfigurationChange,
  Consensus,
  Event,
  Fact,
  LocalFacts,
  Outcome,
  ReadOutcome,
  SnapshotMeta,
  Status,
} from '../consensus/api.ts';
import { createConsensus } from '../consensus/consensus.ts';
import type { Mesh } from '../mesh/api.ts';
import type { Certificate } from '../wire/member.ts';
import { createCompaction } from './compaction.ts';
import type { Config } from './config.ts';
import type { MemberFile } from './data-folder.ts';
import { createEventLoop } from './event-loop.ts';
import type { AgentMetrics } from './metrics.ts';
import { createProposer, type Proposer } from './proposer.ts';
import { createSnapshots, type Snapshots } from './snapshots.ts';
import { createStorageQueues, type StorageQueues } from './storage-queues.ts';
import type { Stores } from './stores.ts';
import { createWaiters, type Waiters } from './waiters.ts';

const readsMax = 16_384;
const ordersMax = 1024;
const changesMax = 256;
const localFactsMs = 1000;
/** Looks in a row that saw the event loop stand still for a lease: no place for a leader. */
const stallsMax = 3;
/** Bytes of entries that stay for members that lag, however few entries that is. */
const trailingBytesMax = 16 * 1024 * 1024;

export interface RuntimeDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly mesh: Mesh;
  readonly stores: Stores;
  readonly member: MemberFile;
  readonly certificate: Certificate;
  readonly incomingDir: string;
  readonly onFact: (fact: Fact) => void;
  readonly onApplied: (index: LogIndex) => void;
  readonly onFailure: (text: string, error: unknown) => void;
  readonly onFatal: (error: unknown) => void;
}

export interface Runtime {
  readonly proposer: Proposer;
  readonly snapshots: Snapshots;
  readonly storage: StorageQueues;
  start(): void;
  stop(): Promise<void>;
  post(event: Event): void;
  status(): Status;
  mayAct(): ActingRight | null;
  /** What describes a catalog snapshot taken at `index`; null when the log doesn't reach it. */
  snapshotMeta(index: LogIndex): SnapshotMeta | null;
  /** Resolves with the index up to which a local read is linearizable. */
  read(timeoutMs: Ms): Promise<LogIndex>;
  /** Passes an order through the fence; the fence is durable when it may be executed. */
  order(right: ActingRight): Promise<{ execute: boolean; fence: number }>;
  reconfigure(change: ConfigurationChange, timeoutMs: Ms): Promise<void>;
  transfer(to: PeerId | null, timeoutMs: Ms): Promise<void>;
  /** What the agent knows of this node that bears on leading; takes effect at once. */
  setStanding(standing: Standing): void;
  /** Where the election reads this node's score. */
  setHealth(score: () => number | null): void;
  /** Whether nobody can dial this node, or nobody knows yet. */
  setUndialable(is: boolean): void;
  /** 99th percentile of the event loop's lag within the last second. */
  loopLagMs(): Ms;
}

export type Standing = Pick<LocalFacts, 'draining' | 'paused' | 'trouble'>;

interface Waiting {
  readonly changes: Waiters<Outcome>;
  readonly reads: Waiters<ReadOutcome>;
  readonly orders: Waiters<{ execute: boolean; fence: number }>;
}

/** Proposals and changes share the machine's refs; changes take the odd ones. */
const changeRef = (ref: number): number => ref * 2 + 1;
const proposalRef = (ref: number): number => ref * 2;

function mustApply(outcome: Outcome): void {
  if (outcome.type === 'refused') throw new AgentError(outcome.code, outcome.detail);
  if (outcome.type === 'unknown')
    throw new AgentError('outcome-unknown', 'no answer before the deadline');
}

function makeConsensus(deps: RuntimeDeps, session: string): Consensus {
  const { config, clock, stores, member, certificate } = deps;
  const { restored } = stores.log;
  const fresh = restored.entries.length === 0 && restored.snapshot === null;
  return createConsensus({
    id: certificate.peerId,
    certificate,
    clusterId: member.clusterId,
    epoch: member.epoch,
    session,
    timing: config.timing,
    prng: createPrng(randomInt(2 ** 48 - 1)),
    bootstrap: member.bootstrap && fresh,
    restored: { ...restored, appliedIndex: stores.catalog.appliedIndex() },
    now: clock.now(),
    limits: { trailingEntriesMax: config.log.keepEntries, trailingBytesMax },
  });
}

export function createRuntime(deps: RuntimeDeps): Runtime {
  const { clock, metrics, mesh, stores } = deps;
  const session = randomBytes(16).toString('hex');
  const consensus = makeConsensus(deps, session);
  const waiting: Waiting = {
    changes: createWaiters('changes', changesMax),
    reads: createWaiters('reads', readsMax),
    orders: createWaiters('orders', ordersMax),
  };
  const storage = createStorageQueues({
    log: stores.log,
    catalog: stores.catalog,
    onInstalled: (ref) => snapshots.installed(ref),
    onCompacted: () => metrics.count('compactions'),
  });
  const post = (event: Event): void => loop.post(event);
  const snapshots = createSnapshots({
    dir: deps.incomingDir,
    mesh,
    catalog: stores.catalog,
    metrics,
    metaAt: (index) => consensus.snapshotMeta(index),
    post,
    onFailure: deps.onFailure,
  });
  const proposer = createProposer({
    self: deps.certificate.peerId,
    firstSession: session,
    windowMax: sessionSequencesMax,
    clock,
    metrics,
    post: (event) =>
      post(event.type === 'propose' ? { ...event, ref: proposalRef(event.ref) } : event),
  });
  const loop = createEventLoop({
    consensus,
    clock,
    storage,
    metrics,
    send: (to, frame) => mesh.send(to, frame),
    onFact: deps.onFact,
    onOutcome: (ref, outcome) =>
      ref % 2 === 0
        ? proposer.outcome(ref / 2, outcome)
        : waiting.changes.settle((ref - 1) / 2, outcome),
    onRead: (ref, outcome) => waiting.reads.settle(ref, outcome),
    onOrder: (ref, answer) => waiting.orders.settle(ref, answer),
    onSnapshotWanted: (want) => snapshots.send(want),
    onApplied: deps.onApplied,
    onStoreFailed: (detail) => deps.onFailure('the store failed', new Error(detail)),
    onFatal: deps.onFatal,
  });
  const compaction = createCompaction({
    catalog: stores.catalog,
    status: () => consensus.status(clock.now()),
    cutEntries: deps.config.log.cutEntries,
    logBytes: () => stores.log.stats().bytes,
    post,
    onFailure: deps.onFailure,
  });
  const deadline = (timeoutMs: Ms): Ms => clock.now().monoMs + timeoutMs;
  let stalls = 0;
  let operation: Standing = { draining: false, paused: false, trouble: null };
  let factsTimer: NodeJS.Timeout | null = null;

  let health = (): number | null => null;
  let undialable = true;
  let loopLagMs: Ms = 0;

  const tellFacts = (): void => {
    loopLagMs = metrics.recentLagMs();
    stalls = loopLagMs >= deps.config.timing.leaseMs ? stalls + 1 : 0;
    const storeWritable = storage.failure() === null;
    const { paused } = operation;
    const trouble = operation.trouble ?? (stalls >= stallsMax ? 'loop-stalls' : null);
    post({
      type: 'local',
      facts: {
        storeWritable,
        draining: operation.draining,
        undialable,
        paused,
        trouble,
        health: health(),
        loopLagMs,
      },
    });
  };

  return {
    proposer,
    snapshots,
    storage,
    post,
    start: () => {
      loop.start();
      // Before its first word to anybody: one that nobody may be able to dial gets no vote.
      tellFacts();
      compaction.start();
      factsTimer = setInterval(tellFacts, localFactsMs);
    },
    stop: async () => {
      if (factsTimer !== null) clearInterval(factsTimer);
      await compaction.stop();
      loop.stop();
      const stopped = new AgentError('stopped', 'the agent is stopping');
      proposer.stop(stopped);
      for (const waiters of Object.values(waiting)) waiters.rejectAll(stopped);
      await Promise.all([storage.idle(), snapshots.idle()]);
    },
    status: () => consensus.status(clock.now()),
    mayAct: () => consensus.mayAct(clock.now()),
    snapshotMeta: (index) => consensus.snapshotMeta(index),
    read: async (timeoutMs) => {
      const deadlineMs = deadline(timeoutMs);
      const outcome = await waiting.reads.open((ref) => post({ type: 'read', ref, deadlineMs }));
      if (outcome.type === 'refused') throw new AgentError(outcome.code, outcome.detail);
      return outcome.index;
    },
    order: (right) => waiting.orders.open((ref) => post({ type: 'order', ref, ...right })),
    reconfigure: async (change, timeoutMs) => {
      const deadlineMs = deadline(timeoutMs);
      const outcome = await waiting.changes.open((ref) =>
        post({ type: 'reconfigure', ref: changeRef(ref), change, deadlineMs }),
      );
      mustApply(outcome);
    },
    transfer: async (to, timeoutMs) => {
      const deadlineMs = deadline(timeoutMs);
      const outcome = await waiting.changes.open((ref) =>
        post({ type: 'transfer', ref: changeRef(ref), to, deadlineMs }),
      );
      mustApply(outcome);
    },
    setHealth: (score) => {
      health = score;
    },
    setUndialable: (is) => {
      undialable = is;
      tellFacts();
    },
    loopLagMs: () => loopLagMs,
    setStanding: (next) => {
      operation = next;
      tellFacts();
    },
  };
}
