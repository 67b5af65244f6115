/**
 * Whether a member is alive, as this node knows it: linked is alive; whoever was linked and is not
 * is suspect at once and failed after ten seconds; a member that this node keeps no link to counts
 * by its last word. For people and for planning; elections go by their own rules.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { MeshLink } from '../mesh/api.ts';

/** Time after which an unreachable member is called failed. */
const failedMs: Ms = 10_000;
/** A member without a link says something (a report or gossip) at least this often. */
const silentMsMax: Ms = 150_000;

export type LivenessState = 'alive' | 'suspect' | 'failed';

export interface Liveness {
  readonly state: LivenessState;
  /** Age of its last word; null: never heard. */
  readonly lastSeenMs: Ms | null;
}

export function livenessOf(options: {
  readonly peer: PeerId;
  readonly self: PeerId;
  readonly link: MeshLink | null;
  readonly heardMs: Ms | null;
  readonly startedMs: Ms;
  readonly nowMs: Ms;
}): Liveness {
  const { peer, self, link, heardMs, startedMs, nowMs } = options;
  if (peer === self) return { state: 'alive', lastSeenMs: 0 };
  if (link?.connected)
    return { state: 'alive', lastSeenMs: nowMs - Math.max(link.sinceMs, heardMs ?? 0) };
  const closedMs = link !== null && link.sinceMs > 0 ? link.sinceMs : null;
  if (closedMs === null && heardMs === null) {
    const state = nowMs - startedMs < failedMs ? 'suspect' : 'failed';
    return { state, lastSeenMs: null };
  }
  const lastMs = Math.max(
    closedMs ?? Number.NEGATIVE_INFINITY,
    heardMs ?? Number.NEGATIVE_INFINITY,
  );
  const lastSeenMs = Math.max(0, nowMs - lastMs);
  if (closedMs === null) {
    const limit = silentMsMax;
    const state = lastSeenMs < limit ? 'alive' : lastSeenMs < 2 * limit ? 'suspect' : 'failed';
    return { state, lastSeenMs };
  }
  // Heard by another way after its link had closed: it lives, only not linked.
  if (heardMs !== null && heardMs > closedMs && lastSeenMs < failedMs)
    return { state: 'alive', lastSeenMs };
  return { state: lastSeenMs < failedMs ? 'suspect' : 'failed', lastSeenMs };
}
