/**
 * A daemon's health is progress in the phase that it is in, not an open port: heights that stand
 * still while a node downloads are no stall as long as bytes come, and the same stillness is one
 * while it should follow the chain. What a person stopped, or what is switched off, is not judged.
 */
import type { Ms } from '../base/brand.ts';
import { type Component, componentOf, type Finding } from './score.ts';

export type DaemonPhase = 'idle' | 'downloading' | 'following';

/** A figure that should move, as it was seen last. */
export interface Progress {
  readonly phase: DaemonPhase;
  /** What counts in this phase: bytes while downloading, the height while following. */
  readonly value: string | number;
  /** Monotonic instant at which the value last moved, or the phase began. */
  readonly movedMs: Ms;
}

/** Stillness that is too long; nothing is expected of an idle daemon. */
const stillMsMax: Readonly<Record<DaemonPhase, Ms>> = {
  idle: Number.POSITIVE_INFINITY,
  downloading: 300_000,
  following: 120_000,
};

/** Takes a new look at the figure in; a new phase starts anew. */
export function advanceProgress(
  before: Progress | null,
  seen: { phase: DaemonPhase; value: string | number },
  nowMs: Ms,
): Progress {
  const same = before !== null && before.phase === seen.phase && before.value === seen.value;
  return same ? before : { ...seen, movedMs: nowMs };
}

export function isStalled(progress: Progress, nowMs: Ms): boolean {
  return nowMs - progress.movedMs >= stillMsMax[progress.phase];
}

export interface DaemonFacts {
  readonly type: string;
  readonly state:
    | 'stopped'
    | 'starting'
    | 'running'
    | 'unresponsive'
    | 'cooling-down'
    | 'crash-loop'
    | 'stopping';
  /** Why it is in this state, in words. */
  readonly detail: string;
  readonly required: boolean;
  readonly progress: Progress | null;
  /** What its own API tells of it beyond being up. */
  readonly findings: readonly Finding[];
}

const byState = {
  stopped: 'daemon-stopped',
  starting: 'daemon-starting',
  unresponsive: 'daemon-unresponsive',
  'cooling-down': 'daemon-cooling-down',
  'crash-loop': 'daemon-crash-loop',
  stopping: 'daemon-stopped',
} as const;

export function daemonComponent(facts: DaemonFacts, nowMs: Ms): Component {
  const findings: Finding[] = [];
  if (facts.state === 'running') {
    findings.push(...facts.findings);
    const { progress } = facts;
    if (progress !== null && isStalled(progress, nowMs))
      findings.push({
        code: 'daemon-no-progress',
        detail:
          `${facts.type} has stood at ${progress.value} for ` +
          `${Math.round((nowMs - progress.movedMs) / 1000)} s while ${progress.phase}`,
      });
  } else findings.push({ code: byState[facts.state], detail: facts.detail });
  return componentOf(facts.type, findings, { weight: 2, critical: facts.required });
}
