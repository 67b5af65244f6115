/**
 * Where the facts of the step machine go: counters, the event log, and two entries that the
 * cluster keeps (the winner's ballot, at most one a term, and take-overs). A peer that is refused
 * again and again fills neither log nor disk: one event per peer and code every ten seconds.
 */
import type { PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { Fact } from '../consensus/api.ts';
import type { Command } from '../wire/command.ts';
import type { Directory } from './directory.ts';
import type { EventLog } from './event-log.ts';
import type { AgentMetrics } from './metrics.ts';
import { machineMonoMs } from './system-clock.ts';

const refusalEventMs = 10_000;
const refusalsKeptMax = 1024;

export interface FactSinkDeps {
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly events: EventLog;
  /** Proposes without anybody waiting; a failure is told by event. */
  readonly propose: (command: Command) => void;
}

export function createFactSink(deps: FactSinkDeps): (fact: Fact, directory: Directory) => void {
  const { clock, metrics, events } = deps;
  const refusals = new Map<string, number>();

  function refused(fact: Extract<Fact, { type: 'refused-message' }>, directory: Directory): void {
    const key = `${fact.from} ${fact.code}`;
    const nowMs = clock.now().monoMs;
    if (nowMs - (refusals.get(key) ?? Number.NEGATIVE_INFINITY) < refusalEventMs) return;
    if (refusals.size >= refusalsKeptMax) refusals.clear();
    refusals.set(key, nowMs);
    const { from, code, detail } = fact;
    events.append('message-refused', { node: directory.nameOf(from), peerId: from, code, detail });
  }

  return (fact, directory) => {
    const nameOf = (peer: PeerId): string => directory.nameOf(peer);
    switch (fact.type) {
      case 'state-changed': {
        metrics.count('elections');
        const leader = fact.leader === null ? null : nameOf(fact.leader);
        const { state, term, reason } = fact;
        events.append('state-changed', { state, term, leader, reason });
        return;
      }
      case 'acting-changed': {
        const { acting, term, reason } = fact;
        // Processes of one machine share this clock, so their intervals can be compared.
        const machineMs = machineMonoMs() - clock.now().monoMs + fact.atMs;
        events.append('acting-changed', { acting, term, reason, machineMs });
        return;
      }
      case 'configuration-changed': {
        const { members, voters, outgoing } = fact.configuration;
        events.append('configuration-changed', {
          index: fact.index,
          members: members.map((member) => member.name),
          voters: voters.map(nameOf),
          outgoing: outgoing?.map(nameOf) ?? null,
        });
        return;
      }
      case 'refused-message':
        refused(fact, directory);
        return;
      case 'corruption':
        events.append('corruption', { detail: fact.detail });
        return;
      case 'takeover':
        events.append('takeover', { ...fact, from: nameOf(fact.from), to: nameOf(fact.to) });
        return;
      case 'resigned': {
        const { term, reason, to } = fact;
        events.append('resigned', { term, reason, to: to === null ? null : nameOf(to) });
        return;
      }
      case 'degraded':
        events.append('leader-degraded', { term: fact.term, reason: fact.reason });
        return;
      case 'not-a-member':
        refused({ ...fact, type: 'refused-message', code: fact.type, detail: 'pull' }, directory);
        return;
      case 'ballot': {
        const { ballot } = fact;
        events.append('ballot', { ...ballot });
        if (ballot.won && ballot.kind === 'vote' && ballot.candidate === directory.self)
          deps.propose({ type: 'ballot.put', ballot: { ...ballot } });
        return;
      }
    }
  };
}
