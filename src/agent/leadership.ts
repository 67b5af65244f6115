/**
 * What the last facts of the step machine say about who leads, kept so that nobody has to ask the
 * machine for a whole status: state, term, leader, since when, and when a leader was last heard.
 */
import type { Ms, PeerId, Term } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { Fact, NodeState } from '../consensus/api.ts';

/** So long what can wait leaves a starting machine to the election. */
const electionFirstMs: Ms = 2000;

export interface LeaderView {
  readonly state: NodeState;
  readonly term: Term;
  readonly leader: PeerId | null;
  /** RFC 3339: since when this leader is known here. */
  readonly since: string | null;
  readonly reason: string | null;
}

export interface Leadership {
  view(): LeaderView;
  fact(fact: Fact): void;
  /** A replica said that this node is no member, and no leader was heard since. */
  denied(): boolean;
  /** A frame came from this peer. */
  heard(from: PeerId): void;
  /** Age of the newest word from a leader; 0 where this node leads; null: never heard. */
  staleMs(): Ms | null;
  onChange(listener: (view: LeaderView) => void): void;
}

export function createLeadership(self: PeerId, clock: Clock): Leadership {
  let view: LeaderView = { state: 'learner', term: 0, leader: null, since: null, reason: null };
  let heardMs: Ms | null = null;
  let denied = false;
  const listeners: ((view: LeaderView) => void)[] = [];
  return {
    view: () => view,
    denied: () => denied,
    fact: (fact) => {
      if (fact.type === 'not-a-member') denied = view.leader === null;
      if (fact.type !== 'state-changed') return;
      const { state, term, leader, reason } = fact;
      if (leader !== null) denied = false;
      const same = leader !== null && leader === view.leader && term === view.term;
      if (view.leader === self && leader !== self) heardMs = clock.now().monoMs;
      const since = same ? view.since : new Date(clock.wallMs()).toISOString();
      view = { state, term, leader, since: leader === null ? null : since, reason };
      if (!same && leader !== null && leader !== self) heardMs = clock.now().monoMs;
      for (const listener of listeners) listener(view);
    },
    heard: (from) => {
      if (from === view.leader) heardMs = clock.now().monoMs;
    },
    staleMs: () => {
      if (view.leader === self) return 0;
      return heardMs === null ? null : Math.max(0, clock.now().monoMs - heardMs);
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
  };
}

/** Resolves once a leader is known here, or after two seconds. */
export function leaderKnown(leadership: Leadership): Promise<void> {
  if (leadership.view().leader !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, electionFirstMs);
    leadership.onChange(({ leader }) => {
      if (leader === null) return;
      clearTimeout(timer);
      resolve();
    });
  });
}
