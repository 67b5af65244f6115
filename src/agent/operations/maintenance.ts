/**
 * The maintenance side of one node, put together: its view of drains and pause with what follows
 * from it for this node, and the operations that people call.
 */
import type { Ms } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/error.ts';
import type { AgentEvent, LeaderAnswer } from '../api.ts';
import type { Config } from '../config.ts';
import type { DataFolder } from '../data-folder.ts';
import type { HealthWatch } from '../health/api.ts';
import type { Node } from '../node.ts';
import type { Replication } from '../replication/api.ts';
import { createSteadyQuery } from '../replication/steady-query.ts';
import type { Operations } from './api.ts';
import { createNetworkKeys } from './network-keys.ts';
import { createOperations } from './operations.ts';
import { createStanding, type StandingView } from './standing.ts';
import { createTrouble } from './trouble.ts';

const proposeTimeoutMs: Ms = 10_000;

export interface MaintenanceDeps {
  readonly node: Node;
  readonly config: Config;
  readonly clock: Clock;
  readonly folder: DataFolder;
  /** null while content is not there yet. */
  readonly replication: () => Replication | null;
  readonly need: () => Replication;
  readonly leader: () => LeaderAnswer;
  readonly health: HealthWatch;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  /** The newest events of this node, oldest first. */
  readonly events: () => readonly AgentEvent[];
  /** Why daemons are not healed now, or null: they are again. */
  readonly suspend: (reason: string | null) => void;
  /** This node has left its cluster: the process should end. */
  readonly onLeft: () => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Maintenance {
  readonly operations: Operations;
  readonly standing: StandingView;
}

export function createMaintenance(deps: MaintenanceDeps): Maintenance {
  const { node, config, clock, folder, event } = deps;
  const query = createSteadyQuery(node.stores.catalog);
  const standing = createStanding({
    ...{ self: node.self, query },
    wallMs: () => clock.wallMs(),
    trouble: createTrouble({
      folder: folder.path,
      contentGone: () => deps.replication()?.contentGone() ?? false,
    }),
    tell: (next) => {
      event('standing', { ...next });
      node.runtime.setStanding(next);
      deps.suspend(next.paused ? 'paused' : next.draining ? 'draining' : null);
    },
    onOwnTurn: () => operations.handBack(),
    onRound: () => networkKeys.round(),
    onFailure: (error) => deps.onFailure('drains and pause were not read', error),
  });

  async function onLeft(): Promise<void> {
    await folder.changeMember((file) => ({ ...file, left: true }));
    deps.onLeft();
  }

  const adding = (): number =>
    (deps.replication()?.tasks() ?? []).filter(
      ({ kind, state }) => kind === 'add' && state === 'running',
    ).length;
  const operations = createOperations({
    ...{ node, config, clock, standing, event, onLeft, adding, onFailure: deps.onFailure },
    replication: deps.need,
    isAlive: (peer) => ['alive', 'suspect'].includes(deps.health.of(peer).state),
    leader: deps.leader,
    events: deps.events,
  });
  const proposeOptions = { idempotency: null, timeoutMs: proposeTimeoutMs };
  const networkKeys = createNetworkKeys({
    clusterId: node.trust.clusterId,
    ring: node.networkKeys,
    members: () => node.directory.configuration().members,
    healthOf: deps.health.of,
    query,
    catchUp: async () => {
      await node.runtime.read(proposeTimeoutMs);
      await node.lookAround();
    },
    commit: async (command) => {
      const result = await node.runtime.proposer.propose(command, proposeOptions);
      if (!result.ok) throw new AgentError(result.code, result.detail);
    },
    mayDecide: () => node.runtime.mayAct() !== null && standing.pause() === null,
    ...{ event, onFailure: deps.onFailure },
  });
  return { operations: { ...operations, networkKeys }, standing };
}
