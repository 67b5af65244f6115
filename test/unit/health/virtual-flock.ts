/**
 * Nodes with the real failure detector on a virtual clock: probes, help and gossiped records as
 * delayed messages, links that close when a process is killed, and loops that stand still: what
 * arrives meanwhile waits, and on waking timers run before what waits, as in Node.
 */
import { createPrng } from '../../../src/base/prng.ts';
import {
  createFailureDetector,
  type DetectorAction,
  type FailureDetector,
  type HealthWord,
  type MemberState,
} from '../../../src/health/failure-detector.ts';
import type { ProbeResult } from '../../../src/health/probes.ts';

export interface Change {
  readonly atMs: number;
  readonly by: string;
  readonly peer: string;
  readonly to: MemberState;
  readonly why: string;
}

interface VirtualNode {
  readonly name: string;
  readonly detector: FailureDetector;
  readonly links: Set<string>;
  beat: number;
  dead: boolean;
  stalledUntilMs: number;
  readonly waiting: (() => void)[];
}

export interface VirtualFlock {
  readonly changes: readonly Change[];
  nowMs(): number;
  runUntil(ms: number): void;
  /** The process ends: its links close at once. */
  kill(name: string): void;
  /** The machine loses its network: nothing arrives, no link is closed. */
  cut(name: string): void;
  stall(name: string, forMs: number): void;
  leave(name: string): void;
  stateOf(by: string, peer: string): MemberState | null;
  doubtOf(name: string): number;
}

export function createVirtualFlock(options: {
  seed: number;
  count: number;
  /** Pairs that keep a link; everybody with everybody if not given. */
  linked?: (a: number, b: number) => boolean;
  /** Share of gossip messages that get lost. */
  loss?: number;
}): VirtualFlock {
  const prng = createPrng(options.seed);
  const queue: { atMs: number; order: number; run: () => void }[] = [];
  const changes: Change[] = [];
  const cutOff = new Set<string>();
  let nowMs = 0;
  let order = 0;
  const names = Array.from({ length: options.count }, (_, i) => `n${i}`);
  const nodes = new Map<string, VirtualNode>();

  const at = (atMs: number, run: () => void): void => {
    queue.push({ atMs, order: order++, run });
  };
  const delay = (): number => prng.range(1, 30);

  /** Runs at the receiver, or waits until its loop turns again. */
  const arrive = (node: VirtualNode, run: () => void): void => {
    if (node.dead) return;
    if (nowMs < node.stalledUntilMs) node.waiting.push(run);
    else {
      run();
      step(node);
    }
  };
  const send = (from: string, to: VirtualNode, run: () => void): void =>
    at(nowMs + delay(), () => {
      if (!cutOff.has(from) && !cutOff.has(to.name)) arrive(to, run);
    });

  function say(node: VirtualNode, leaving = false): void {
    node.beat += 1;
    const accused = node.detector.accusations();
    const word: HealthWord = { incarnation: 1, beat: node.beat, leaving, accused };
    for (const other of nodes.values())
      if (other !== node && !prng.chance(options.loss ?? 0))
        send(node.name, other, () => other.detector.record(node.name, word, nowMs));
  }

  function probe(from: VirtualNode, to: string, done: (reached: boolean) => void): void {
    const target = nodes.get(to);
    if (target === undefined || !from.links.has(to)) done(false);
    else send(from.name, target, () => send(to, from, () => done(true)));
  }

  function act(node: VirtualNode, action: DetectorAction): void {
    const tell = (result: ProbeResult): void => {
      node.detector.result(result, nowMs);
      at(nowMs, () => arrive(node, () => undefined));
    };
    if (action.type === 'changed') changes.push({ atMs: nowMs, by: node.name, ...action });
    else if (action.type === 'say') say(node);
    else if (action.type === 'probe') {
      const { id, peer } = action;
      if (!node.links.has(peer)) tell({ type: 'no-link', id, peer });
      else probe(node, peer, (yes) => yes && tell({ type: 'answered', id, peer }));
    } else {
      const { id, helper, peer } = action;
      const other = nodes.get(helper);
      if (other === undefined || !node.links.has(helper)) return;
      const answer = (text: 'reached' | 'not-reached' | 'unknown'): void =>
        send(helper, node, () => tell({ type: 'helped', id, helper, answer: text }));
      send(node.name, other, () => {
        if (other.links.has(peer)) {
          let open = true;
          probe(other, peer, (yes) => {
            if (open && yes) answer('reached');
            open = false;
          });
          at(nowMs + 400, () => {
            if (open && nowMs >= other.stalledUntilMs) answer('not-reached');
            open = false;
          });
        } else answer(other.detector.knowsLink(peer) ? 'not-reached' : 'unknown');
      });
    }
  }

  function step(node: VirtualNode): void {
    if (node.dead || nowMs < node.stalledUntilMs) return;
    for (const action of node.detector.step(nowMs)) act(node, action);
    const wakeMs = node.detector.nextWakeMs();
    at(wakeMs, () => {
      if (node.detector.nextWakeMs() <= nowMs) step(node);
    });
  }

  for (const name of names) {
    const node: VirtualNode = {
      name,
      detector: createFailureDetector({
        self: name,
        own: () => ({ incarnation: 1, beat: node.beat }),
        prng: prng.fork(),
        nowMs: 0,
      }),
      links: new Set(),
      beat: 0,
      dead: false,
      stalledUntilMs: 0,
      waiting: [],
    };
    nodes.set(name, node);
  }
  names.forEach((a, i) => {
    const node = nodes.get(a);
    node?.detector.setMembers(names, 0);
    names.forEach((b, j) => {
      if (i === j || !(options.linked?.(Math.min(i, j), Math.max(i, j)) ?? true)) return;
      node?.links.add(b);
      node?.detector.link(b, true, 0);
    });
  });
  for (const node of nodes.values()) {
    step(node);
    const repeat = (): void => {
      if (node.dead) return;
      if (nowMs >= node.stalledUntilMs) say(node);
      at(nowMs + 10_000, repeat);
    };
    at(prng.range(0, 500), repeat);
  }

  const need = (name: string): VirtualNode => {
    const node = nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  };

  return {
    changes,
    nowMs: () => nowMs,
    runUntil: (ms) => {
      for (;;) {
        queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
        const next = queue[0];
        if (next === undefined || next.atMs > ms) break;
        queue.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
      }
      nowMs = ms;
    },
    kill: (name) => {
      need(name).dead = true;
      for (const other of nodes.values())
        if (other.links.delete(name))
          at(nowMs + delay(), () => arrive(other, () => other.detector.link(name, false, nowMs)));
    },
    cut: (name) => {
      cutOff.add(name);
    },
    stall: (name, forMs) => {
      const node = need(name);
      node.stalledUntilMs = nowMs + forMs;
      at(node.stalledUntilMs, () => {
        if (node.dead || nowMs < node.stalledUntilMs) return;
        step(node);
        for (const run of node.waiting.splice(0)) run();
        step(node);
      });
    },
    leave: (name) => {
      say(need(name), true);
      need(name).dead = true;
    },
    stateOf: (by, peer) => need(by).detector.view(peer)?.state ?? null,
    doubtOf: (name) => need(name).detector.doubt(),
  };
}
