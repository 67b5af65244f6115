/** What people do to a running cluster, and what they may ask before they do it. */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { ElectionAccount, LeaderAccount, WhyNot } from '../../consensus/why.ts';
import type { Role } from '../../wire/member.ts';
import type { LeaderAnswer } from '../api.ts';

export type { ElectionAccount, LeaderAccount, WhyNot } from '../../consensus/why.ts';

/** What is known of the election of one term, across the cluster. */
export interface TermAccount {
  readonly term: number;
  /** The winner's ballot, from the log; null: nobody won, or it is not here (yet). */
  readonly election: ElectionAccount | null;
  /** What else the candidates remember, by candidate: votes and pre-votes that led to nothing. */
  readonly attempts: readonly ElectionAccount[];
  /** Members that did not answer; what they remember is not in here. */
  readonly unheard: readonly PeerId[];
}

/** A voter that might lead, by its own word of this moment. */
export interface Candidate {
  readonly name: string;
  readonly peerId: PeerId;
  readonly role: Role;
  readonly rank: number;
  readonly electable: boolean;
  /** Machine-readable: why it can't lead now; null when it can. */
  readonly reason: string | null;
  readonly detail: string | null;
}

export interface SwitchoverAnswer extends LeaderAnswer {
  readonly moved: boolean;
  readonly from: string;
  /** Who leads now, or with `dryRun` would be asked to; null: nobody else can. */
  readonly to: string | null;
  /** Why it did not happen, or null. */
  readonly refused: string | null;
  readonly candidates: readonly Candidate[];
}

export interface Reason {
  readonly code: string;
  readonly detail: string;
}

export interface SafeToStop {
  readonly safe: boolean;
  readonly reasons: readonly Reason[];
}

export interface DrainState {
  readonly name: string;
  readonly peerId: PeerId;
  readonly draining: boolean;
  readonly owner: string | null;
  readonly reason: string | null;
  readonly since: string | null;
  /** It neither leads nor holds what would be missed: it may go. */
  readonly drained: boolean;
  readonly leads: boolean;
  readonly pinsAtRisk: number;
  readonly allocated: number;
}

export interface PauseState {
  readonly by: string;
  readonly reason: string;
  readonly since: string;
  readonly until: string | null;
}

export interface By {
  readonly owner: string;
  readonly reason: string;
}

export interface Operations {
  switchover(how: { to: string | null; dryRun: boolean }): Promise<SwitchoverAnswer>;
  /** null: this node. */
  drain(name: string | null, by: By): Promise<DrainState>;
  undrain(name: string | null): Promise<DrainState>;
  drainState(name: string | null): Promise<DrainState>;
  forget(name: string, how: { owner: string; force: boolean }): Promise<void>;
  /** This node stops being a member; the process ends soon after. */
  leave(how: { owner: string; force: boolean }): Promise<void>;
  pause(by: By, forMs: Ms | null): Promise<PauseState>;
  resume(): Promise<void>;
  paused(): Promise<PauseState | null>;
  /** With `reserveMs` also takes the turn to stop for so long, if it may. */
  safeToStop(reserveMs: Ms | null): Promise<SafeToStop>;
  /** Gives the turn to stop back. */
  stay(): Promise<void>;
  whyLeader(): Promise<LeaderAccount>;
  whyNot(name: string): Promise<WhyNot>;
  whyElection(term: number): Promise<TermAccount>;
}
