/**
 * How much a node doubts itself before it blames others (Lifeguard, Dadgar et al. 2018): a number
 * from 0 to `doubtMax` that stretches its own deadlines. It grows when its own loop stood still,
 * when helpers that should answer are silent too, and when others accuse it; it fades while nothing
 * of the kind happens.
 */
import type { Ms } from '../base/brand.ts';

export const doubtMax = 8;
/** Lag below this is the noise of a busy machine. */
export const lagMsMin: Ms = 250;
/** Lag of the own loop that is worth one step of doubt. */
const lagMsPerStep: Ms = 500;
const fadeMs: Ms = 2000;

export interface SelfDoubt {
  level(): number;
  /** So many steps more. */
  grow(by: number, nowMs: Ms): void;
  /** The own loop stood still for so long. */
  stoodStill(ms: Ms, nowMs: Ms): void;
  /** Called now and then; fades by the time that passed. */
  fade(nowMs: Ms): void;
  /** A deadline of this node, stretched. */
  stretch(ms: Ms): Ms;
}

export function createSelfDoubt(startMs: Ms): SelfDoubt {
  let level = 0;
  let changedMs = startMs;
  const grow = (by: number, nowMs: Ms): void => {
    if (by <= 0) return;
    level = Math.min(doubtMax, level + by);
    changedMs = nowMs;
  };
  return {
    level: () => level,
    grow,
    stoodStill: (ms, nowMs) => {
      if (ms >= lagMsMin) grow(Math.ceil(ms / lagMsPerStep), nowMs);
    },
    fade: (nowMs) => {
      const steps = Math.floor((nowMs - changedMs) / fadeMs);
      if (steps <= 0) return;
      level = Math.max(0, level - steps);
      changedMs += steps * fadeMs;
    },
    stretch: (ms) => ms * (1 + level),
  };
}
