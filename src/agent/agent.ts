/**
 * The agent: composition root and the facade for status port and commands. Creating it takes the
 * data folder and nothing else; `start` brings up mesh, stores, consensus and content in order;
 * `stop` hands the lead over if this node has it and takes all of it down in reverse. A broken
 * invariant ends the agent: nothing leaves this node any more, and another one leads.
 */
import type { Ms } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { type EventStore, openEventStore } from '../store/event-store.ts';
import type { Command } from '../wire/command.ts';
import { createAgentLog } from './agent-log.ts';
import type { Agent, Fresh, Readiness } from './api.ts';
import type { Config } from './config.ts';
import { createFleet } from './daemons/fleet.ts';
import { openDataFolder } from './data-folder.ts';
import { createEventLog } from './event-log.ts';
import { createFactSink } from './fact-sink.ts';
import { createFailureLog } from './failure-log.ts';
import type { HealthWatch } from './health/api.ts';
import { startHealth } from './health/start-health.ts';
import { createMetrics } from './metrics.ts';
import { createNodeStarter, type Node } from './node.ts';
import { createNodeView, type NodeView } from './node-view.ts';
import { createMaintenance, type Maintenance } from './operations/maintenance.ts';
import type { StandingView } from './operations/standing.ts';
import { createRecovery, type EpochOrder } from './recovery/recovery.ts';
import type { Replication } from './replication/api.ts';
import { createReplication } from './replication/replication.ts';
import { sayWhere, sayWhereAgainMs } from './say-where.ts';
import { createSystemClock } from './system-clock.ts';
import { engineEvents } from './trust/door-log.ts';
import { createRefusalEvents } from './trust/refusal-events.ts';
import { version } from './version.ts';

const handOverTimeoutMs: Ms = 1500;
const ownProposalTimeoutMs: Ms = 10_000;

const notJoined: Readiness = {
  ready: false,
  unmet: ['joined', 'catalog-replayed', 'leader-known'],
  mode: 'degraded',
  degradedReason: 'not-joined',
};

export interface AgentOptions {
  /** Told once when the agent can't go on; the process should end. */
  readonly onFatal?: (error: Error) => void;
  /** A new epoch was forced: stop the agent, carry it out, and start the agent again. */
  readonly onNewEpoch?: (order: EpochOrder) => void;
  /** Told once this node has left its cluster; the process should end. */
  readonly onLeft?: () => void;
}

function endProcess(error: Error): void {
  process.stderr.write(`bellwether: ${error.message}\n`);
  process.exit(1);
}

