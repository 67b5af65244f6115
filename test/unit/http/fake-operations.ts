/** Operations in memory for the fake agent: what was asked is kept, and tests set the answers. */
import type { LeaderAnswer } from '../../../src/agent/api.ts';
import type {
  DrainState,
  NetworkKeysState,
  Operations,
  PauseState,
  SafeToStop,
} from '../../../src/agent/operations/api.ts';
import { AgentError } from '../../../src/base/error.ts';

export interface FakeOperations extends Operations {
  readonly asked: unknown[];
  /** Why a switchover does not happen. */
  refuse: string | null;
  safety: SafeToStop;
  /** How often `drainState` answers that it is not drained yet. */
  drainsFor: number;
}

export function createFakeOperations(leader: () => LeaderAnswer): FakeOperations {
  const drained = new Set<string>();
  let pause: PauseState | null = null;
  const asked: unknown[] = [];
  const nothing = { owner: null, reason: null, since: null, pinsAtRisk: 0, allocated: 0 };
  const candidates = [
    {
      ...{ name: 'master-2', peerId: 'peer-2', role: 'master' as const, rank: 3000 },
      ...{ electable: false, reason: 'draining', detail: 'it says of itself: draining' },
    },
  ];
  const keys = { sending: 'aaaaaaaa', next: null as string | null };
  const keysState = (): NetworkKeysState => ({
    ...keys,
    keys: [{ fingerprint: keys.sending, state: 'sending', since: null, by: null }],
    members: [
      {
        ...{ name: 'master-1', peerId: 'peer-1', state: 'alive', follows: true, detail: null },
        ...{ accepts: [keys.sending], sends: keys.sending, file: null },
      },
    ],
  });
  const fake: FakeOperations = {
    asked,
    networkKeys: {
      show: async () => keysState(),
      rotate: async (owner) => {
        asked.push({ rotate: owner });
        keys.next = 'bbbbbbbb';
        return keysState();
      },
      switchOver: async (how) => {
        if (keys.next === null) throw new AgentError('conflict', 'there is no key to switch to');
        asked.push({ switchOver: how });
        Object.assign(keys, { sending: keys.next, next: null });
        return keysState();
      },
      retire: async (how) => {
        asked.push({ retire: how });
        return keysState();
      },
    },
    refuse: null,
    safety: { safe: true, reasons: [] },
    drainsFor: 0,
    switchover: async ({ to, dryRun }) => {
      asked.push({ switchover: to, dryRun });
      const moved = fake.refuse === null && !dryRun;
      const name = to ?? 'master-2';
      return {
        ...leader(),
        ...{ moved, from: 'master-1', to: fake.refuse === null ? name : null, candidates },
        refused: fake.refuse,
      };
    },
    drainState: async (name): Promise<DrainState> => {
      const draining = drained.has(name ?? 'master-1');
      const ready = draining && fake.drainsFor-- <= 0;
      return {
        ...{ ...nothing, name: name ?? 'master-1', peerId: 'peer-1', draining },
        ...{ drained: ready, leads: false },
      };
    },
    drain: async (name, by) => {
      asked.push({ drain: name, ...by });
      drained.add(name ?? 'master-1');
      return fake.drainState(name);
    },
    undrain: async (name) => {
      if (!drained.delete(name ?? 'master-1')) throw new AgentError('not-found', 'not draining');
      return fake.drainState(name);
    },
    forget: async (name, how) => {
      if (name === 'alive' && !how.force) throw new AgentError('conflict', 'alive is alive');
      asked.push({ forget: name, ...how });
    },
    leave: async (how) => {
      asked.push({ leave: true, ...how });
    },
    pause: async ({ owner, reason }, forMs) => {
      asked.push({ pause: reason, forMs });
      pause = { by: owner, reason, since: '2026-01-01T00:00:00.000Z', until: null };
      return pause;
    },
    resume: async () => {
      if (pause === null) throw new AgentError('not-found', 'nothing is paused');
      pause = null;
    },
    paused: async () => pause,
    safeToStop: async (reserveMs) => {
      if (reserveMs !== null) asked.push({ reserveMs });
      return fake.safety;
    },
    stay: async () => {
      asked.push({ stay: true });
    },
    whyLeader: async () => ({ leader: 'peer-1', term: 3, election: null }),
    whyNot: async () => ({ peer: 'peer-2', term: 3, winner: 'peer-1', code: 'rank' }),
    whyElection: async (term) => {
      throw new AgentError('not-found', `no ballot of term ${term} is in the catalog`);
    },
  };
  return fake;
}
