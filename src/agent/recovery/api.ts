/** What the agent offers for the day when something is lost. */
import type { EpochId, LogIndex, PeerId } from '../../base/brand.ts';

/** What is known before a new epoch is forced, and what may be lost by it. */
export interface RecoveryPlan {
  readonly name: string;
  readonly epoch: number;
  readonly epochId: EpochId;
  /** The new epoch goes on after this entry; what only others have is lost. */
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly voters: readonly {
    readonly name: string;
    readonly peerId: PeerId;
    readonly answers: boolean;
    readonly error: string | null;
  }[];
  /** A majority of the old voters answers: then nothing is to be recovered. */
  readonly quorum: boolean;
  /** Members that don't answer. */
  readonly lostMembers: readonly string[];
  /** Pins that are allocated to lost members only; the first of them by name. */
  readonly pinsOnlyOnLost: { readonly count: number; readonly first: readonly string[] };
  readonly warnings: readonly string[];
}

export interface ForcedEpoch {
  readonly epoch: number;
  readonly epochId: EpochId;
  readonly parentEpochId: EpochId;
}

export interface Recovery {
  /**
   * A backup of the cluster as this node has it, as bytes in order; with blocks also those pins
   * that are whole here.
   */
  backup(withBlocks: boolean): Promise<AsyncIterable<Uint8Array>>;
  /** Asks every old voter anew. */
  plan(): Promise<RecoveryPlan>;
  /**
   * Refuses while a majority of the old voters answers, or if `oldEpoch` is not this epoch's
   * number. Then the agent stops and comes back in the new epoch.
   */
  forceNewEpoch(oldEpoch: number): Promise<ForcedEpoch>;
}
