/**
 * Looks after health: scores this node every second, says so in signed gossip when it changes and
 * every ten seconds anyway, holds what the others say, watches who is alive, and mends the mesh
 * when it hangs badly. Everything is answered from memory.
 */
import { randomInt } from 'node:crypto';
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { createPrng } from '../../base/prng.ts';
import { type DaemonFacts, daemonComponent } from '../../health/daemon-score.ts';
import { createFailureDetector } from '../../health/failure-detector.ts';
import { type Grading, healthyFrom, regrade } from '../../health/grade.ts';
import { agentComponent, machineComponent } from '../../health/machine-score.ts';
import { meshComponent } from '../../health/mesh-score.ts';
import { createRecordBook } from '../../health/record-book.ts';
import { mustSay } from '../../health/saying.ts';
import { type NodeScore, nodeScore } from '../../health/score.ts';
import type { MeshHealing } from '../../mesh/api.ts';
import { encodeGossip } from '../../wire/gossip.ts';
import {
  detailCharactersMax,
  type HealthGossip,
  type Resources,
  reasonsSaidMax,
} from '../../wire/health-record.ts';
import type { Node } from '../node.ts';
import type { HealthWatch, MemberHealth } from './api.ts';
import { meshFactsOf, meshReportOf } from './mesh-facts.ts';
import { createProber } from './prober.ts';

const lookEveryMs: Ms = 1000;
/** Two records are at least so far apart. */
const sayAgainMs: Ms = 200;
const resourcesEveryMs: Ms = 5000;
const healEveryMs: Ms = 30_000;
/** After its start a node has this long to find the others. */
const settleMs: Ms = 10_000;

export interface DaemonHealth {
  readonly facts: DaemonFacts;
  readonly mode: string;
  readonly version: string | null;
  /** Switched off, or stopped by a person: shown, but not judged. */
  readonly judged: boolean;
}

