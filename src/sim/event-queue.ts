/**
 * Virtual time: a heap of callbacks ordered by (instant, order of scheduling). Two events of one
 * instant run in the order they were scheduled, so that a seed always takes the same course.
 * "True time" of a simulation is the time of this queue; nodes see it only through their clocks.
 */
import { assert } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';

/** More events than any seed needs; reaching it means that a loop feeds itself. */
const eventsMax = 2_000_000;

interface Item {
  readonly atMs: Ms;
  readonly order: number;
  run: (() => void) | null;
}

export interface Scheduled {
  cancel(): void;
}

export interface EventQueue {
  nowMs(): Ms;
  /** Runs at `atMs`, or next when that has passed. */
  at(atMs: Ms, run: () => void): Scheduled;
  in(delayMs: Ms, run: () => void): Scheduled;
  /** Runs everything up to and including `untilMs`, then stands at it. */
  runUntil(untilMs: Ms): void;
  /** Runs one event; false when there is none. */
  runNext(): boolean;
  executed(): number;
}

function before(a: Item, b: Item): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

export function createEventQueue(): EventQueue {
  const heap: Item[] = [];
  let nowMs: Ms = 0;
  let order = 0;
  let executed = 0;

  function push(item: Item): void {
    let child = heap.length;
    heap.push(item);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = heap[parent] as Item;
      if (!before(item, above)) break;
      heap[child] = above;
      child = parent;
    }
    heap[child] = item;
  }

  function pop(): Item | undefined {
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let hole = 0;
    for (;;) {
      let child = hole * 2 + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && before(heap[right] as Item, heap[child] as Item)) child = right;
      if (!before(heap[child] as Item, last)) break;
      heap[hole] = heap[child] as Item;
      hole = child;
    }
    heap[hole] = last;
    return top;
  }

  function at(atMs: Ms, run: () => void): Scheduled {
    assert(Number.isFinite(atMs), `an event at ${atMs}`);
    const item: Item = { atMs: atMs > nowMs ? atMs : nowMs, order: order++, run };
    push(item);
    return {
      cancel: () => {
        item.run = null;
      },
    };
  }

  function runNext(): boolean {
    const item = pop();
    if (item === undefined) return false;
    if (item.run === null) return true;
    nowMs = item.atMs;
    executed += 1;
    assert(executed < eventsMax, 'the simulation feeds itself');
    item.run();
    return true;
  }

  return {
    nowMs: () => nowMs,
    at,
    in: (delayMs, run) => at(nowMs + delayMs, run),
    runUntil: (untilMs) => {
      for (;;) {
        const next = heap[0];
        if (next === undefined || next.atMs > untilMs) break;
        runNext();
      }
      if (nowMs < untilMs) nowMs = untilMs;
    },
    runNext,
    executed: () => executed,
  };
}
