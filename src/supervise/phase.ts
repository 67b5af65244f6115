/**
 * Where one daemon stands, with what each phase has to remember, and how a phase is shown. The
 * machine moves between phases in `supervisor.ts`.
 */
import type { Ms } from '../base/brand.ts';
import type { Cause, DaemonState } from './api.ts';

export type Phase =
  | { readonly type: 'new' }
  | { readonly type: 'stopped' }
  /** Asked to start; the process is not there yet. */
  | { readonly type: 'preparing' }
  | { readonly type: 'starting'; sinceMs: Ms; progress: string | null; deadlineMs: Ms }
  | { readonly type: 'running'; answeredMs: Ms }
  | { readonly type: 'unresponsive'; readonly healAtMs: Ms }
  /** For its next start; `loop`: it is a crash loop. */
  | { readonly type: 'waiting'; readonly untilMs: Ms; readonly loop: boolean }
  /** `next`: what follows once the process has gone. */
  | {
      readonly type: 'stopping';
      next: 'rest' | 'start' | 'failed';
      readonly cause: Cause;
      readonly detail: string;
      /** It is ended in order to be started again, and has waited for that. */
      readonly healing: boolean;
    };

/** `heals`: a failure is healed now; who isn't has stopped, and waits for nothing. */
export function stateOf(phase: Phase, heals: boolean): DaemonState {
  if (phase.type === 'new') return 'stopped';
  if (phase.type === 'preparing') return 'starting';
  if (phase.type !== 'waiting') return phase.type;
  if (!heals) return 'stopped';
  return phase.loop ? 'crash-loop' : 'cooling-down';
}

/** How long until the next automatic act may happen. */
export function remainingMs(phase: Phase, heals: boolean, nowMs: Ms): Ms {
  if (!heals) return 0;
  if (phase.type === 'waiting') return Math.max(0, phase.untilMs - nowMs);
  return phase.type === 'unresponsive' ? Math.max(0, phase.healAtMs - nowMs) : 0;
}