export function createAgent(config: Config, options: AgentOptions = {}): Agent {
  const folder = openDataFolder(config.data);
  const clock = createSystemClock();
  const metrics = createMetrics();
  const events = createEventLog(() => clock.wallMs());
  const logger = createAgentLog(config, events);
  const aborter = new AbortController();
  const startedAtMs = clock.wallMs();
  let statusUrl: string | null = null;
  let node: Node | null = null;
  let view: NodeView | null = null;
  let starting: Promise<void> = Promise.resolve();
  let stopping: Promise<void> | null = null;
  let sayTimer: NodeJS.Timeout | null = null;
  let eventStore: EventStore | null = null;
  let replication: Replication | null = null;
  let health: HealthWatch | null = null;
  let maintenance: Maintenance | null = null;
  let contentStarting: Promise<void> = Promise.resolve();
  let fatal = false;
  let startFailed = false;

  const event = events.append;
  const onFailure = createFailureLog({
    clock,
    count: () => metrics.count('failures'),
    tell: (what, failure) => {
      events.append('failure', { what, ...failure });
      logger.warn(failure, what);
    },
  });
  const onFatal = (thrown: unknown): void => {
    if (fatal) return;
    fatal = true;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    logger.fatal({ err: error }, 'the agent stops: its own state is broken');
    (options.onFatal ?? endProcess)(error);
  };
  const daemons = createFleet({
    ...{ config, clock, event, onFailure, dataFolder: folder.path, token: folder.token },
    ...{ node: () => node, statusUrl: () => statusUrl, car: (cid) => content().car(cid) },
  });

  const running = (): Node => {
    if (node === null || stopping !== null)
      throw new AgentError(
        'unavailable',
        `the agent ${stopping ? 'is stopping' : 'has not joined'}`,
      );
    return node;
  };
  const seen = (): NodeView => {
    running();
    if (view === null) throw new AgentError('unavailable', 'the agent has not joined');
    return view;
  };
  /** Nobody waits for it; before this node has joined there is nothing to propose. */
  const proposeAside = (command: Command): void => {
    node?.runtime.proposer
      .propose(command, { idempotency: null, timeoutMs: ownProposalTimeoutMs })
      .catch((error: unknown) => onFailure(`${command.type} was not committed`, error));
  };
  const starter = createNodeStarter({
    config,
    folder,
    clock,
    metrics,
    statusUrl: () => statusUrl,
    event: (type, data) => events.append(type, data),
    onRefused: createRefusalEvents(clock, (type, data) => events.append(type, data)),
    onCertified: () => say(),
    onFact: createFactSink({ clock, metrics, events, propose: proposeAside }),
    onApplied: () => {
      replication?.onApplied();
      maintenance?.standing.poke();
    },
    onFailure,
    onFatal,
  });

  const say = (): void => {
    if (node === null || stopping !== null) return;
    sayWhere(node, { provider: replication?.provider() ?? null, statusUrl }, onFailure);
    if (sayTimer !== null) clearTimeout(sayTimer);
    sayTimer = setTimeout(say, sayWhereAgainMs(node));
  };

  async function openEvents(): Promise<void> {
    eventStore = await openEventStore({ dir: folder.eventsDir });
    await events.attach(eventStore);
    for (const note of eventStore.notes) events.append('event-store-note', { note });
  }

  async function startAll(): Promise<void> {
    // The daemons look after this machine whether or not this node ever joins.
    const begun = [starter.start(aborter.signal), openEvents(), daemons.start()] as const;
    const [started] = await Promise.all(begun);
    node = started;
    health = startHealth({
      ...{ node: started, clock, metrics, dataFolder: folder.path, event, onFailure },
      contentUp: () =>
        started.certificate().role === 'witness' || (replication?.provider() ?? null) !== null,
      daemons: daemons.views,
      ...{ bootstrapPeers: config.peers.length, dialOutOnly: config.dialOutOnly },
    });
    view = createNodeView(started, {
      ...{ clock, startedAtMs, health, incarnation: started.mesh.incarnation },
      statusUrl: () => statusUrl,
      replication: () => replication?.summary() ?? null,
      ...{ daemons: daemons.views, federation: daemons.page },
      holdsContent: () => (replication?.provider() ?? null) !== null,
      standing: () => maintenance?.standing ?? null,
    });
    maintenance = createMaintenance({
      ...{ node: started, config, clock, folder, health, event, onFailure, need: content },
      replication: () => replication,
      leader: () => seen().leader(),
      ...{ suspend: daemons.suspend, events: events.newest },
      onLeft: () => options.onLeft?.(),
    });
    const { standing } = maintenance;
    replication = startContent(started, standing);
    standing.start();
    daemons.joined();
    say();
    events.append('started', { name: config.nodeId, role: config.role, version });
  }

  async function stopAll(reason: string): Promise<void> {
    events.append('stopping', { reason });
    aborter.abort();
    // Whoever called start hears how it ended; here it only must not go on behind our back.
    await Promise.allSettled([starting]);
    if (sayTimer !== null) clearTimeout(sayTimer);
    if (node !== null && !fatal && node.leadership.view().state === 'leader')
      await node.runtime
        .transfer(null, handOverTimeoutMs)
        .catch((error: unknown) => onFailure('the lead was not handed over', error));
    await health
      ?.stop()
      .catch((error: unknown) => onFailure('the last health record was not said', error));
    await contentStarting;
    await maintenance?.standing.stop();
    await replication
      ?.stop()
      .catch((error: unknown) => onFailure('content did not stop cleanly', error));
    await Promise.all([starter.stop(), daemons.stop({ leave: fatal || startFailed })]);
    await eventStore?.close();
    metrics.stop();
    folder.release();
  }

  /** Content starts beside everything else, so that neither joining nor electing waits for it. */
  function startContent(started: Node, standing: StandingView): Replication {
    const made = createReplication({
      ...{ node: started, config, clock, metrics, event },
      contentDir: folder.contentDir,
      incarnation: started.mesh.incarnation,
      healthOf: (peer) => health?.of(peer).health ?? 'unknown',
      paused: () => standing.pause() !== null,
      isDraining: standing.isDraining,
      onEngine: engineEvents(started.doors, event),
      trace: (text, data) => logger.debug(data, text),
      onProvider: () => say(),
      onFailure,
    });
    contentStarting = made
      .start()
      .catch((error: unknown) => onFailure('content did not start', error));
    return made;
  }

  const content = (): Replication => {
    running();
    if (replication === null) throw new AgentError('unavailable', 'content is not there yet');
    return replication;
  };

  return {
    add: async (entries, how) => content().add(entries, how),
    cat: (cid, path) => content().cat(cid, path),
    ls: async (cid, path) => content().ls(cid, path),
    pin: async (cid) => content().pin(cid),
    pins: async (after, limit) => content().pins(after, limit),
    tasks: () => replication?.tasks() ?? [],
    token: folder.token,
    get role() {
      return node?.certificate().role ?? config.role;
    },
    start: () => {
      starting = startAll();
      starting.catch(() => {
        startFailed = !aborter.signal.aborted;
      });
      return starting;
    },
    stop: (reason) => {
      stopping ??= stopAll(reason);
      return stopping;
    },
    setStatusUrl: (url) => {
      statusUrl = url;
      say();
    },
    status: () => seen().status(),
    readiness: () => (view === null || stopping !== null ? notJoined : view.readiness()),
    leader: () =>
      view === null || stopping !== null
        ? { acting: false, leader: null, term: 0, since: null, reason: 'not joined or stopping' }
        : view.leader(),
    freshness: () => ({
      appliedIndex: node?.stores.catalog.appliedIndex() ?? 0,
      staleMs: node?.leadership.staleMs() ?? null,
    }),
    propose: async (command, how) => running().runtime.proposer.propose(command, how),
    query: async (name, args, { consistency, timeoutMs }): Promise<Fresh<unknown>> => {
      const { runtime, stores, leadership } = running();
      if (consistency === 'linearizable') await runtime.read(timeoutMs);
      const { value, appliedIndex } = await stores.catalog.query(name, args);
      const staleMs = consistency === 'linearizable' ? 0 : leadership.staleMs();
      return { value, appliedIndex, staleMs };
    },
    member: (name) => seen().member(name),
    identity: () => running().identity,
    get operations() {
      running();
      if (maintenance === null) throw new AgentError('unavailable', 'the agent has not joined');
      return maintenance.operations;
    },
    events: (after, limit) => events.after(after, limit),
    onEvent: (listener) => events.onEvent(listener),
    daemons,
    resources: () => health?.resources() ?? null,
    mesh: () => health?.meshReport() ?? null,
    healMesh: async (why) => seen().healMesh(why),
    metrics: () => metrics.registry.metrics(),
    recovery: createRecovery({
      ...{ node: running, blocks: content, clock, onFailure },
      onNewEpoch: options.onNewEpoch ?? null,
    }),
  };
}
