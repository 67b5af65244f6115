/** What people do to a running cluster, and what they may ask before they do it. */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { ElectionAccount, LeaderAccount, WhyNot } from '../../consensus/why.ts';
import type { MemberState } from '../../health/failure-detector.ts';
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

export interface NetworkKeyFollower {
  readonly name: string;
  readonly peerId: PeerId;
  readonly state: MemberState;
  /** Accepts the key that was added; with none: accepts and sends the one that is sent. */
  readonly follows: boolean;
  /** Why it does not; null when it does. */
  readonly detail: string | null;
  /** What it last said of itself, by fingerprint; null: nothing yet. */
  readonly accepts: readonly string[] | null;
  readonly sends: string | null;
  /** The configured file that its first key came from. */
  readonly file: string | null;
}

/** The private network's keys by fingerprint, and who has followed; never the keys themselves. */
export interface NetworkKeysState {
  readonly keys: readonly {
    readonly fingerprint: string;
    /** `added`: accepted, to be sent once everybody accepts it; `accepted`: was sent before. */
    readonly state: 'added' | 'sending' | 'accepted';
    readonly since: string | null;
    readonly by: string | null;
  }[];
  readonly sending: string;
  /** The key that was added and is not sent yet. */
  readonly next: string | null;
  readonly members: readonly NetworkKeyFollower[];
}

export interface NetworkKeyOperations {
  /** From this node's own copy and what it heard. */
  show(): Promise<NetworkKeysState>;
  /** Adds a new random key. */
  rotate(owner: string): Promise<NetworkKeysState>;
  /** Everybody dials with the added key from here on. */
  switchOver(how: { owner: string; force: boolean }): Promise<NetworkKeysState>;
  /** Drops every key but the one that is sent. */
  retire(how: { owner: string; force: boolean }): Promise<NetworkKeysState>;
}

export interface Operations {
  readonly networkKeys: NetworkKeyOperations;
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
