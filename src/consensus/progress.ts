/**
 * What a leader knows of one peer's log and state. `probe` sends one append and waits, `replicate`
 * pipelines within a window, `snapshot` waits for a streamed snapshot.
 *
 * Invariant: match < next; inflight entries and bytes stay within their maxima.
 */
import type { LogIndex, Ms, PeerId, Term } from '../base/brand.ts';

/** Appends in flight to one peer. */
export const inflightMax = 64;
/** Bytes in flight to one peer. */
export const inflightBytesMax = 4 * 1024 * 1024;
/** Entries and bytes of one append. */
export const appendEntriesMax = 1024;
export const appendBytesMax = 512 * 1024;

interface Inflight {
  readonly end: LogIndex;
  readonly bytes: number;
  readonly sentMs: Ms;
}

export interface Progress {
  readonly peer: PeerId;
  mode: 'probe' | 'replicate' | 'snapshot';
  next: LogIndex;
  match: LogIndex;
  inflight: Inflight[];
  inflightBytes: number;
  /** When the one append of `probe` left, or a snapshot was asked for; null: may send. */
  waitingSinceMs: Ms | null;
  sentCommit: LogIndex;
  /** When a commit index that no append has carried is told by itself; null: none waits. */
  commitDueMs: Ms | null;
  /** Newest heartbeat round of this term that the peer acknowledged. */
  ackedRound: number;
  lastAckMs: Ms;
  rttMs: Ms | null;
  cannotLead: string | null;
  stalled: boolean;
  applied: LogIndex;
  /** Since when it has been heard, caught up and electable without a break; null: it is not. */
  steadySinceMs: Ms | null;
}

export function createProgress(peer: PeerId, lastIndex: LogIndex, nowMs: Ms): Progress {
  return {
    peer,
    mode: 'probe',
    next: lastIndex + 1,
    match: 0,
    inflight: [],
    inflightBytes: 0,
    waitingSinceMs: null,
    sentCommit: 0,
    commitDueMs: null,
    ackedRound: 0,
    lastAckMs: nowMs,
    rttMs: null,
    cannotLead: 'unheard',
    stalled: false,
    applied: 0,
    steadySinceMs: null,
  };
}

type End = { readonly lastTerm: Term; readonly lastIndex: LogIndex };

/**
 * At the start of a lead. A voter whose log ended like the leader's when it voted takes appends in
 * a row from the start: what is proposed meanwhile doesn't wait for the answer to the first. It
 * counts as holding nothing until it says so, and a refusal leads back to probing.
 */
export function firstProgress(peer: PeerId, own: End, voted: End | undefined, nowMs: Ms): Progress {
  const progress = createProgress(peer, own.lastIndex, nowMs);
  const same = voted?.lastTerm === own.lastTerm && voted.lastIndex === own.lastIndex;
  return same ? { ...progress, mode: 'replicate' } : progress;
}

export function noteSent(progress: Progress, end: LogIndex, bytes: number, nowMs: Ms): void {
  progress.inflight.push({ end, bytes, sentMs: nowMs });
  progress.inflightBytes += bytes;
  progress.next = end + 1;
}

export function hasRoom(progress: Progress): boolean {
  return progress.inflight.length < inflightMax && progress.inflightBytes < inflightBytesMax;
}

/** The peer holds everything up to `match`; true when that was news. */
export function noteMatch(progress: Progress, match: LogIndex): boolean {
  while (progress.inflight[0] && progress.inflight[0].end <= match)
    progress.inflightBytes -= progress.inflight.shift()?.bytes ?? 0;
  if (match <= progress.match) return false;
  progress.match = match;
  progress.next = Math.max(progress.next, match + 1);
  return true;
}

/** Starts over from what is known to match. */
export function toProbe(progress: Progress, next: LogIndex): void {
  progress.mode = 'probe';
  progress.next = Math.max(next, progress.match + 1);
  progress.inflight = [];
  progress.inflightBytes = 0;
  progress.waitingSinceMs = null;
}
