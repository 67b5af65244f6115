/** What the directed scenarios share: a stage with its cast, and how to wait on it. */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import { certificate } from './roster.ts';
import type { SimNode } from './sim-node.ts';
import { type Cast, createStage, type StageOptions, stageTiming } from './staged-world.ts';
import type { World } from './world.ts';

export const nodeAt = (world: World, number: number): SimNode =>
  present(world.nodes[number], 'a node');

export function acting(world: World): SimNode | null {
  return world.nodes.find((node) => node.core()?.mayAct(node.now()) != null) ?? null;
}

/** Runs until `ready` or `limitMs` have passed. */
export function until(world: World, limitMs: Ms, ready: () => boolean): boolean {
  const endMs = world.queue.nowMs() + limitMs;
  while (!ready()) {
    if (world.queue.nowMs() >= endMs) return false;
    world.queue.runUntil(world.queue.nowMs() + 1);
  }
  return true;
}

export function cutBothWays(world: World, a: number, b: number, cut: boolean): void {
  world.network.setCut(a, b, cut);
  world.network.setCut(b, a, cut);
}

export function withStage(
  seed: number,
  cast: readonly Cast[],
  tell: (world: World) => boolean,
  more: Partial<StageOptions> = {},
): boolean {
  const world = createStage({ seed, timing: stageTiming, cast, blankCatalogs: true, ...more });
  try {
    return tell(world);
  } finally {
    world.close();
  }
}

export const masters = (count: number, cast: Partial<Cast> = {}): Cast[] =>
  Array.from({ length: count }, (_, number) => ({
    certificate: certificate(`n${number}`, 'master', 0),
    terms: [1],
    ...cast,
  }));
