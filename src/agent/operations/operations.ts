/**
 * Maintenance of a running cluster, as the status port and the commands ask for it. What changes
 * state is a log entry; what asks for the present asks the leader now. This file only puts together
 * what the others in this folder know.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Pause } from '../../catalog/query-operations.ts';
import type { Command } from '../../wire/command.ts';
import type { AgentEvent, LeaderAnswer } from '../api.ts';
import type { Config } from '../config.ts';
import type { Node } from '../node.ts';
import type { Replication } from '../replication/api.ts';
import type { By, DrainState, Operations, PauseState } from './api.ts';
import { createElectionAccounts } from './election-accounts.ts';
import { createSafety, reasonsAgainst } from './safety.ts';
import type { StandingView } from './standing.ts';
import { createSwitchover } from './switchover.ts';

const proposeTimeoutMs: Ms = 10_000;
const reconfigureTimeoutMs: Ms = 15_000;

export interface OperationsDeps {
  readonly node: Node;
  readonly config: Config;
  readonly clock: Clock;
  readonly standing: StandingView;
  readonly replication: () => Replication;
  readonly leader: () => LeaderAnswer;
  /** As far as this node knows: it has neither failed nor stopped. */
  readonly isAlive: (peer: PeerId) => boolean;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  /** The newest events of this node, oldest first. */
  readonly events: () => readonly AgentEvent[];
  /** Adds that have not been committed yet. */
  readonly adding: () => number;
  /** This node is no member any more: note it in the folder and end the process. */
  readonly onLeft: () => Promise<void>;
  readonly onFailure: (text: string, error: unknown) => void;
}

const iso = (ms: Ms): string => new Date(ms).toISOString();

const pauseState = ({ owner, reason, sinceMs, expiresAtMs }: Pause): PauseState => ({
  by: owner,
  reason,
  since: iso(sinceMs),
  until: expiresAtMs === null ? null : iso(expiresAtMs),
});

