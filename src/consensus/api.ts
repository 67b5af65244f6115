/**
 * The face of the consensus room: what goes in (events), what comes out (ready), what may be asked.
 * The caller owns one queue and one consumer: it calls `step` for each event, then takes `ready()`
 * and does the work it names; completions come back as events. Nothing in here waits, reads a clock
 * or draws a random number of its own.
 *
 * Contract of the caller:
 * - persist jobs are executed in order; several may share one fsync, `persisted` comes after it.
 *   Messages that depend on a write are held back in here and appear in a later `ready`.
 * - `apply` entries go to the catalog in order; `applied` carries their results.
 * - `step` is called with `tick` no later than `nextWakeMs()` of the node's monotonic clock.
 */
import type { ClusterId, EpochId, LogIndex, Ms, PeerId, SessionId, Term } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import type { ErrorCode } from '../base/error.ts';
import type { Prng } from '../base/prng.ts';
import type { Configuration, ConfigurationChange } from '../wire/configuration.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import type { Certificate } from '../wire/member.ts';
import type { Fact, NodeState } from './fact.ts';

export type { Configuration, ConfigurationChange } from '../wire/configuration.ts';
export type { Ballot, Fact, NodeState } from './fact.ts';

/** Durable with every vote and every lengthening of the lease. */
export interface HardState {
  readonly term: Term;
  readonly vote: PeerId | null;
  /** Longest lease length ever acknowledged, ms; durable before the first acknowledgement of it. */
  readonly leaseMsLongest: Ms;
  /** Highest term of an order executed in this epoch; durable before that order is executed. */
  readonly fence: Term;
}

/** Describes a catalog snapshot; the bytes travel on a stream of their own. */
export interface SnapshotMeta {
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  readonly index: LogIndex;
  readonly term: Term;
  /** Chain hash of the entry at `index`. */
  readonly hash: string;
  readonly configuration: Configuration;
  /** Index of the entry that made this configuration. */
  readonly configurationIndex: LogIndex;
}

export interface PersistJob {
  /** Increasing by one. */
  readonly id: number;
  readonly hardState: HardState | null;
  /** Drop every entry above this index first (a record of the log, not a rewrite). */
  readonly cutBackTo: LogIndex | null;
  /** Contiguous. With `cutBackTo` set, cut and append are one durable record. */
  readonly append: readonly Entry[];
  /** Replace catalog and log by this received snapshot before anything else of the job. */
  readonly installSnapshot: { readonly meta: SnapshotMeta; readonly ref: string } | null;
}

export type Refusal = Extract<
  ErrorCode,
  | 'not-leader'
  | 'no-quorum'
  | 'overloaded'
  | 'epoch-mismatch'
  | 'forbidden'
  | 'conflict'
  | 'bad-request'
  | 'stopped'
>;

/** The end of a proposal; exactly one per `ref`. */
export type Outcome =
  | {
      readonly type: 'applied';
      readonly index: LogIndex;
      readonly term: Term;
      readonly result: Uint8Array;
    }
  | { readonly type: 'refused'; readonly code: Refusal; readonly detail: string }
  /** It may have been committed, or may yet be. */
  | { readonly type: 'unknown' };

export type ReadOutcome =
  /** This node's applied index has reached a point that is linearizable for the read. */
  | { readonly type: 'ready'; readonly index: LogIndex }
  | { readonly type: 'refused'; readonly code: Refusal; readonly detail: string };

export type Event =
  | { readonly type: 'tick' }
  /** `certificate` is what the mesh knows of the sender, null if nothing. */
  | {
      readonly type: 'message';
      readonly from: PeerId;
      readonly certificate: Certificate | null;
      readonly message: Message;
    }
  /** The connection to a peer: opened, closed, or one redial failed since it closed. */
  | {
      readonly type: 'link';
      readonly peer: PeerId;
      readonly change: 'opened' | 'closed' | 'redial-failed';
    }
  | { readonly type: 'persisted'; readonly id: number }
  /** A persist job or apply failed for good (disk); the node stops leading and voting. */
  | { readonly type: 'store-failed'; readonly detail: string }
  /** Another machine runs with this node's key: it says nothing any more that counts as a vote. */
  | { readonly type: 'identity-clash' }
  /** Applied up to and including `index`; `results` has one item per applied entry, in order. */
  | {
      readonly type: 'applied';
      readonly index: LogIndex;
      readonly results: readonly { readonly index: LogIndex; readonly result: Uint8Array }[];
    }
  /**
   * A command for the catalog. `data` carries session and sequence, so it may be sent again to
   * another leader until `deadlineMs` (monotonic, this node).
   */
  | {
      readonly type: 'propose';
      readonly ref: number;
      readonly data: Uint8Array;
      readonly deadlineMs: Ms;
    }
  | {
      readonly type: 'reconfigure';
      readonly ref: number;
      readonly change: ConfigurationChange;
      readonly deadlineMs: Ms;
    }
  | { readonly type: 'read'; readonly ref: number; readonly deadlineMs: Ms }
  /** Hand the lead over: to `to`, or to the best candidate. The outcome has an empty result. */
  | {
      readonly type: 'transfer';
      readonly ref: number;
      readonly to: PeerId | null;
      readonly deadlineMs: Ms;
    }
  /** May an order of this (epoch, term) be executed here? Answered in `ready().orders`. */
  | { readonly type: 'order'; readonly ref: number; readonly epoch: EpochId; readonly term: Term }
  /** A streamed snapshot arrived whole and its bytes match; `ref` names it for the store. */
  | {
      readonly type: 'snapshot-received';
      readonly from: PeerId;
      readonly meta: SnapshotMeta;
      readonly ref: string;
      readonly requestId: number;
    }
  | {
      readonly type: 'snapshot-sent';
      readonly to: PeerId;
      readonly requestId: number;
      readonly ok: boolean;
    }
  /** Catalog state up to `index` is known to be fsynced; the log may be cut up to there. */
  | { readonly type: 'compact'; readonly index: LogIndex }
  | { readonly type: 'local'; readonly facts: LocalFacts }
  /** This node was certified anew: its role may be another one from here on. */
  | { readonly type: 'certified'; readonly certificate: Certificate };

