/**
 * What the consensus room reports about itself, as data: state changes, acting, corruption, and
 * ballots. The caller renders, counts and stores them; nothing in here depends on their reader.
 */
import type { EpochId, LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { Configuration } from '../wire/configuration.ts';

export type NodeState = 'leader' | 'candidate' | 'follower' | 'learner';

/** What happened, as data; rendered, counted and stored by the caller. */
export type Fact =
  | {
      readonly type: 'state-changed';
      readonly state: NodeState;
      readonly term: Term;
      readonly leader: PeerId | null;
      readonly reason: string;
    }
  | {
      readonly type: 'acting-changed';
      readonly acting: boolean;
      /** When it began; or an instant at which it had ended, however late that was noticed. */
      readonly atMs: Ms;
      readonly term: Term;
      readonly reason: string;
    }
  | {
      readonly type: 'configuration-changed';
      readonly configuration: Configuration;
      readonly index: LogIndex;
    }
  | {
      readonly type: 'refused-message';
      readonly from: PeerId;
      readonly code: string;
      readonly detail: string;
    }
  | { readonly type: 'corruption'; readonly detail: string }
  | {
      readonly type: 'takeover';
      readonly from: PeerId;
      readonly to: PeerId;
      readonly result: string;
    }
  /** This leader hands over because it should not lead. */
  | {
      readonly type: 'resigned';
      readonly term: Term;
      readonly to: PeerId | null;
      readonly reason: string;
    }
  /** It leads although it should not, since nobody better is there; null: no more. */
  | { readonly type: 'degraded'; readonly term: Term; readonly reason: string | null }
  /** A replica says that this node is no member (any more). */
  | { readonly type: 'not-a-member'; readonly from: PeerId }
  | { readonly type: 'ballot'; readonly ballot: Ballot };

/** One election as one node saw it: what was weighed, and why. `why` recomputes from it. */
export interface Ballot {
  readonly term: Term;
  readonly epoch: EpochId;
  readonly candidate: PeerId;
  readonly kind: 'pre-vote' | 'vote';
  readonly won: boolean;
  readonly startedMs: Ms;
  readonly endedMs: Ms;
  readonly candidateRank: number;
  /** The candidate's own health, null while nothing measures it. */
  readonly health: number | null;
  /** Voters whose link to the candidate was known to be closed. */
  readonly linksClosed: readonly PeerId[];
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
  readonly voters: readonly PeerId[];
  readonly outgoing: readonly PeerId[] | null;
  readonly answers: readonly {
    readonly from: PeerId;
    readonly granted: boolean;
    readonly code: string;
    readonly rank: number;
    readonly lastTerm: Term;
    readonly lastIndex: LogIndex;
    /** Why the voter could not lead itself or should not, by its own word; null: it could. */
    readonly cannotLead: string | null;
  }[];
  /** The leader of before asked for this election. */
  readonly transfer: boolean;
  /** A majority was there, and a promise or reason of its own kept the candidate back. */
  readonly heldBack: boolean;
  /** What the candidate knew of the voters. */
  readonly standings: readonly {
    readonly peer: PeerId;
    readonly rank: number;
    readonly leads: boolean;
  }[];
  readonly vetoes: readonly {
    readonly from: PeerId;
    readonly atMs: Ms;
    readonly followed: boolean;
  }[];
  /** How long vetoes counted. */
  readonly patience: {
    readonly firstVetoMs: Ms | null;
    readonly patienceMs: Ms;
    readonly voidAfterMs: Ms;
  };
}