export function createOperations(
  deps: OperationsDeps,
): Omit<Operations, 'networkKeys'> & { handBack(): void } {
  const { node, clock, standing } = deps;
  const { directory, leadership, runtime, self } = node;
  const switchover = createSwitchover(node);
  const accounts = createElectionAccounts({ node, events: deps.events });
  let keepsTurn = false;
  let handingBack = false;
  const safety = createSafety({
    node,
    turn: async () => (await standing.read()).stopping,
    propose: (command, timeoutMs) =>
      runtime.proposer.propose(command, { idempotency: null, timeoutMs }),
    leaseMs: deps.config.timing.leaseMs,
    nowMs: () => clock.now().monoMs,
    holding: (peer) => deps.replication().holding(peer),
  });

  async function commit(command: Command): Promise<void> {
    const options = { idempotency: null, timeoutMs: proposeTimeoutMs };
    const result = await runtime.proposer.propose(command, options);
    if (!result.ok) throw new AgentError(result.code, result.detail);
    deps.event(command.type, { ...command });
    // This node's own copy is what is read next: it has to be as new as the answer.
    await runtime.read(proposeTimeoutMs);
    standing.poke();
  }

  function memberNamed(name: string | null): { name: string; peer: PeerId } {
    if (name === null) return { name: node.certificate().name, peer: self };
    const member = directory.byName(name);
    if (member !== null) return { name, peer: member.peerId };
    const { departed = [] } = directory.configuration();
    const gone = departed.findLast((one) => one.name === name);
    const how = gone?.how === 'left' ? 'has left' : 'was forgotten';
    const text = gone ? `${name} ${how} and is no member` : `no member is called ${name}`;
    throw new AgentError('not-found', text);
  }

  async function drainState(name: string | null): Promise<DrainState> {
    const { name: known, peer } = memberNamed(name);
    const { drains } = await standing.read();
    const drain = drains.find((one) => one.peer === peer) ?? null;
    const { acting, leads, reasons, pinsAtRisk, allocated } = await safety.ask(peer);
    const blocking = reasons.some(({ code }) => code === 'pins' || code === 'not-reported');
    return {
      ...{ name: known, peerId: peer, draining: drain !== null, leads, pinsAtRisk, allocated },
      drained: drain !== null && acting && !leads && !blocking,
      owner: drain?.owner ?? null,
      reason: drain?.reason ?? null,
      since: drain === null ? null : iso(drain.sinceMs),
    };
  }

  /** The configuration without `peer`, in the log. */
  async function remove(peer: PeerId, how: 'left' | 'forgotten', by: string): Promise<void> {
    const change = { type: 'forget' as const, peerId: peer, how, by, atMs: clock.wallMs() };
    await runtime.reconfigure(change, reconfigureTimeoutMs);
    deps.event('member-removed', { node: directory.nameOf(peer), peerId: peer, how, by });
  }

  async function giveUpLead(): Promise<void> {
    if (leadership.view().leader !== self) return;
    const { moved, refused } = await switchover.run({ to: null, dryRun: false });
    if (!moved) throw new AgentError('conflict', `this node leads and stays: ${refused}`);
  }

  async function pausedNow(): Promise<PauseState | null> {
    await standing.read();
    const pause = standing.pause();
    return pause === null ? null : pauseState(pause);
  }

  async function safeToStop(reserveMs: Ms | null) {
    const adding = deps.adding();
    const own = adding > 0 ? [{ code: 'adding', detail: `${adding} adds are under way here` }] : [];
    const takes = reserveMs !== null && own.length === 0;
    // Before it is asked for: the turn may be in the catalog before the answer is here.
    if (takes) keepsTurn = true;
    const found = await reasonsAgainst(safety, self, takes ? reserveMs : undefined);
    const reasons = [...own, ...found];
    if (reasons.length > 0) keepsTurn = false;
    return { safe: reasons.length === 0, reasons };
  }

  async function stay(): Promise<void> {
    keepsTurn = false;
    await commit({ type: 'stop.release', peer: self });
  }

  /** A turn that an earlier run took is over: this node is back. */
  function handBack(): void {
    if (keepsTurn || handingBack) return;
    handingBack = true;
    stay()
      .catch((error: unknown) => {
        if (asAgentError(error).code !== 'not-found') deps.onFailure('the turn to stop', error);
      })
      .finally(() => {
        handingBack = false;
      });
  }

  return {
    ...accounts,
    stay,
    handBack,
    safeToStop,
    drainState,
    paused: pausedNow,
    switchover: async (how) => ({ ...(await switchover.run(how)), ...deps.leader() }),
    drain: async (name, { owner, reason }: By) => {
      const { peer } = memberNamed(name);
      await commit({ type: 'drain.set', peer, owner, reason });
      return drainState(name);
    },
    undrain: async (name) => {
      await commit({ type: 'drain.clear', peer: memberNamed(name).peer });
      return drainState(name);
    },
    forget: async (name, { owner, force }) => {
      const { peer } = memberNamed(name);
      if (peer === self)
        throw new AgentError('conflict', `${name} is this node: use leave, it is alive`);
      if (!force && deps.isAlive(peer))
        throw new AgentError(
          'conflict',
          `${name} is alive: let it leave by itself, or repeat this with force`,
        );
      await remove(peer, 'forgotten', owner);
    },
    leave: async ({ owner, force }) => {
      const blocking = (await safeToStop(null)).reasons.filter(({ code }) => code !== 'quorum');
      if (!force && blocking.length > 0)
        throw new AgentError(
          'conflict',
          `this node would be missed (${blocking.map(({ detail }) => detail).join('; ')}): ` +
            'drain it first, or repeat this with force',
        );
      await giveUpLead();
      await remove(self, 'left', owner);
      await deps.onLeft();
    },
    pause: async ({ owner, reason }, forMs) => {
      const expiresAtMs = forMs === null ? null : clock.wallMs() + forMs;
      await commit({ type: 'pause.set', owner, reason, expiresAtMs });
      const paused = await pausedNow();
      return paused ?? pauseState({ owner, reason, sinceMs: clock.wallMs(), expiresAtMs });
    },
    resume: () => commit({ type: 'pause.clear' }),
  };
}
