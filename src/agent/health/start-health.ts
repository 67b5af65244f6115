/** Puts the watch over health together for a node that has started, and tells its figures. */
import type { Clock } from '../../base/clock.ts';
import type { DaemonView } from '../../daemons/api.ts';
import { dialableOf } from '../../health/dialable.ts';
import type { HealthGossip } from '../../wire/health-record.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { Node } from '../node.ts';
import type { HealthWatch } from './api.ts';
import { createDaemonJudge } from './daemon-health.ts';
import { createDialBack } from './dial-back.ts';
import { createResources } from './resources.ts';
import { createHealthWatch } from './watch.ts';

export interface StartHealthDeps {
  readonly node: Node;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly dataFolder: string;
  readonly contentUp: () => boolean;
  readonly bootstrapPeers: number;
  readonly dialOutOnly: boolean;
  readonly daemons: () => readonly DaemonView[];
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

const fileCharactersMax = 256;

function networkKeysSaid({ networkKeys }: Node): HealthGossip['networkKeys'] {
  const { accepts, sends, file } = networkKeys.told();
  return { accepts: [...accepts], sends, file: file?.slice(0, fileCharactersMax) ?? null };
}

const stateFigures: Record<string, number> = { alive: 0, suspect: 1, failed: 2, left: 3 };

function tellFigures({ metrics, node, daemons }: StartHealthDeps, watch: HealthWatch): void {
  const own = () => watch.of(node.self);
  metrics.gauge('identity_clashes', 'Keys that two machines run with, this one among them', () =>
    node.clashes.count(),
  );
  metrics.gauge('health_score', 'Health of this node, 0 to 100', () => own().score ?? 100);
  metrics.gauges('component_score', 'Health by component, 0 to 100', 'component', () =>
    Object.fromEntries((own().record?.components ?? []).map(({ name, score }) => [name, score])),
  );
  const members = () => node.directory.configuration().members;
  metrics.gauges('member_score', 'Health of each member as it says, 0 to 100', 'member', () =>
    Object.fromEntries(
      members().flatMap(({ name, peerId }) => {
        const { score } = watch.of(peerId);
        return score === null ? [] : [[name, score]];
      }),
    ),
  );
  metrics.gauges(
    'member_state',
    'Members as this node sees them: 0 alive, 1 suspect, 2 failed, 3 left',
    'member',
    () =>
      Object.fromEntries(
        members().map(({ name, peerId }) => [name, stateFigures[watch.of(peerId).state] ?? 0]),
      ),
  );
  const views = () => daemons().filter(({ mode }) => mode !== 'off');
  metrics.gauges('daemon_up', 'Daemons that run: 1, others 0', 'daemon', () =>
    Object.fromEntries(views().map(({ type, state }) => [type, state === 'running' ? 1 : 0])),
  );
  metrics.gauges('daemon_restarts', 'Restarts of each daemon by this agent', 'daemon', () =>
    Object.fromEntries(views().map(({ type, restarts }) => [type, restarts])),
  );
}

export function startHealth(deps: StartHealthDeps): HealthWatch {
  const { node, clock, event, onFailure, contentUp, bootstrapPeers } = deps;
  const judge = createDaemonJudge();
  const dialBack = createDialBack({
    ...{ node, clock, dialOutOnly: deps.dialOutOnly },
    onFound: ({ dialable, notBy }) => {
      node.runtime.setUndialable(dialable !== true);
      const by = notBy.map((peer) => node.directory.nameOf(peer));
      event('dialable', { dialable, notBy: by });
    },
  });
  const watch = createHealthWatch({
    node,
    clock,
    contentUp,
    bootstrapPeers,
    alsoSaid: () => ({
      ...dialableOf(dialBack.found()),
      networkKeys: networkKeysSaid(node),
    }),
    event,
    onFailure,
    resources: createResources(deps.dataFolder),
    daemons: () => judge.judge(deps.daemons(), node.certificate().role, clock.now().monoMs),
  });
  node.runtime.setHealth(watch.score);
  tellFigures(deps, watch);
  watch.start();
  dialBack.start();
  return {
    ...watch,
    stop: async () => {
      dialBack.stop();
      await watch.stop();
    },
  };
}
