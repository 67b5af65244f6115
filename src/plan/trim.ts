/**
 * Which copies go when there are more than `max`. Only with at least `min` verified copies that
 * stay, and never the last verified one; what is worth least goes first. The catalog checks the
 * same once more when the entry is applied.
 */
import type { PeerId } from '../base/brand.ts';
import type { Action } from './action.ts';
import { scoreOf } from './placement.ts';
import type { Standing } from './standing.ts';

/**
 * Copies outside the allocation (the node that added the content, or one that was trimmed while it
 * was away) may go once enough others are verified; asked once, until the allocation changes.
 */
export function planRelease(standing: Standing): Extract<Action, { type: 'release' }> | null {
  const { pin, strays, verified } = standing;
  const needed = Math.max(1, pin.min);
  if (strays.length === 0 || verified.length < needed) return null;
  if (pin.allocation.reliesOn.length >= needed) return null;
  return {
    type: 'release',
    cid: pin.cid,
    peers: pin.allocation.peers,
    strays,
    reliesOn: verified,
    expectedVersion: pin.allocation.version,
    reason: { code: 'held-outside-allocation' },
  };
}

type Copy = Standing['copies'][number];

/** Lower goes first: strangers, the gone, the draining or failing, the unproved, the proved. */
function keepRank(copy: Copy): number {
  if (copy.node === null) return 0;
  if (copy.worth === 'lost') return copy.node.state === 'failed' ? 1 : 2;
  return copy.worth === 'promised' ? 3 : 4;
}

/** Extra copies in one zone go before a zone's only copy. */
function zoneSize(copy: Copy, copies: readonly Copy[]): number {
  return copies.filter(({ node }) => node !== null && node.zone === copy.node?.zone).length;
}

export function planTrim(standing: Standing): Extract<Action, { type: 'trim' }> | null {
  const { pin, copies } = standing;
  const excess = copies.length - pin.max;
  if (excess <= 0) return null;
  const needed = Math.max(1, pin.min);
  const score = (copy: Copy): number => (copy.node === null ? 0 : scoreOf(pin.cid, copy.node));
  const kept = [...copies];
  const remove: PeerId[] = [];
  while (remove.length < excess) {
    const [worst] = [...kept].sort(
      (a, b) =>
        keepRank(a) - keepRank(b) ||
        zoneSize(b, kept) - zoneSize(a, kept) ||
        score(a) - score(b) ||
        (a.peer < b.peer ? -1 : 1),
    );
    if (worst === undefined) break;
    const verifiedLeft = kept.filter((copy) => copy !== worst && copy.worth === 'verified');
    if (verifiedLeft.length < needed) break;
    remove.push(worst.peer);
    kept.splice(kept.indexOf(worst), 1);
  }
  if (remove.length === 0) return null;
  return {
    type: 'trim',
    cid: pin.cid,
    peers: kept.map(({ peer }) => peer),
    remove,
    reliesOn: kept.filter(({ worth }) => worth === 'verified').map(({ peer }) => peer),
    expectedVersion: pin.allocation.version,
    reason: { code: 'above-max', max: pin.max },
  };
}
