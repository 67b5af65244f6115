/**
 * Links on demand: in a large cluster a node that doesn't vote keeps links to a handful of members,
 * and the leader may not be among them. Whoever is asked or sent something without a link is
 * dialled, once at a time and not again right after a failure; the link then stays like others.
 */
import type { Ms, PeerId } from '../base/brand.ts';

const pauseMs: Ms = 1000;

export interface Visits {
  /** Resolves when there is a link, when dialling has failed or would be too early, or in time. */
  to(peer: PeerId, timeoutMs: Ms): Promise<void>;
}

export function createVisits(deps: {
  readonly monoMs: () => Ms;
  readonly connected: (peer: PeerId) => boolean;
  /** Settles when the dial is over. */
  readonly dial: (peer: PeerId) => Promise<void>;
}): Visits {
  const under = new Map<PeerId, Promise<void>>();
  const failedMs = new Map<PeerId, Ms>();
  function begin(peer: PeerId): Promise<void> {
    const visit = deps.dial(peer).then(() => {
      under.delete(peer);
      if (deps.connected(peer)) failedMs.delete(peer);
      else failedMs.set(peer, deps.monoMs());
    });
    under.set(peer, visit);
    return visit;
  }

  return {
    async to(peer, timeoutMs) {
      if (deps.connected(peer)) return;
      const sinceFailedMs = deps.monoMs() - (failedMs.get(peer) ?? Number.NEGATIVE_INFINITY);
      if (sinceFailedMs < pauseMs) return;
      const visit = under.get(peer) ?? begin(peer);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs);
      });
      await Promise.race([visit, late]).finally(() => clearTimeout(timer));
    },
  };
}
