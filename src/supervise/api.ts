/**
 * The face of `supervise`: what to do about one daemon, as a state machine without a world. The
 * caller feeds events with the monotonic time and carries out the actions in order; every action
 * is answered by an event (`start` by `spawned` or `start-failed`, `stop` by `exited`). Level, not
 * edge: `tick` alone gets the daemon where it is wanted, so a lost wake-up costs a period only.
 * Never given up for good: whoever is wanted and may be healed has a next start within the
 * cool-down plus its jitter.
 */
import type { Ms } from '../base/brand.ts';

/** What a person wants; a stop is remembered over restarts and never healed. */
export type Desired = 'started' | 'stopped';

/** The states of the status page. */
export const daemonStates = [
  'stopped',
  'starting',
  'running',
  'unresponsive',
  'cooling-down',
  'crash-loop',
  'stopping',
] as const;
export type DaemonState = (typeof daemonStates)[number];

/** Why a daemon ended or did not start. `true`: trying again at once is no use. */
const coldCauses = {
  /** Ended by a signal that we did not send. */
  killed: false,
  /** Ended by itself; the detail has the exit code and the last line of its log. */
  exited: false,
  /** It runs, but did not get ready in time and made no progress. */
  'not-ready': false,
  /** It runs, but its API has been silent for too long. */
  unresponsive: false,
  /** What it needs does not run (a cluster daemon without kubo). */
  'dependency-down': false,
  /** Preparing or starting it failed in a way that has no name yet; the detail has the text. */
  failed: false,
  'port-in-use': true,
  'bad-config': true,
  'out-of-memory': true,
  'disk-full': true,
  'file-limit': true,
  'binary-missing': true,
  /** Another process holds its folder. */
  'repo-locked': true,
  /** The folder was written by another version, or the binary is too old. */
  'wrong-version': true,
} as const;
export type Cause = keyof typeof coldCauses;

export const isCold = (cause: Cause): boolean => coldCauses[cause];

export interface SupervisePolicy {
  /** At least this long between an act of healing and the next one. */
  readonly coolDownMs: Ms;
  /** Healthy for so long in one go: the start was a success and old failures are forgotten. */
  readonly successMs: Ms;
  /** A start that neither gets ready nor makes progress for so long has failed. */
  readonly readyMsMax: Ms;
  /** Running, but without an answer for so long: unresponsive. */
  readonly silentMsMax: Ms;
  /** Pause before the first and at most before any further try of a start that never got ready. */
  readonly backoffMsMin: Ms;
  readonly backoffMsMax: Ms;
  /** So many failures in a row make a crash loop, which is probed once per cool-down. */
  readonly failuresMax: number;
  /** At most so many automatic starts within any window of `coolDownMs`. */
  readonly startsMax: number;
}

/** What outlives the agent. */
export interface SuperviseRecord {
  readonly desired: Desired;
  readonly autoHeal: boolean;
  readonly failures: number;
  readonly restarts: number;
  /** When it was last healed, on the clock of this run; may lie before its zero. */
  readonly lastHealMs: Ms | null;
}

export type Ask = 'start' | 'stop' | 'restart';

export type SuperviseEvent =
  /** The first event: the process that an earlier agent left and that is surely ours, or none. */
  | { readonly type: 'found'; readonly pid: number | null }
  /** A person's wish. `force` restarts what runs and does not wait for a cool-down. */
  | { readonly type: 'ask'; readonly what: Ask; readonly force: boolean }
  | { readonly type: 'spawned'; readonly pid: number }
  | { readonly type: 'start-failed'; readonly cause: Cause; readonly detail: string }
  | {
      readonly type: 'exited';
      readonly pid: number;
      readonly cause: Cause;
      readonly detail: string;
    }
  | {
      readonly type: 'checked';
      readonly pid: number;
      /** `busy`: it answers and is not ready yet (loading, downloading). */
      readonly answer: 'ready' | 'busy' | 'silent';
      /** Anything that changes while it gets on; text or null. */
      readonly progress: string | null;
      /** `silent`: the limit of its own that it has run into, if that is known. */
      readonly limit?: { readonly cause: Cause; readonly detail: string } | null;
    }
  | { readonly type: 'auto-heal'; readonly on: boolean }
  /** Paused or draining: the reason; null: over. */
  | { readonly type: 'suspend'; readonly reason: string | null }
  /** The agent stops: ours are ended, and what a person wants stays as it is. */
  | { readonly type: 'shutdown' }
  | { readonly type: 'tick' };

export type StartReason = 'wanted' | 'asked' | 'heal' | 'probe';
export type StopReason = 'asked' | 'restart' | 'unresponsive' | 'not-ready' | 'shutdown';

export type SuperviseAction =
  | { readonly type: 'start'; readonly reason: StartReason }
  | { readonly type: 'stop'; readonly pid: number; readonly reason: StopReason }
  /** What is worth an event; the sentence is made at the edge. */
  | { readonly type: 'tell'; readonly fact: SuperviseFact };

export type SuperviseFact =
  | { readonly type: 'daemon-adopted'; readonly pid: number }
  | { readonly type: 'daemon-starting'; readonly reason: StartReason }
  | { readonly type: 'daemon-ready'; readonly pid: number; readonly afterMs: Ms }
  | {
      readonly type: 'daemon-unresponsive';
      readonly pid: number;
      readonly silentMs: Ms;
      /** `unresponsive`, or the limit that it has run into. */
      readonly cause: Cause;
    }
  | { readonly type: 'daemon-recovered'; readonly pid: number }
  | { readonly type: 'daemon-stopped'; readonly pid: number; readonly reason: StopReason }
  | {
      readonly type: 'daemon-failed';
      readonly cause: Cause;
      readonly detail: string;
      readonly failures: number;
      /** When the next automatic start is due; null: none, see `held`. */
      readonly retryInMs: Ms | null;
      readonly held: string | null;
    }
  /** Healing does not help or has to wait: somebody should look. */
  | { readonly type: 'daemon-alert'; readonly cause: Cause; readonly detail: string };

export interface Supervision {
  readonly desired: Desired;
  readonly autoHeal: boolean;
  readonly state: DaemonState;
  readonly pid: number | null;
  readonly adopted: boolean;
  readonly restarts: number;
  readonly failures: number;
  /** Until the next automatic start may happen; 0 when none waits. */
  readonly cooldownMsRemaining: Ms;
  /** Why nothing is healed now: `auto-heal-off`, `paused`, `draining`; else null. */
  readonly held: string | null;
  readonly lastFailure: {
    readonly cause: Cause;
    readonly detail: string;
    readonly atMs: Ms;
  } | null;
  readonly lastHealMs: Ms | null;
  /** It has been healthy for `successMs` in one go. */
  readonly steady: boolean;
  /** Since when the alert stands, or null. */
  readonly alertSinceMs: Ms | null;
}
