/**
 * The tables of cut links: every shape of directed paths between a few nodes, with every placement
 * of the highest rank and of the longest log. Where some electable node reaches a majority both
 * ways, a leader must appear and stay. For 3 and 4 nodes all shapes with names (the highest rank is
 * always node 0, which loses nothing); for 5 nodes one shape of each class, with all placements.
 */
import type { Ms } from '../base/brand.ts';
import { createPrng, type Prng } from '../base/prng.ts';
import {
  allShapes,
  describeShape,
  hasPath,
  reachesMajority,
  type Shape,
  shapesUpToNames,
} from './digraphs.ts';
import { asSimFailure } from './failure.ts';
import { plainRaftElects } from './plain-raft.ts';
import { certificate } from './roster.ts';
import { createStage, stageTiming } from './staged-world.ts';
import type { World } from './world.ts';

export interface CutTableOptions {
  readonly nodes: 3 | 4 | 5;
  /** Cases drawn at random instead of all. */
  readonly sample: number | null;
  readonly prng: Prng;
  /** One of `stride` processes that share the table. */
  readonly stride: number;
  readonly part: number;
}

export interface CutReport {
  readonly cases: number;
  /** Cases where a leader is due. */
  readonly due: number;
  readonly failures: readonly string[];
  /** Cases where a leader is due and plain Raft has none that stays. */
  readonly plainRaft: number;
  /** Some of them, as people draw them. */
  readonly plainRaftExamples: readonly string[];
}

export interface CutCase {
  readonly nodes: number;
  readonly shape: Shape;
  readonly highestRank: number;
  readonly longestLog: number;
  /** The paths are cut from the beginning, or when a leader of the whole is at work. */
  readonly when: 'before' | 'during';
}

const appearsMs: Ms = 15_000;
const staysMs: Ms = 2500;
const stepMs: Ms = 50;
const healthyMs: Ms = 1500;
const examplesMax = 40;

function cut(world: World, { nodes, shape }: CutCase): void {
  for (let from = 0; from < nodes; from++)
    for (let to = 0; to < nodes; to++)
      if (from !== to && !hasPath(shape, nodes, from, to)) world.network.setCut(from, to, true);
}

/** Whoever may act now, with its term; null without one. */
function actingNow(world: World): string | null {
  for (const node of world.nodes) {
    const right = node.core()?.mayAct(node.now()) ?? null;
    if (right !== null) return `${node.id} ${right.term}`;
  }
  return null;
}

/** Runs one case; null when a leader appeared and stayed, or else what happened. */
export function runCutCase(item: CutCase, keepTrace = false): string | null {
  const { nodes, highestRank, longestLog, when } = item;
  const cast = Array.from({ length: nodes }, (_, number) => ({
    certificate: certificate(`n${number}`, number === highestRank ? 'master' : 'worker', 0),
    terms: number === longestLog ? [1, 2] : [1],
    hardState: { term: 2, leaseMsLongest: when === 'before' ? 0 : 500 },
  }));
  const seed = 1 + item.shape * 32 + highestRank * 5 + longestLog;
  const world = createStage({ seed, timing: stageTiming, cast, blankCatalogs: true, keepTrace });
  const { queue } = world;
  try {
    if (when === 'during') queue.runUntil(healthyMs);
    cut(world, item);
    const untilMs = queue.nowMs() + appearsMs;
    let leader: string | null = null;
    let sinceMs: Ms = 0;
    while (queue.nowMs() < untilMs) {
      queue.runUntil(queue.nowMs() + stepMs);
      const now = actingNow(world);
      if (now !== leader) {
        leader = now;
        sinceMs = queue.nowMs();
      }
      if (leader !== null && queue.nowMs() - sinceMs >= staysMs) return null;
    }
    const lines = keepTrace ? `\n${world.trace.lines().slice(-200).join('\n')}` : '';
    return `no leader stays${lines}`;
  } catch (thrown) {
    return asSimFailure(thrown, queue.nowMs()).message;
  } finally {
    world.close();
  }
}

function* casesOf({ nodes, sample, prng, stride, part }: CutTableOptions): Generator<CutCase> {
  const shapes = nodes === 5 ? shapesUpToNames(5) : allShapes(nodes);
  const ranks = nodes === 5 ? [0, 1, 2, 3, 4] : [0];
  const whens = nodes === 5 ? (['before'] as const) : (['before', 'during'] as const);
  if (sample !== null) {
    for (let i = 0; i < sample; i++) {
      const shape = prng.pick(shapes);
      const highestRank = prng.pick(ranks);
      const longestLog = prng.int(nodes);
      const when = prng.pick(['before', 'during'] as const);
      if (i % stride === part) yield { nodes, shape, highestRank, longestLog, when };
    }
    return;
  }
  for (const [i, shape] of shapes.entries()) {
    if (i % stride !== part) continue;
    for (const highestRank of ranks)
      for (let longestLog = 0; longestLog < nodes; longestLog++)
        for (const when of whens) yield { nodes, shape, highestRank, longestLog, when };
  }
}

export function describeCase(item: CutCase): string {
  const { nodes, shape, highestRank, longestLog, when } = item;
  const cuts = describeShape(shape, nodes);
  const places = `highest rank ${highestRank}, longest log ${longestLog}`;
  return `${nodes} nodes, ${cuts} (${when}), ${places}`;
}

export function runCutTable(options: CutTableOptions): CutReport {
  let cases = 0;
  let due = 0;
  let plainRaft = 0;
  const failures: string[] = [];
  const plainRaftExamples: string[] = [];
  for (const item of casesOf(options)) {
    cases += 1;
    const { nodes, shape, longestLog, when } = item;
    let electable = false;
    for (let node = 0; node < nodes && !electable; node++)
      electable = reachesMajority(shape, nodes, node);
    if (!electable) continue;
    due += 1;
    const failure = runCutCase(item);
    if (failure !== null) failures.push(`${describeCase(item)}: ${failure}`);
    if (when === 'during') continue;
    if (plainRaftElects(nodes, shape, longestLog, createPrng(1 + shape))) continue;
    plainRaft += 1;
    if (plainRaftExamples.length < examplesMax) plainRaftExamples.push(describeCase(item));
  }
  return { cases, due, failures, plainRaft, plainRaftExamples };
}
