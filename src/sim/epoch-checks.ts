/**
 * The checks of one epoch. Two epochs share nothing but what the later one began with: each has a
 * history of its own, leaders of its own and clients of its own, so whatever passes from one to the
 * other contradicts one of them.
 */
import type { EpochId } from '../base/brand.ts';
import { type ClientChecks, createClientChecks } from './client-checks.ts';
import { type ConfigurationChecks, createConfigurationChecks } from './configuration-checks.ts';
import { createDurabilityChecks, type DurabilityChecks } from './durability-checks.ts';
import type { EventQueue } from './event-queue.ts';
import { createLeadershipChecks, type LeadershipChecks } from './leadership-checks.ts';
import { createLogChecks, type Fail, type LogChecks } from './log-checks.ts';
import type { SimNode } from './sim-node.ts';
import type { Trace } from './trace.ts';
import {
  createWorldObserver,
  type WorldObserver,
  type WorldObserverDeps,
} from './world-observer.ts';

/** A resignation because of a stall may come this long after the stall has ended. */
const freshlyFreedMs = 500;
/** What a drained leader began may still be under way. */
const wornOffMs = 1500;

export interface EpochChecks {
  readonly epoch: EpochId;
  readonly log: LogChecks;
  readonly leadership: LeadershipChecks;
  readonly durability: DurabilityChecks;
  readonly configurations: ConfigurationChecks;
  readonly clients: ClientChecks;
  readonly observer: WorldObserver;
}

export interface EpochCheckDeps extends Pick<WorldObserverDeps, 'orders' | 'tally'> {
  readonly queue: EventQueue;
  readonly trace: Trace;
  readonly fail: Fail;
  /** Of all epochs. */
  readonly nodes: () => readonly SimNode[];
}

export function createEpochChecks(
  { queue, trace, fail, nodes: all, orders, tally }: EpochCheckDeps,
  epoch: EpochId,
  before: EpochChecks | null,
): EpochChecks {
  const nodes = (): readonly SimNode[] => all().filter((node) => node.epoch === epoch);
  const log = createLogChecks(fail, before?.log);
  const durability = createDurabilityChecks(fail);
  const configurations = createConfigurationChecks({ fail, nowMs: queue.nowMs, nodes });
  const clients = createClientChecks({ queue, fail, log });
  const leadership = createLeadershipChecks({
    ...{ queue, fail, nodes },
    mustLeave: (node) =>
      node.troubled ||
      queue.nowMs() - node.standing().drainedMs < wornOffMs ||
      node.standing().draining ||
      node.disk.isStuck() ||
      node.applyStuck ||
      queue.nowMs() - node.freedMs < freshlyFreedMs ||
      // So slow that the leader takes it for stuck, by a clock that may run too fast.
      node.disk.longestFsyncMs(queue.nowMs() - freshlyFreedMs) >= node.timing.electionMsMin * 0.9,
  });
  const observer = createWorldObserver({
    ...{ queue, trace, log, leadership, durability, configurations, clients, orders, fail, tally },
  });
  return { epoch, log, leadership, durability, configurations, clients, observer };
}
