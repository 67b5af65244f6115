/**
 * What fails and will be tried again. The same failure again and again (nobody leads, a peer is
 * away) is counted each time and told once in a while.
 */
import type { Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { asAgentError } from '../base/error.ts';

/** The same failure is told again after this. */
const tellAgainMs: Ms = 10_000;
const toldMax = 256;

export interface FailureLogDeps {
  readonly clock: Clock;
  readonly count: () => void;
  readonly tell: (what: string, failure: { code: string; detail: string }) => void;
}

export function createFailureLog(deps: FailureLogDeps): (text: string, thrown: unknown) => void {
  const toldMs = new Map<string, Ms>();
  return (text, thrown) => {
    const { code, message } = asAgentError(thrown);
    const nowMs = deps.clock.now().monoMs;
    const key = `${text} ${code}`;
    deps.count();
    if (nowMs - (toldMs.get(key) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return;
    if (toldMs.size >= toldMax) toldMs.clear();
    toldMs.set(key, nowMs);
    deps.tell(text, { code, detail: message });
  };
}
