/**
 * What each allocated copy of a pin is worth to the planner:
 * - `verified`: it proved possession in this term and its node is alive; a trim may rely on it;
 * - `promised`: counted on, though not proved (queued, fetching, or its node is gone for less than
 *   the grace);
 * - `lost`: not counted; a repair replaces it. It stays in the allocation until others are
 *   verified, so a node that returns finds its copies still wanted.
 */
import type { PeerId } from '../base/brand.ts';
import type { PinRecord } from '../catalog/query-pins.ts';
import type { LostCode, LostCopy } from './action.ts';
import type { CopyView, NodeView, PlanRules } from './observed.ts';

export interface Standing {
  readonly pin: PinRecord;
  readonly copies: readonly {
    readonly peer: PeerId;
    readonly node: NodeView | null;
    readonly report: CopyView | null;
    readonly worth: 'verified' | 'promised' | 'lost';
  }[];
  readonly verified: readonly PeerId[];
  /** Verified and promised ones. */
  readonly counted: readonly PeerId[];
  readonly lost: readonly LostCopy[];
  /** Storing members that report the pin whole without being allocated. */
  readonly strays: readonly PeerId[];
}

function lostCode(
  node: NodeView | null,
  report: CopyView | null,
  rules: PlanRules,
): LostCode | null {
  if (node === null) return 'not-a-member';
  if (node.role === 'leecher' || node.role === 'witness') return 'role';
  if (node.draining) return 'draining';
  if (node.state === 'failed' && (node.goneForMs ?? 0) >= rules.repairGraceMs) return 'gone';
  // Unavailable content is nobody's fault: another node would not find it either.
  if (report?.state === 'failed' && report.stateForMs >= rules.repairGraceMs) return 'copy-failed';
  return null;
}

export function standingOf(
  pin: PinRecord,
  input: {
    readonly nodes: ReadonlyMap<PeerId, NodeView>;
    readonly reports: readonly CopyView[];
    readonly rules: PlanRules;
  },
): Standing {
  const lost: LostCopy[] = [];
  const copies = pin.allocation.peers.map((peer) => {
    const node = input.nodes.get(peer) ?? null;
    const report = input.reports.find((one) => one.peer === peer) ?? null;
    const code = lostCode(node, report, input.rules);
    if (code !== null) lost.push({ peer, code, goneForMs: node?.goneForMs ?? null });
    const proved =
      node?.state === 'alive' && report?.state === 'pinned' && report.verifiedForMs !== null;
    const worth = code !== null ? 'lost' : proved ? 'verified' : 'promised';
    return { peer, node, report, worth } as const;
  });
  const strays = input.reports
    .filter(({ peer, state }) => {
      const role = input.nodes.get(peer)?.role;
      const stores = role === 'master' || role === 'worker';
      return state === 'pinned' && stores && !pin.allocation.peers.includes(peer);
    })
    .map(({ peer }) => peer)
    .sort();
  return {
    pin,
    copies,
    strays,
    lost,
    verified: copies.filter(({ worth }) => worth === 'verified').map(({ peer }) => peer),
    counted: copies.filter(({ worth }) => worth !== 'lost').map(({ peer }) => peer),
  };
}
