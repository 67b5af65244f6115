/**
 * The connections to peers as the mesh reports them. A link is *gone* when it closed and either two
 * redials failed or no new connection came within max(50 ms, 4 round trips). Being gone is what the
 * fast path listens to; it is a hint to hurry and no proof of death.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import { redialsMax } from './timing.ts';

export interface Link {
  open: boolean;
  closedAtMs: Ms;
  redialsFailed: number;
  /** One end refuses what the other says: they differ in epoch, cluster or protocol version. */
  apart: boolean;
}

export type Links = Map<PeerId, Link>;

export type LinkChange = 'opened' | 'closed' | 'redial-failed';

/** Peers whose links are remembered; the mesh knows at most the members and a few guests. */
const linksMax = 2048;
const waitMsMin = 50;

export function onLinkChange(links: Links, peer: PeerId, change: LinkChange, nowMs: Ms): void {
  const link = links.get(peer);
  if (!link) {
    if (links.size >= linksMax) return;
    const open = change === 'opened';
    links.set(peer, { open, closedAtMs: nowMs, redialsFailed: 0, apart: false });
    return;
  }
  if (change === 'opened') {
    link.open = true;
    link.redialsFailed = 0;
    // Whoever comes back may have come over meanwhile.
    link.apart = false;
  } else if (change === 'closed') {
    if (link.open) link.closedAtMs = nowMs;
    link.open = false;
  } else if (!link.open) {
    link.redialsFailed += 1;
  }
}

/** What the last message over a link says of where its other end belongs. */
export function noteApart(links: Links, peer: PeerId, apart: boolean): void {
  const link = links.get(peer);
  if (link) link.apart = apart;
}

/** When the link will count as gone by time alone; null while it is open or unknown. */
export function goneAtMs(links: Links, peer: PeerId, rttMs: Ms): Ms | null {
  const link = links.get(peer);
  if (!link || link.open) return null;
  if (link.redialsFailed >= redialsMax) return link.closedAtMs;
  return link.closedAtMs + Math.max(waitMsMin, 4 * rttMs);
}

export function isGone(links: Links, peer: PeerId, rttMs: Ms, nowMs: Ms): boolean {
  const at = goneAtMs(links, peer, rttMs);
  return at !== null && nowMs >= at;
}
