/**
 * One round of the leader's replication plan: desired (pins, page by page) against observed. Level,
 * not edge: a round recomputes everything, so a lost action or a new leader costs a round and never
 * a pin. Allocations change in two steps: first copies are added, and only when enough are verified
 * others are trimmed; cut after any step, no copy is lost and the next round goes on.
 * Repairs wait until the last page, to take those with the fewest copies first.
 */
import type { CidText, Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { PinRecord } from '../catalog/query-pins.ts';
import type { Action, Shortfall } from './action.ts';
import {
  bytesUnknown,
  type CopiesOf,
  type NodeView,
  type PlanRules,
  planRules,
} from './observed.ts';
import { hasCandidate, type PlacementRequest, placeCopies } from './placement.ts';
import { createSample } from './sample.ts';
import { type Standing, standingOf } from './standing.ts';
import { planRelease, planTrim } from './trim.ts';

export interface PlanInput {
  readonly nodes: readonly NodeView[];
  readonly copiesOf: CopiesOf;
  /** Wall time, ms, for expiry only. */
  readonly wallMs: Ms;
  /** Bytes that repairs may start to copy now; a repair is begun while any is left. */
  readonly repairBytes: number;
  /** Picks among hints when there are more than fit into a round. */
  readonly prng: Prng;
  readonly rules?: PlanRules;
}

/** What the planner counted on its way, over all pages. */
export interface PlanTotals {
  pins: number;
  /** Pins with at least `min` verified copies. */
  placed: number;
  belowMin: number;
  unallocated: number;
  verifiedCopies: number;
}

export interface Plan {
  readonly actions: readonly Action[];
  readonly shortfalls: readonly Shortfall[];
  /** Bytes that the planned repairs will copy; goes off the budget. */
  readonly repairBytes: number;
  /** Repairs left for a later round: no budget, or more than `actionsMax`. */
  readonly repairsDeferred: number;
  readonly totals: Readonly<PlanTotals>;
}

export interface PlanRound {
  page(pins: readonly PinRecord[]): void;
  finish(): Plan;
}

export const planReplication = (
  input: PlanInput & { readonly pins: readonly PinRecord[] },
): Plan => {
  const round = createPlanRound(input);
  round.page(input.pins);
  return round.finish();
};

type Hint = Extract<Action, { type: 'hurry' | 'challenge' }>;

interface Wish {
  readonly standing: Standing;
  readonly code: 'below-min' | 'below-max';
  readonly count: number;
  readonly bytes: number;
}

export function createPlanRound(input: PlanInput): PlanRound {
  const rules = input.rules ?? planRules;
  const nodes = new Map(input.nodes.map((node) => [node.peer, node]));
  const bytesPlanned = new Map<PeerId, number>();
  const actions: Action[] = [];
  const shortfalls: Shortfall[] = [];
  const made = new Map<Action['type'], number>();
  const wishes: Wish[] = [];
  const hints = {
    hurry: createSample<Hint>(rules.actionsMax, input.prng),
    challenge: createSample<Hint>(rules.actionsMax, input.prng),
  };
  const totals: PlanTotals = {
    pins: 0,
    placed: 0,
    belowMin: 0,
    unallocated: 0,
    verifiedCopies: 0,
  };
  let repairsDeferred = 0;

  const act = (action: Action): boolean => {
    const count = made.get(action.type) ?? 0;
    if (count >= rules.actionsMax) return false;
    made.set(action.type, count + 1);
    actions.push(action);
    return true;
  };

  const request = (standing: Standing, count: number, bytes: number): PlacementRequest => ({
    cid: standing.pin.cid,
    bytes,
    count,
    nodes: input.nodes,
    holders: new Set(standing.pin.allocation.peers),
    failing: new Set(
      standing.copies.filter(({ report }) => report?.state === 'failed').map(({ peer }) => peer),
    ),
    strays: new Set(standing.strays),
    zones: standing.counted.map((peer) => nodes.get(peer)?.zone ?? ''),
    bytesPlanned,
  });

  const place = (standing: Standing, count: number, bytes: number): readonly PeerId[] => {
    const { chosen, excluded } = placeCopies(request(standing, count, bytes));
    if (chosen.length < count && shortfalls.length < rules.actionsMax)
      shortfalls.push({ cid: standing.pin.cid, wanted: count, found: chosen.length, excluded });
    for (const peer of chosen) {
      if (standing.strays.includes(peer)) continue;
      bytesPlanned.set(peer, (bytesPlanned.get(peer) ?? 0) + bytes);
    }
    return chosen;
  };

  const consider = (pin: PinRecord): void => {
    const standing = standingOf(pin, { nodes, reports: input.copiesOf(pin.cid), rules });
    countPin(totals, standing);
    if (pin.expiresAtMs !== null && pin.expiresAtMs <= input.wallMs) {
      act({
        type: 'expire',
        cid: pin.cid,
        expectedVersion: pin.version,
        reason: { code: 'expired', expiredAtMs: pin.expiresAtMs },
      });
      return;
    }
    const bytes = pin.bytes ?? bytesUnknown;
    for (const hint of hintsOf(standing, rules)) hints[hint.type].offer(hint);
    if (pin.allocation.peers.length === 0) {
      const peers = place(standing, pin.max, bytes);
      if (peers.length > 0) act(allocation(pin, peers));
      return;
    }
    const wish = wishOf(standing, bytes);
    if (wish !== null && hasCandidate(request(standing, wish.count, wish.bytes))) {
      wishes.push(wish);
      if (wishes.length > rules.actionsMax * 4) repairsDeferred += dropLeastUrgent(wishes, rules);
      return;
    }
    if (wish !== null) place(standing, wish.count, bytes); // names why nobody can take it
    const drop = planTrim(standing) ?? planRelease(standing);
    if (drop !== null) act(drop);
  };

  return {
    page: (pins) => {
      for (const pin of pins) consider(pin);
    },
    finish: () => {
      let spent = 0;
      wishes.sort(byUrgency);
      for (const wish of wishes) {
        if (spent >= input.repairBytes || (made.get('reallocate') ?? 0) >= rules.actionsMax) {
          repairsDeferred++;
          continue;
        }
        const added = place(wish.standing, wish.count, wish.bytes);
        if (added.length === 0) continue;
        const action = reallocation(wish, added);
        spent += action.bytes;
        act(action);
      }
      actions.push(...hints.hurry.items(), ...hints.challenge.items());
      return { actions, shortfalls, repairBytes: spent, repairsDeferred, totals };
    },
  };
}

/** Lost copies whose place goes to somebody else at once. */
const placesGiven = { 'not-a-member': true, role: true, draining: true };

/** Copies to add: up to `min` if fewer are counted on; up to `max` if fewer were ever allocated. */
function wishOf(standing: Standing, bytes: number): Wish | null {
  const { pin, counted, lost } = standing;
  if (counted.length < pin.min)
    return { standing, code: 'below-min', count: pin.min - counted.length, bytes };
  // A member that is merely gone keeps its place, so that an outage alone moves nothing here.
  const strangers = lost.filter(({ code }) => code in placesGiven).length;
  const places = pin.allocation.peers.length - strangers;
  if (places >= pin.max) return null;
  return { standing, code: 'below-max', count: pin.max - places, bytes };
}

/** Fewest copies first, repairs before top-ups, then the small before the large. */
function byUrgency(a: Wish, b: Wish): number {
  if (a.code !== b.code) return a.code === 'below-min' ? -1 : 1;
  return (
    a.standing.verified.length - b.standing.verified.length ||
    a.standing.counted.length - b.standing.counted.length ||
    a.bytes - b.bytes ||
    (a.standing.pin.cid < b.standing.pin.cid ? -1 : 1)
  );
}

/** Keeps memory bounded over a million pins: the least urgent wishes wait for another round. */
function dropLeastUrgent(wishes: Wish[], rules: PlanRules): number {
  wishes.sort(byUrgency);
  return wishes.splice(rules.actionsMax).length;
}

function allocation(pin: PinRecord, peers: readonly PeerId[]): Action {
  return {
    type: 'allocate',
    cid: pin.cid,
    peers,
    expectedVersion: pin.allocation.version,
    reason: { code: 'new-pin', wanted: pin.max },
  };
}

function reallocation(
  wish: Wish,
  added: readonly PeerId[],
): Extract<Action, { type: 'reallocate' }> {
  const { pin, counted, lost, strays } = wish.standing;
  return {
    type: 'reallocate',
    cid: pin.cid,
    peers: [...pin.allocation.peers, ...added],
    added,
    bytes: added.filter((peer) => !strays.includes(peer)).length * wish.bytes,
    expectedVersion: pin.allocation.version,
    reason: { code: wish.code, standing: counted.length, wanted: wish.count, lost },
  };
}

/** What nodes should be told or asked about this pin. */
function hintsOf(standing: Standing, rules: PlanRules): Hint[] {
  const { cid } = standing.pin;
  const hints: Hint[] = [];
  for (const { peer, node, report } of standing.copies) {
    if (node?.state !== 'alive') continue;
    if (report === null) hints.push(hurry(peer, cid, 'not-reported'));
    else if (report.state === 'failed') hints.push(hurry(peer, cid, 'copy-failed'));
    else if (report.state !== 'pinned') continue;
    else if (report.verifiedForMs === null) hints.push(challenge(peer, cid, 'unverified'));
    else if (report.verifiedForMs >= rules.challengeAgeMs)
      hints.push(challenge(peer, cid, 'due-again'));
  }
  return hints;
}

const hurry = (peer: PeerId, cid: CidText, code: 'not-reported' | 'copy-failed'): Hint => ({
  type: 'hurry',
  peer,
  cid,
  reason: { code },
});

const challenge = (peer: PeerId, cid: CidText, code: 'unverified' | 'due-again'): Hint => ({
  type: 'challenge',
  peer,
  cid,
  reason: { code },
});

function countPin(totals: PlanTotals, standing: Standing): void {
  const { pin, verified, counted } = standing;
  totals.pins++;
  totals.verifiedCopies += verified.length;
  if (verified.length >= pin.min) totals.placed++;
  if (counted.length < pin.min) totals.belowMin++;
  if (pin.allocation.peers.length === 0) totals.unallocated++;
}
