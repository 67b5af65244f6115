/**
 * Content on one node and, where this node leads, over the cluster: engine, reports, holdings,
 * orders, planner and proofs wired together. The engine starts after the node has joined; whatever
 * the others ask before that is refused as `unavailable`. Observed state belongs to one lead: it is
 * forgotten when the lead is lost.
 */
import { randomInt } from 'node:crypto';
import type { CidText, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import { createPrng } from '../../base/prng.ts';
import { createEmbeddedEngine, type EngineEvent } from '../../content/embedded-engine.ts';
import { createRepairBudget } from '../../plan/repair-budget.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type Report,
  type ReportAnswer,
  reportAnswerSchema,
  reportSchema,
} from '../../wire/node-message.ts';
import { within } from '../deadline.ts';
import { leaderKnown } from '../leadership.ts';
import { listenOf } from '../membership.ts';
import { createAdding } from './adding.ts';
import type { Replication, ReplicationDeps } from './api.ts';
import { exportBlocks } from './block-export.ts';
import { createChallenges } from './challenges.ts';
import { createDriver, type Summary } from './driver.ts';
import { engineRuns, holdingOf, storingRoles } from './held-pins.ts';
import { createHoldings } from './holdings.ts';
import { createObserved } from './observed.ts';
import { createOrders } from './orders.ts';
import { updatePeerRows } from './peer-rows.ts';
import { createPinReports } from './pin-reports.ts';
import { createReporter } from './reporter.ts';
import { createRounds } from './rounds.ts';
import { reportPeriodMs } from './standing-nodes.ts';
import { createSteadyQuery } from './steady-query.ts';
import { createTasks } from './tasks.ts';

const reportTimeoutMs: Ms = 3000;
const readTimeoutMs: Ms = 60_000;
const startTimeoutMs: Ms = 30_000;
/** Repairs may copy this much in all; new pins don't count. */
const repairBudget = { bytesPerSecond: 100 * 1024 * 1024, burstSeconds: 10 };

