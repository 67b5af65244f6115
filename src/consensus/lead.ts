/**
 * What a node holds only while it leads, from the won vote to the end of its term. It is thrown
 * away as a whole when it steps down, so that nothing of one term leaks into another.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import type { Configuration } from './api.ts';
import type { Progress } from './progress.ts';

/** Heartbeat rounds whose send times are remembered; older acknowledgements renew nothing. */
const roundsMax = 256;

/** Send times of the last heartbeat rounds, by round number. */
export class Rounds {
  #sent: (Now & { round: number })[] = [];

  note(round: number, now: Now): void {
    this.#sent[round % roundsMax] = { round, monoMs: now.monoMs, skippedMs: now.skippedMs };
  }

  sentAt(round: number): Now | null {
    const sent = this.#sent[round % roundsMax];
    return sent && sent.round === round ? sent : null;
  }
}

export interface Handover {
  readonly to: PeerId;
  readonly startedMs: Ms;
  readonly reason: 'asked' | 'takeover' | 'drain' | 'resign';
  /** TimeoutNow left at; null while the target still catches up. */
  sentMs: Ms | null;
  /** Desk ids of those who asked for it. */
  readonly waiting: Origin[];
}

/** Who waits for the outcome of a proposal: this node's desk, or a peer's. */
export interface Origin {
  /** null: this node. */
  readonly from: PeerId | null;
  readonly id: number;
}

/** A change of the configuration that waits for its turn. */
export interface QueuedChange {
  readonly origin: Origin;
  readonly data: Uint8Array;
  readonly queuedMs: Ms;
}

export interface WaitingRead {
  readonly origin: Origin;
  /** Round that must be acknowledged; null: not started. */
  round: number | null;
  index: LogIndex;
}

export interface Lead {
  readonly sinceMs: Ms;
  /** The empty entry of this term. */
  readonly termStart: LogIndex;
  readonly progress: Map<PeerId, Progress>;
  readonly rounds: Rounds;
  round: number;
  heartbeatDueMs: Ms;
  /** Peers that get appends: voters and a few standbys. */
  direct: readonly PeerId[];
  committedOwn: boolean;
  leaseDropped: boolean;
  actAfterMs: Ms;
  /** Entries, commit or room changed since the last flush. */
  dirty: boolean;
  /** When what was held back of appends and commit indexes is sent at the latest. */
  flushAtMs: Ms;
  readonly waiting: Map<LogIndex, Origin>;
  /** Forwarded proposals that wait, so that a repeated one is not appended again. */
  readonly remote: Map<PeerId, Set<number>>;
  uncommittedBytes: number;
  reads: WaitingRead[];
  handover: Handover | null;
  readonly changes: QueuedChange[];
  /** Who waits for the joint change that is under way. */
  changeOrigin: Origin | null;
  /** Commit index at past heartbeats, newest last. */
  commits: { atMs: Ms; index: LogIndex }[];
  /** This term began by a take-over by rank. */
  readonly byTakeover: boolean;
  /** Since when this leader should not lead; null: it may. */
  reluctantSinceMs: Ms | null;
  cooldownMs: Ms;
  /** What the direct set was computed from. */
  configuration: Configuration;
}
