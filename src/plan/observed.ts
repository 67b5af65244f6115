/**
 * What the leader sees: nodes and the copies that they report. Observed state never enters the
 * log; it is gathered anew by every leader, so a fresh leader knows little and therefore does
 * little (nobody is gone for long, nothing is verified in its term).
 */
import type { CidText, Ms, PeerId } from '../base/brand.ts';
import type { Role } from '../wire/member.ts';

export interface NodeView {
  readonly peer: PeerId;
  readonly role: Role;
  readonly zone: string;
  readonly state: 'alive' | 'suspect' | 'failed';
  /** For how long this leader has not heard it; null while it is alive. */
  readonly goneForMs: Ms | null;
  readonly draining: boolean;
  /** As the node says it is; `unknown` while it has said nothing. */
  readonly health: 'healthy' | 'degraded' | 'unhealthy' | 'unknown';
  /** Bytes it may still store, its reserve already taken off; null when it doesn't say. */
  readonly bytesFree: number | null;
  /** Bytes of copies promised to it that it doesn't hold yet. */
  readonly bytesQueued: number;
}

/** One node's word on one pin. */
export interface CopyView {
  readonly peer: PeerId;
  readonly state: 'queued' | 'fetching' | 'pinned' | 'failed' | 'unavailable';
  readonly stateForMs: Ms;
  /** It has proved possession to this leader, in this term, so long ago; null: not yet. */
  readonly verifiedForMs: Ms | null;
}

/** The copies reported of a pin, in no special order; at most one per peer. */
export type CopiesOf = (cid: CidText) => readonly CopyView[];

export interface PlanRules {
  /** A node gone (or a copy failing) for less than this is still counted on. */
  readonly repairGraceMs: Ms;
  /** A copy proved longer ago than this is challenged again. */
  readonly challengeAgeMs: Ms;
  /** At most so many actions of each type in one round; the next round does the rest. */
  readonly actionsMax: number;
}

export const planRules: PlanRules = {
  repairGraceMs: 600_000,
  challengeAgeMs: 3_600_000,
  actionsMax: 1000,
};

/** The size of a pin whose size nobody knows yet, for budgets and room. */
export const bytesUnknown = 1024 * 1024;
