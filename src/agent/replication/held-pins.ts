/**
 * What would be missed if a node stopped: the pins it holds, each with the copies that others have
 * proved to this leader. Only what the leader has observed counts; an incomplete report is no
 * answer.
 */
import type { Ms, PeerId, Term } from '../../base/brand.ts';
import type { PinRecord } from '../../catalog/query-pins.ts';
import type { ContentEngine } from '../../content/api.ts';
import type { MeshLink } from '../../mesh/api.ts';
import type { HeldPin } from '../../plan/safety.ts';
import type { Certificate, Role } from '../../wire/member.ts';
import type { Holding } from './api.ts';
import type { Observed } from './observed.ts';
import { nodeViews } from './standing-nodes.ts';

const pageLimit = 500;

/** Roles whose nodes hold copies. */
export const storingRoles: ReadonlySet<Role> = new Set(['master', 'worker']);

export interface HeldPinsDeps {
  readonly observed: Observed;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  readonly term: () => Term | null;
  readonly members: () => readonly Certificate[];
  readonly links: () => readonly MeshLink[];
  readonly nowMs: () => Ms;
  readonly leadsSinceMs: () => Ms;
  readonly isDraining: (peer: PeerId) => boolean;
}

/** Storing members whose reports come and whose link, where there is one, is open. */
function livingOf(deps: HeldPinsDeps): ReadonlySet<PeerId> {
  const cut = new Set(deps.links().flatMap(({ peerId, connected }) => (connected ? [] : [peerId])));
  const { observed, isDraining } = deps;
  const times = { nowMs: deps.nowMs(), leadsSinceMs: deps.leadsSinceMs() };
  const views = nodeViews({
    ...{ members: deps.members(), observed, isDraining, ...times },
    healthOf: () => 'unknown',
  });
  return new Set(
    views.flatMap(({ peer, role, state }) =>
      state === 'alive' && storingRoles.has(role) && !cut.has(peer) ? [peer] : [],
    ),
  );
}

export async function holdingOf(peer: PeerId, deps: HeldPinsDeps): Promise<Holding> {
  const { observed, query } = deps;
  const counted = await query('allocations.count', { peer });
  const { count: allocated } = counted as { count: number };
  // A leecher's copies are its own, a witness has none: nobody relies on them.
  const role = deps.members().find((member) => member.peerId === peer)?.role;
  if (role === undefined || !storingRoles.has(role)) return { held: [], allocated };
  const node = observed.node(peer);
  if (node === null || !node.complete) return { held: null, allocated };
  const cids = [...node.pins].flatMap(([cid, { status }]) =>
    status.state === 'pinned' ? [cid] : [],
  );
  const held: HeldPin[] = [];
  for (let at = 0; at < cids.length; at += pageLimit) {
    const page = cids.slice(at, at + pageLimit);
    const answer = (await query('pins.getMany', { cids: page })) as { pins: (PinRecord | null)[] };
    for (const pin of answer.pins)
      if (pin !== null) held.push({ cid: pin.cid, min: pin.min, provedElsewhere: 0 });
  }
  // Counted at the end, in one go: whoever stopped meanwhile is no longer among the living.
  const term = deps.term();
  const living = livingOf(deps);
  const proves = (one: ReturnType<Observed['copiesOf']>[number]): boolean =>
    one.peer !== peer &&
    living.has(one.peer) &&
    one.copy.status.state === 'pinned' &&
    term !== null &&
    one.copy.verifiedTerm === term;
  return {
    allocated,
    held: held.map((pin) => ({
      ...pin,
      provedElsewhere: observed.copiesOf(pin.cid).filter(proves).length,
    })),
  };
}

export function engineRuns(engine: Pick<ContentEngine, 'provider'>): boolean {
  try {
    return engine.provider() !== null;
  } catch {
    return false; // that is how it says so
  }
}