export interface HealthWatchDeps {
  readonly node: Node;
  readonly clock: Clock;
  readonly resources: () => Promise<Resources>;
  readonly contentUp: () => boolean;
  readonly bootstrapPeers: number;
  readonly alsoSaid: () => Pick<HealthGossip, 'dialable' | 'notDialledBy' | 'networkKeys'>;
  readonly daemons: () => readonly DaemonHealth[];
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export function createHealthWatch(deps: HealthWatchDeps): HealthWatch {
  const { node, clock } = deps;
  const { directory, mesh, runtime, self } = node;
  const nowMs = (): Ms => clock.now().monoMs;
  const startedMs = nowMs();
  const book = createRecordBook<HealthGossip>();
  let beat = 0;
  let own: NodeScore | null = null;
  let grading: Grading | null = null;
  let resources: Resources | null = null;
  let resourcesMs = Number.NEGATIVE_INFINITY;
  let gossipMs: Ms | null = null;
  let saidMs = Number.NEGATIVE_INFINITY;
  let saidScore: number | null = null;
  let sayTimer: NodeJS.Timeout | null = null;
  let lookTimer: NodeJS.Timeout | null = null;
  let healedMs = Number.NEGATIVE_INFINITY;
  let lastHealAt: string | null = null;
  let leaving = false;

  const detector = createFailureDetector({
    self,
    own: () => ({ incarnation: mesh.incarnation, beat }),
    prng: createPrng(randomInt(2 ** 48 - 1)),
    nowMs: startedMs,
  });
  const prober = createProber({
    node,
    clock,
    detector,
    onSay: sayNow,
    onChanged: ({ peer, from, to, accusers, why, doubt }) => {
      const names = accusers.map((accuser) => directory.nameOf(accuser));
      const name = directory.nameOf(peer);
      deps.event(`member-${to}`, { name, peer, from, why, by: names, doubt });
    },
  });

  const meshFacts = () =>
    meshFactsOf({
      self,
      directory,
      links: mesh.links(),
      alive: (peer) => detector.view(peer)?.state === 'alive',
      gossipAgeMs: gossipMs === null ? null : nowMs() - gossipMs,
      upForMs: nowMs() - startedMs,
    });

  function measure(): NodeScore {
    const settled = nowMs() - startedMs >= settleMs;
    const components = [
      agentComponent({
        storeWritable: runtime.storage.failure() === null,
        loopLagMs: runtime.loopLagMs(),
        contentUp: !settled || deps.contentUp(),
        leaderKnown: !settled || node.leadership.view().leader !== null,
        identityClash: node.clashes.own() !== null,
      }),
      ...(resources === null ? [] : [machineComponent(resources)]),
      ...(settled ? [meshComponent(meshFacts())] : []),
      ...deps
        .daemons()
        .filter(({ judged }) => judged)
        .map(({ facts }) => daemonComponent(facts, nowMs())),
    ];
    return nodeScore(components);
  }

  function record(): HealthGossip {
    const judged = new Map(own?.components.map((component) => [component.name, component]));
    return {
      type: 'health',
      incarnation: mesh.incarnation,
      beat,
      score: own?.score ?? null,
      grade: grading?.grade ?? null,
      reasons: (own?.reasons ?? [])
        .slice(0, reasonsSaidMax)
        .map((reason) => ({ ...reason, detail: reason.detail.slice(0, detailCharactersMax) })),
      components: (own?.components ?? []).map(({ name, score, weight }) => ({
        name,
        score,
        weight,
      })),
      resources,
      daemons: deps.daemons().map(({ facts, mode, version }) => ({
        type: facts.type,
        mode,
        state: facts.state,
        score: judged.get(facts.type)?.score ?? null,
        version: version?.slice(0, 64) ?? null,
      })),
      ...deps.alsoSaid(),
      leaving,
      accused: detector.accusations().map((one) => ({ ...one })),
    };
  }

  async function publish(): Promise<void> {
    beat += 1;
    saidMs = nowMs();
    saidScore = own?.score ?? null;
    await mesh.publish('health', encodeGossip('health', record()));
  }

  /** Soon, and not more often than every `sayAgainMs`. */
  function sayNow(): void {
    if (sayTimer !== null || leaving) return;
    const inMs = Math.max(0, saidMs + sayAgainMs - nowMs());
    sayTimer = setTimeout(() => {
      sayTimer = null;
      publish().catch((error: unknown) =>
        deps.onFailure('the health record was not published', error),
      );
    }, inMs);
  }

  async function readResources(): Promise<void> {
    if (nowMs() - resourcesMs < resourcesEveryMs) return;
    resourcesMs = nowMs();
    const first = resources === null;
    resources = await deps.resources();
    if (first) sayNow();
  }

  async function healMesh(why: string): Promise<MeshHealing> {
    healedMs = nowMs();
    const done = await mesh.heal();
    lastHealAt = new Date(clock.wallMs()).toISOString();
    const names = (peers: readonly PeerId[]) => peers.map((peer) => directory.nameOf(peer));
    deps.event('mesh-healed', {
      why,
      redialled: names(done.redialled),
      asked: names(done.asked),
      rejoined: names(done.rejoined),
    });
    return done;
  }

  function healWhereNeeded(): void {
    const hangs = own?.components.find(({ name }) => name === 'mesh');
    if (hangs === undefined || hangs.score >= healthyFrom) return;
    if (nowMs() - healedMs < healEveryMs) return;
    const why = hangs.reasons.map(({ code }) => code).join(', ');
    healMesh(why).catch((error: unknown) => deps.onFailure('the mesh was not mended', error));
  }

  function look(): void {
    readResources().catch((error: unknown) =>
      deps.onFailure('the use of this machine could not be read', error),
    );
    own = measure();
    const before = grading?.grade ?? null;
    grading = regrade(grading, own.score, nowMs());
    if (before !== null && before !== grading.grade)
      deps.event('health-changed', {
        from: before,
        to: grading.grade,
        score: own.score,
        reasons: own.reasons.map(({ component, code }) => `${component}: ${code}`),
      });
    healWhereNeeded();
    const gradeChanged = before !== grading.grade;
    const members = directory.configuration().members.length;
    const quietMs = nowMs() - saidMs;
    if (mustSay({ score: own.score, saidScore, gradeChanged, quietMs, members })) sayNow();
  }

  function setMembers(): void {
    const peers = directory.configuration().members.map(({ peerId }) => peerId);
    book.setMembers(peers);
    detector.setMembers(peers, nowMs());
    for (const { peerId, connected } of mesh.links())
      if (connected && detector.view(peerId)?.heardMs === null)
        detector.link(peerId, true, nowMs());
    prober.turn();
  }

  function ownHealth(): MemberHealth {
    const score = own?.score ?? null;
    return {
      state: leaving ? 'left' : 'alive',
      lastSeenMs: 0,
      health: grading?.grade ?? 'unknown',
      score,
      record: own === null ? null : record(),
      recordAgeMs: own === null ? null : 0,
    };
  }

  return {
    start: () => {
      node.peers.watch({
        onWord: (peer) => detector.heard(peer, nowMs()),
        onLink: (peer, open) => {
          detector.link(peer, open, nowMs());
          prober.turn();
        },
        onGossip: (peer, said) => {
          if (peer !== self) gossipMs = nowMs();
          if (said.type !== 'health' || peer === self) return;
          book.take(peer, said, nowMs());
          detector.record(peer, said, nowMs());
          prober.turn();
        },
      });
      prober.start();
      setMembers();
      directory.onChange(setMembers);
      node.networkKeys.onTold(sayNow);
      lookTimer = setInterval(look, lookEveryMs);
      look();
    },
    stop: async () => {
      if (lookTimer !== null) clearInterval(lookTimer);
      if (sayTimer !== null) clearTimeout(sayTimer);
      prober.stop();
      leaving = true;
      await publish();
    },
    of: (peer) => {
      if (peer === self) return ownHealth();
      const view = detector.view(peer);
      const held = book.of(peer);
      const state = view?.state ?? 'suspect';
      const heardMs = view?.heardMs ?? null;
      const gone = state === 'failed' || state === 'left';
      return {
        state,
        lastSeenMs: heardMs === null ? null : Math.max(0, nowMs() - heardMs),
        health: gone ? 'unhealthy' : (held?.record.grade ?? 'unknown'),
        score: gone ? 0 : (held?.record.score ?? null),
        record: held?.record ?? null,
        recordAgeMs: held === null ? null : nowMs() - held.atMs,
      };
    },
    ...{ score: () => own?.score ?? null, resources: () => resources },
    meshReport: () =>
      meshReportOf(meshFacts(), mesh, { bootstrapPeers: deps.bootstrapPeers, lastHealAt }),
    healMesh,
  };
}
