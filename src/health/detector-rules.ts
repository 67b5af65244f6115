/** How long the failure detector waits for what. */
import type { Ms } from '../base/brand.ts';
import type { ProbeRules } from './probes.ts';

/** One linked peer is probed every `probeEveryMs`; whoever was heard within that time is not. */
export interface DetectorRules extends ProbeRules {
  readonly suspectMsMin: Ms;
  readonly suspectMsMax: Ms;
  /** So many other accusers settle a suspicion after its minimum, whatever this node's doubt. */
  readonly confirmations: number;
  /** A member of which nothing was ever heard is called failed after this. */
  readonly unheardMs: Ms;
  /** A peer whose link closed is asked about after this: if it led, the election goes first. */
  readonly linkLostMs: Ms;
}

/** A killed node is failed everywhere within 5 s by these. */
export const detectorRules: DetectorRules = {
  probeEveryMs: 1000,
  answerMs: 500,
  suspectMsMin: 1500,
  suspectMsMax: 2000,
  confirmations: 2,
  unheardMs: 10_000,
  linkLostMs: 300,
};
