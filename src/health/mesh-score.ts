/**
 * How well this node hangs in the mesh: whom it has discovered of those it should know, how many of
 * the links that it wants stand, how long answers take, whether gossip arrives, and links that work
 * in one direction only.
 */
import type { Ms } from '../base/brand.ts';
import { type Component, componentOf, type Finding } from './score.ts';

const roundTripMsMax: Ms = 500;
/** Everybody says a record at least every ten seconds; this many times that is silence. */
const gossipSilentMs: Ms = 60_000;
const connectedShareMin = 0.5;

export interface MeshFacts {
  /** Members besides this node. */
  readonly members: number;
  /** Members whose address is known. */
  readonly discovered: number;
  /** Members alive by the failure detector that this node wants a link to. */
  readonly wanted: number;
  /** Of these: linked. */
  readonly connected: number;
  /** Links of any kind. */
  readonly links: number;
  readonly roundTripsMs: readonly Ms[];
  /** Since gossip of anybody else arrived; null: never since the start. */
  readonly gossipAgeMs: Ms | null;
  readonly upForMs: Ms;
  /** Members whose link answers nothing, or that do not hear our gossip. */
  readonly oneSided: readonly string[];
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

export function meshComponent(facts: MeshFacts): Component {
  const findings: Finding[] = [];
  const { members, discovered, wanted, connected, links } = facts;
  if (members > 0 && links === 0)
    findings.push({ code: 'no-peers', detail: `none of ${members} members is linked` });
  else if (wanted > 0 && connected < wanted * connectedShareMin)
    findings.push({
      code: 'low-connectivity',
      detail: `${connected} of ${wanted} living members that should be linked are`,
    });
  if (discovered < members)
    findings.push({
      code: 'undiscovered-members',
      detail: `of ${members - discovered} members no address is known`,
    });
  const roundTripMs = median(facts.roundTripsMs);
  if (roundTripMs !== null && roundTripMs > roundTripMsMax)
    findings.push({
      code: 'slow-round-trips',
      detail: `the median round trip takes ${Math.round(roundTripMs)} ms`,
    });
  const silentMs = facts.gossipAgeMs ?? facts.upForMs;
  if (links > 0 && silentMs > gossipSilentMs)
    findings.push({
      code: 'gossip-undelivered',
      detail: `no gossip of another node for ${Math.round(silentMs / 1000)} s`,
    });
  if (facts.oneSided.length > 0)
    findings.push({
      code: 'one-sided-link',
      detail: `links that work one way: ${facts.oneSided.slice(0, 5).join(', ')}`,
    });
  return componentOf('mesh', findings, { weight: 2, critical: false });
}
