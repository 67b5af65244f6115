/**
 * Plain Raft, as in the paper (no pre-vote, no fetching of logs, no rank, random timeouts), reduced
 * to elections over fixed logs. Run over the same tables of cut links as our own protocol, it shows
 * which shapes need more than that.
 */
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { hasPath, type Shape } from './digraphs.ts';
import { createEventQueue } from './event-queue.ts';

const heartbeatMs: Ms = 100;
const electionMsMin: Ms = 600;
const electionMsMax: Ms = 900;
const delayMs: Ms = 1;
/** A leader that lasts this long with a majority behind it counts as one that stays. */
const staysMs: Ms = 2500;
const limitMs: Ms = 15_000;

interface PlainNode {
  term: number;
  vote: number | null;
  state: 'follower' | 'candidate' | 'leader';
  deadlineMs: Ms;
  grants: Set<number>;
  heard: Map<number, Ms>;
  leadsSinceMs: Ms;
}

/** Whether plain Raft elects a leader that stays; `longest` holds a log that the others lack. */
export function plainRaftElects(nodes: number, shape: Shape, longest: number, prng: Prng): boolean {
  return createPlainCluster(nodes, shape, longest, prng)();
}

function createPlainCluster(
  nodes: number,
  shape: Shape,
  longest: number,
  prng: Prng,
): () => boolean {
  const queue = createEventQueue();
  const all: PlainNode[] = Array.from({ length: nodes }, () => ({
    ...{ term: 2, vote: null, state: 'follower' as const, deadlineMs: 0, leadsSinceMs: 0 },
    ...{ grants: new Set<number>(), heard: new Map<number, Ms>() },
  }));
  const at = (id: number): PlainNode => all[id] as PlainNode;
  const logOf = (id: number): number => (id === longest ? 1 : 0);
  const others = (id: number): number[] => all.map((_, other) => other).filter((o) => o !== id);
  const rearm = (node: PlainNode): void => {
    node.deadlineMs = queue.nowMs() + prng.range(electionMsMin, electionMsMax);
  };
  const send = (from: number, to: number, run: () => void): void => {
    if (hasPath(shape, nodes, from, to)) queue.in(delayMs, run);
  };
  const follow = (node: PlainNode, term: number): void => {
    if (term > node.term) {
      node.term = term;
      node.vote = null;
      node.state = 'follower';
    }
  };

  function campaign(id: number): void {
    const node = at(id);
    node.term += 1;
    node.vote = id;
    node.state = 'candidate';
    node.grants = new Set([id]);
    rearm(node);
    const { term } = node;
    for (const to of others(id)) send(id, to, () => onVote(to, id, term));
  }

  function onVote(id: number, from: number, term: number): void {
    const node = at(id);
    follow(node, term);
    const free = node.vote === null || node.vote === from;
    const granted = term === node.term && free && logOf(from) >= logOf(id);
    if (granted) {
      node.vote = from;
      rearm(node);
    }
    const { term: current } = node;
    send(id, from, () => onGrant(from, id, current, granted, term));
  }

  function onGrant(id: number, from: number, term: number, granted: boolean, asked: number): void {
    const node = at(id);
    follow(node, term);
    if (!granted || node.state !== 'candidate' || node.term !== asked) return;
    node.grants.add(from);
    if (node.grants.size * 2 <= nodes) return;
    node.state = 'leader';
    node.leadsSinceMs = queue.nowMs();
    node.heard = new Map();
    beat(id);
  }

  function beat(id: number): void {
    const node = at(id);
    const { term } = node;
    if (node.state !== 'leader') return;
    for (const to of others(id)) send(id, to, () => onBeat(to, id, term));
    queue.in(heartbeatMs, () => {
      if (node.state === 'leader' && node.term === term) beat(id);
    });
  }

  function onBeat(id: number, from: number, term: number): void {
    const node = at(id);
    follow(node, term);
    if (term === node.term) {
      if (node.state === 'candidate') node.state = 'follower';
      rearm(node);
    }
    const { term: current } = node;
    send(id, from, () => {
      const leader = at(from);
      follow(leader, current);
      if (current === leader.term) leader.heard.set(id, queue.nowMs());
    });
  }

  function tick(id: number): void {
    const node = at(id);
    if (node.state !== 'leader' && queue.nowMs() >= node.deadlineMs) campaign(id);
    queue.in(5, () => tick(id));
  }

  const stays = (node: PlainNode): boolean => {
    if (node.state !== 'leader' || queue.nowMs() - node.leadsSinceMs < staysMs) return false;
    const fresh = [...node.heard.values()].filter((ms) => queue.nowMs() - ms < electionMsMin);
    return (fresh.length + 1) * 2 > nodes;
  };
  all.forEach((node, id) => {
    rearm(node);
    tick(id);
  });
  return () => {
    while (queue.nowMs() < limitMs) {
      queue.runUntil(queue.nowMs() + 100);
      if (all.some(stays)) return true;
    }
    return false;
  };
}