export function createReplication(deps: ReplicationDeps): Replication {
  const { node, config, clock, metrics } = deps;
  const { self, mesh, runtime, directory, leadership } = node;
  const nowMs = (): Ms => clock.now().monoMs;
  const wallMs = (): Ms => clock.wallMs();
  const leads = (): boolean => leadership.view().state === 'leader';
  const { propose } = runtime.proposer;
  const mayChange = () => (deps.paused() ? null : runtime.mayAct());
  const query = createSteadyQuery(node.stores.catalog);
  const request = (name: string) => (to: PeerId, body: Uint8Array, timeoutMs: Ms) =>
    mesh.request(to, name, body, { timeoutMs });

  const engine = createEmbeddedEngine(
    { report: onEngine },
    {
      dir: deps.contentDir,
      listen: listenOf(config, config.content.port),
      networkKey: node.networkKeys.keys(),
      reserveBytes: config.content.reserveBytes,
    },
  );
  node.networkKeys.onChange(engine.setNetworkKeys);
  const observed = createObserved();
  const tasks = createTasks(wallMs);
  const adding = createAdding({ engine, tasks, node: config.nodeId, wallMs, propose });
  let leadsSinceMs = nowMs();
  let told: Summary | null = null;
  let usage: Report['usage'] | null = null;
  let starting: Promise<void> | null = null;
  let everRan = false;
  const holdsContent = (): boolean => storingRoles.has(node.certificate().role);

  const holdings = createHoldings({
    ...{ self, engine, query },
    ...{ adding: adding.active, paused: deps.paused },
    onForgotten: (cid, reason) => {
      reporter.gone(cid);
      deps.event('copy-forgotten', { cid, reason });
    },
    onFailure: deps.onFailure,
  });
  const orders = createOrders({
    ...{ self, engine, metrics },
    order: runtime.order,
    mayAct: runtime.mayAct,
    request: request('order'),
    onHurry: holdings.poke,
    onRefused: (from, order, fence) =>
      deps.event('order-refused', { from, term: order.term, epoch: order.epoch, fence }),
    onExecuted: (from, { term, epoch, order }, fence) =>
      deps.trace('order-executed', { from, term, epoch, fence, order: order.type }),
  });
  const challenges = createChallenges({
    self,
    observed,
    orders,
    metrics,
    nowMs,
    actingTerm: () => runtime.mayAct()?.term ?? null,
    onVerified: () => planning.poke(),
    onFailed: (cid, peer, detail) =>
      deps.event('possession-failed', { cid, node: directory.nameOf(peer), detail }),
  });
  const driver = createDriver({
    observed,
    challenges,
    budget: createRepairBudget(repairBudget),
    metrics,
    prng: createPrng(randomInt(2 ** 48 - 1)),
    repairGraceMs: config.timing.repairGraceMs,
    nowMs,
    wallMs,
    leadsSinceMs: () => leadsSinceMs,
    healthOf: deps.healthOf,
    ...{ mayAct: runtime.mayAct, mayChange },
    isDraining: deps.isDraining,
    members: () => directory.configuration().members,
    query,
    propose,
    give: orders.give,
    event: deps.event,
    onFailure: deps.onFailure,
  });
  const planning = createRounds({
    periodMs: 5000,
    gatherMs: 20,
    apartMs: 100,
    run: async () => {
      if (!leads()) return 0;
      // Elected, but an older promise still runs: look again as soon as it may be over.
      if (runtime.mayAct() === null) setTimeout(planning.poke, 50);
      return driver.round();
    },
    onFailure: (error) => deps.onFailure('a round of the plan failed', error),
  });
  const peerRows = createRounds({
    periodMs: 10_000,
    gatherMs: 500,
    apartMs: 1000,
    run: () => updatePeerRows({ directory, mayAct: mayChange, query, propose }),
    onFailure: (error) => deps.onFailure('peer_lists was not updated', error),
  });
  const reports = createPinReports({
    self,
    engine,
    observed,
    query,
    leads,
    leader: () => leadership.view().leader,
    nameOf: directory.nameOf,
    nowMs,
    request: request('copies'),
  });
  const reporter = createReporter({
    ...{ engine, incarnation: deps.incarnation, holdsContent },
    epoch: () => node.member.epoch,
    leader: () => leadership.view().leader,
    periodMs: () => reportPeriodMs(directory.configuration().members.length),
    deliver: async (leader, report) => {
      usage = report.usage;
      if (leader === self) return onReport(self, report);
      const body = encodeNodeMessage(report);
      const answer = await mesh.request(leader, 'report', body, { timeoutMs: reportTimeoutMs });
      return decodeNodeMessage('report answer', reportAnswerSchema, answer);
    },
    onAnswer: (answer) => {
      if (answer.summary !== null && !leads()) told = answer.summary;
      holdings.release(answer.released);
    },
    onFailure: deps.onFailure,
  });

  /** A node's report, where this node leads. */
  function onReport(from: PeerId, report: Report): ReportAnswer {
    if (!leads()) return { leads: false, resend: false, released: [], summary: null };
    const { resend, changed } = observed.accept(from, report, nowMs());
    const term = runtime.mayAct()?.term ?? null;
    for (const cid of changed) {
      const copy = observed.copy(cid, from);
      if (term !== null && copy?.status.state === 'pinned' && copy.verifiedTerm !== term)
        challenges.ask(cid, from);
    }
    if (changed.length > 0) planning.poke();
    return {
      leads: true,
      resend,
      released: [...driver.releasable(from)],
      summary: driver.summary(),
    };
  }

  function tellProviders(): void {
    engine.setProviders(directory.providers((peer) => node.trust.judge(peer).refusal === null));
  }

  function onLeader(): void {
    if (leads()) leadsSinceMs = nowMs();
    else {
      observed.clear();
      challenges.clear();
      driver.reset();
    }
    told = null;
    reporter.poke();
    planning.poke();
    peerRows.poke();
  }

  function onEngine(event: EngineEvent): void {
    deps.onEngine(event);
    if (event.type === 'content-restarted') deps.onProvider(event.provider);
  }

  /** Rejects if the engine fails at first; it tries again by itself, and the rest waits for it. */
  async function startAll(): Promise<void> {
    const [first] = await Promise.allSettled([engine.start()]);
    // From here on an engine that does not run is one that failed.
    everRan = true;
    if (first.status === 'fulfilled') deps.onProvider(engine.provider());
    node.peers.serve('report', 'member', async (from, body) =>
      encodeNodeMessage(onReport(from, decodeNodeMessage('report', reportSchema, body))),
    );
    node.peers.serve('order', 'leads', (from, body) => orders.take(from, body));
    node.peers.serve('copies', 'member', (_from, body) => reports.onCopies(body));
    directory.onChange(() => {
      tellProviders();
      peerRows.poke();
    });
    tellProviders();
    leadership.onChange(onLeader);
    reporter.start();
    holdings.start();
    planning.start();
    peerRows.start();
    if (first.status === 'rejected') throw first.reason;
  }

  /** Content starts beside the rest; whoever needs it while it starts waits for it. */
  async function started(): Promise<void> {
    if (engineRuns(engine)) return;
    if (starting === null) throw new AgentError('unavailable', 'content is not running');
    await within(startTimeoutMs, 'content is starting', starting);
  }

  async function* cat(cid: CidText, path: string): AsyncIterable<Uint8Array> {
    await started();
    yield* engine.cat(cid, path, { timeoutMs: readTimeoutMs });
  }

  return {
    start: () => {
      starting ??= leaderKnown(leadership).then(startAll);
      return starting;
    },
    stop: async () => {
      challenges.clear();
      await Promise.all([peerRows.stop(), planning.stop(), holdings.stop(), reporter.stop()]);
      await engine.stop();
    },
    onApplied: () => {
      holdings.poke();
      if (leads()) planning.poke();
    },
    add: async (entries, options) => {
      await started();
      return adding.add(entries, options);
    },
    ...{ cat, car: (cid) => engine.car(cid, { timeoutMs: readTimeoutMs }) },
    ls: async (cid, path) => {
      await started();
      return engine.ls(cid, path, { timeoutMs: readTimeoutMs });
    },
    pin: reports.pin,
    pins: reports.pins,
    blocks: async (cids) => {
      await started();
      return exportBlocks(engine, cids);
    },
    tasks: tasks.list,
    provider: () => (engineRuns(engine) ? engine.provider() : null),
    contentGone: () => holdsContent() && everRan && !engineRuns(engine),
    holding: (peer) =>
      holdingOf(peer, {
        ...{ observed, query, nowMs, links: mesh.links, isDraining: deps.isDraining },
        ...{ leadsSinceMs: () => leadsSinceMs, members: () => directory.configuration().members },
        term: () => runtime.mayAct()?.term ?? null,
      }),
    summary: () => {
      const summary = leads() ? driver.summary() : told;
      if (summary === null || usage === null) return null;
      return { ...summary, bytesStored: usage.bytesStored, bytesFree: usage.bytesFree };
    },
  };
}