/** What the node knows of itself that bears on whether it can lead. */
export interface LocalFacts {
  readonly storeWritable: boolean;
  readonly draining: boolean;
  /** Nobody who tried could dial it, or that is not known yet: it is not made a voter. */
  readonly undialable: boolean;
  /** A person paused the cluster: no take-over by rank, no change of voters by rule. */
  readonly paused: boolean;
  /** Why it can't do a leader's duty although it could be one (`disk-full`, ...), or null. */
  readonly trouble: string | null;
  /** 0..100, or null while nothing measures it (then it does not count). */
  readonly health: number | null;
  /** Recent event-loop lag, ms; stretches this node's own timeouts. */
  readonly loopLagMs: Ms;
}

export interface Ready {
  readonly persist: readonly PersistJob[];
  readonly messages: readonly { readonly to: PeerId; readonly message: Message }[];
  readonly apply: readonly Entry[];
  /** Somebody here waits for what is applied; otherwise it may gather for some milliseconds. */
  readonly applySoon: boolean;
  readonly outcomes: readonly { readonly ref: number; readonly outcome: Outcome }[];
  readonly reads: readonly { readonly ref: number; readonly outcome: ReadOutcome }[];
  readonly orders: readonly {
    readonly ref: number;
    readonly execute: boolean;
    readonly fence: Term;
  }[];
  /** Stream a snapshot of at least `atLeast` to the peer, then step `snapshot-sent`. */
  readonly sendSnapshots: readonly {
    readonly to: PeerId;
    readonly requestId: number;
    readonly atLeast: LogIndex;
  }[];
  /** The log may be cut up to and including this index (null: nothing to cut). */
  readonly compactTo: LogIndex | null;
  readonly facts: readonly Fact[];
}

export interface Status {
  readonly id: PeerId;
  readonly state: NodeState;
  readonly term: Term;
  readonly leader: PeerId | null;
  readonly inProgress: boolean;
  readonly acting: boolean;
  readonly leaseMsRemaining: Ms;
  /** Why this node can't lead, or would only as a last resort; or null. */
  readonly cannotLeadReason: string | null;
  /** It leads although it should not, and why; nobody better is there. */
  readonly degraded: string | null;
  readonly configuration: Configuration;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** Per peer, as far as this node knows (the leader knows best). */
  readonly progress: readonly {
    readonly peer: PeerId;
    readonly match: LogIndex;
    readonly lastAckMs: Ms;
    readonly rttMs: Ms | null;
    /** Why it can't lead or should not, by its own word; `unheard` before its first one. */
    readonly cannotLead: string | null;
    /** Since when it is heard, caught up and fit to lead without a break; null: it is not. */
    readonly steadySinceMs: Ms | null;
  }[];
}

/** The right to act, at the instant it was asked for; every effect carries it. */
export interface ActingRight {
  readonly epoch: EpochId;
  readonly term: Term;
}

/** Durations in ms. Refused unless heartbeat x 3 <= lease and lease x 1.11 <= electionMin. */
export interface Timing {
  readonly heartbeatMs: Ms;
  readonly leaseMs: Ms;
  readonly electionMsMin: Ms;
  readonly electionMsMax: Ms;
  readonly patienceMs: Ms;
  readonly holdMs: Ms;
  readonly takeoverCooldownMs: Ms;
  readonly voterGraceMs: Ms;
}

/** What was found on disk at the start; a new node has an empty log and no configuration. */
export interface Restored {
  readonly hardState: HardState;
  /** The snapshot or catalog state the log starts after; null when it starts at 1. */
  readonly snapshot: SnapshotMeta | null;
  /** Every entry after the snapshot that is durable here. */
  readonly entries: readonly Entry[];
  /** What the catalog has applied; at least the snapshot's index. */
  readonly appliedIndex: LogIndex;
}

export interface ConsensusOptions {
  readonly id: PeerId;
  readonly certificate: Certificate;
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  readonly session: SessionId;
  readonly timing: Timing;
  readonly prng: Prng;
  /** True for the first start of the one node that makes the cluster. */
  readonly bootstrap: boolean;
  readonly restored: Restored;
  readonly now: Now;
  readonly limits?: Limits;
  /** The newest state that this node's program understands. @default stateVersionKnown */
  readonly stateVersion?: number;
}

/** What is kept in memory behind the fsynced catalog, so that slow followers need no snapshot. */
export interface Limits {
  /** @default 10,000 */
  readonly trailingEntriesMax: number;
  /** @default 16 MiB */
  readonly trailingBytesMax: number;
}

export interface Consensus {
  step(now: Now, event: Event): void;
  /** What is to be done since the last call; taking it commits to doing it. */
  ready(): Ready;
  /** Monotonic instant by which `tick` must be stepped. */
  nextWakeMs(): Ms;
  /** The right to act now, or null; asked at the moment of every effect. */
  mayAct(now: Now): ActingRight | null;
  status(now: Now): Status;
  /**
   * What describes a snapshot whose catalog has applied exactly up to `index`; null when the log in
   * memory no longer (or not yet) reaches it.
   */
  snapshotMeta(index: LogIndex): SnapshotMeta | null;
}
