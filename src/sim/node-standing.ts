/**
 * What a simulated node knows of drains and of a pause, from its own applied catalog and a moment
 * late, as the agent does; and what it tells its step machine: that, together with whatever facts
 * a fault has put upon it.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { isOver } from '../catalog/apply-operations.ts';
import type { LocalFacts } from '../consensus/api.ts';
import { goodFacts } from '../consensus/core.ts';
import type { Entry } from '../wire/entry.ts';
import type { EventQueue } from './event-queue.ts';
import type { NodeCatalog } from './node-catalog.ts';

export interface Standing {
  readonly draining: boolean;
  readonly paused: boolean;
  /** When it was last told to drain; a hand-over may still be under way a little later. */
  readonly drainedMs: Ms;
}

export interface NodeStanding {
  view(): Standing;
  /** These facts, and what the catalog adds to them. */
  merged(facts: LocalFacts): LocalFacts;
  onStart(): void;
  /** Entries were applied; null: a whole snapshot. */
  onApplied(entries: readonly Entry[] | null): void;
}

export interface NodeStandingDeps {
  readonly id: PeerId;
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly catalog: NodeCatalog;
  readonly wallMs: () => Ms;
  readonly tell: (facts: LocalFacts) => void;
}

const lookMsMax: Ms = 60;
/** An expiry is noticed by looking again. */
const expiryLookMs: Ms = 1000;
const nothing: Standing = {
  draining: false,
  paused: false,
  drainedMs: Number.NEGATIVE_INFINITY,
};

function bearsOn(entry: Entry): boolean {
  if (entry.kind !== 'command') return entry.kind === 'config';
  const { buffer, byteOffset, byteLength } = entry.data;
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  return bytes.includes('drain.') || bytes.includes('pause.');
}

export function createNodeStanding(deps: NodeStandingDeps): NodeStanding {
  const { id, queue, prng, catalog } = deps;
  let own = goodFacts;
  let view = nothing;
  let life = 0;
  let looking = false;

  const merged = (): LocalFacts => ({
    ...own,
    draining: own.draining || view.draining,
    paused: own.paused || view.paused,
  });

  function lookIn(ms: Ms): void {
    if (looking) return;
    looking = true;
    const ofLife = life;
    queue.in(ms, () => {
      if (ofLife !== life) return;
      looking = false;
      look();
    });
  }

  function look(): void {
    const { drains, pause } = catalog.operations();
    const draining = drains.some(({ peer }) => peer === id);
    const paused = pause !== null && !isOver(pause.expiresAtMs, deps.wallMs());
    const changed = draining !== view.draining || paused !== view.paused;
    const drainedMs = draining || view.draining ? queue.nowMs() : view.drainedMs;
    view = { draining, paused, drainedMs };
    if (changed) deps.tell(merged());
    if (pause?.expiresAtMs != null && paused) lookIn(expiryLookMs);
  }

  return {
    view: () => view,
    merged: (facts) => {
      own = facts;
      return merged();
    },
    onStart: () => {
      life += 1;
      looking = false;
      own = goodFacts;
      view = nothing;
      lookIn(prng.range(1, lookMsMax));
    },
    onApplied: (entries) => {
      if (entries === null || entries.some(bearsOn)) lookIn(prng.range(5, lookMsMax));
    },
  };
}
