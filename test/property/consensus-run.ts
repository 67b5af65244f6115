/**
 * Random runs of the bare consensus room: kills, restarts, cuts, one-way loss, clock rates,
 * transfers, admissions and forgetting, with proposals and reads all the while. Safety is checked
 * after every piece of the run, liveness after the faults end.
 */
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { Fact } from '../../src/consensus/api.ts';
import type { Role } from '../../src/wire/member.ts';
import { type Cluster, formed, type SimNode } from '../scenario/cluster.ts';

const shapes: Record<string, Role>[] = [
  { a: 'master', b: 'worker' },
  { a: 'master', b: 'master', c: 'worker' },
  { a: 'master', b: 'master', c: 'worker', d: 'worker', l: 'leecher' },
  { a: 'master', b: 'worker', w: 'witness' },
  { a: 'worker', b: 'master', c: 'worker', d: 'master', e: 'worker' },
  { a: 'worker', b: 'master', c: 'worker', d: 'worker', e: 'worker', f: 'master', g: 'worker' },
];

class Watch {
  readonly leaders = new Map<number, string>();
  readonly wrong: string[] = [];
  cluster: Cluster | null = null;
  fact(node: SimNode, fact: Fact): void {
    if (fact.type === 'corruption') this.wrong.push(`${node.id}: corruption ${fact.detail}`);
    if (fact.type !== 'state-changed' || fact.state !== 'leader') return;
    const known = this.leaders.get(fact.term);
    if (known && known !== node.id) this.wrong.push(`term ${fact.term}: ${known}, ${node.id}`);
    this.leaders.set(fact.term, node.id);
    if (!node.certificate.leads) this.wrong.push(`${node.id} leads without the right to`);
  }
}

function checkPrefixes(cluster: Cluster, wrong: string[]): void {
  const agreed = new Map<number, string>();
  for (const node of cluster.nodes.values())
    for (const { index, text } of node.catalog) {
      const other = agreed.get(index);
      if (other !== undefined && other !== text) wrong.push(`index ${index}: ${other} and ${text}`);
      agreed.set(index, text);
    }
}

interface Sent {
  readonly node: string;
  readonly ref: number;
  readonly text: string;
  incarnation: number;
}

interface Run {
  readonly cluster: Cluster;
  readonly prng: Prng;
  readonly watch: Watch;
  readonly sent: Sent[];
  readonly acknowledged: Map<string, number>;
  readonly reads: { node: string; ref: number; atLeast: number; incarnation: number }[];
}

function pieceOf(run: Run): void {
  const { cluster, prng } = run;
  const ids = [...cluster.nodes.keys()];
  const a = prng.pick(ids);
  const b = prng.pick(ids);
  const up = cluster.node(a).core !== null;
  switch (prng.int(11)) {
    case 0:
      if (up && prng.chance(0.6)) cluster.kill(a, prng.chance(0.8));
      break;
    case 1:
      if (!up) cluster.start(a);
      break;
    case 2:
      if (a !== b) cluster.cut(a, b, prng.chance(0.7));
      break;
    case 3:
      if (a !== b) cluster.heal(a, b);
      break;
    case 4:
      if (a !== b) cluster.cuts.add(`${a}>${b}`);
      break;
    case 5:
      if (up) cluster.ask(a, { type: 'transfer', to: prng.chance(0.5) ? b : null });
      break;
    case 6:
      if (up && prng.chance(0.3)) {
        const change = prng.chance(0.5)
          ? { type: 'forget', peerId: b }
          : { type: 'admit', member: cluster.node(b).certificate };
        cluster.ask(a, { type: 'reconfigure', change });
      }
      break;
    case 7:
      for (const id of ids) cluster.rejoin(id);
      break;
    case 8:
      if (up && cluster.node(a).awakeAtMs <= cluster.nowMs)
        cluster.suspend(a, prng.range(10, 2000));
      break;
    case 9:
      if (cluster.node(a).stuck) cluster.releaseDisk(a);
      else cluster.node(a).stuck = [];
      break;
    default:
      if (up) cluster.slow.set(`${a}>${b}`, prng.range(0, 40));
  }
}

function proposeAndRead(run: Run): void {
  const { cluster, prng, sent, reads, acknowledged } = run;
  for (const node of cluster.nodes.values()) {
    if (!node.core) continue;
    if (prng.chance(0.7)) {
      const text = `${sent.length}`;
      const ref = cluster.propose(node.id, text, prng.range(50, 3000));
      sent.push({ node: node.id, ref, text, incarnation: node.incarnation });
    }
    if (prng.chance(0.3)) {
      const atLeast = Math.max(0, ...acknowledged.values());
      const ref = cluster.ask(node.id, { type: 'read' }, 1000);
      reads.push({ node: node.id, ref, atLeast, incarnation: node.incarnation });
    }
  }
}

function check(run: Run): void {
  const { cluster, sent, reads, acknowledged, watch } = run;
  if (cluster.acting().length > 1) watch.wrong.push(`two act: ${cluster.acting().join()}`);
  for (const { node, ref, text } of sent) {
    const outcome = cluster.node(node).outcomes.get(ref);
    if (outcome?.type !== 'applied' || acknowledged.has(text)) continue;
    acknowledged.set(text, outcome.index);
    if (Buffer.from(outcome.result).toString() !== `${outcome.index}:${text}`)
      watch.wrong.push(`${text}: wrong result`);
  }
  for (const { node, ref, atLeast } of reads) {
    const read = cluster.node(node).reads.get(ref);
    if (read?.type === 'ready' && read.index < atLeast) watch.wrong.push(`stale read ${ref}`);
  }
  checkPrefixes(cluster, watch.wrong);
}

function settle(run: Run): void {
  const { cluster, watch, acknowledged } = run;
  cluster.run(2500);
  for (const id of cluster.nodes.keys()) {
    if (!cluster.node(id).core) cluster.start(id);
    cluster.releaseDisk(id);
    cluster.rejoin(id);
  }
  cluster.slow.clear();
  cluster.run(15_000);
  const leader = cluster.leader();
  if (!leader) {
    watch.wrong.push('no leader after the faults ended');
    return;
  }
  const ref = cluster.propose(leader.id, 'last');
  cluster.run(3000);
  if (cluster.node(leader.id).outcomes.get(ref)?.type !== 'applied')
    watch.wrong.push('the last proposal was not applied');
  check(run);
  const members = cluster.status(leader.id).configuration.members.map((m) => m.peerId);
  for (const id of members) {
    const texts = new Set(cluster.node(id).catalog.map((line) => line.text));
    for (const text of acknowledged.keys())
      if (!texts.has(text)) watch.wrong.push(`${id} misses acknowledged ${text}`);
  }
}

export function randomRun(seed: number, pieces: number): string[] {
  const prng = createPrng(seed);
  const watch = new Watch();
  const cluster = formed(prng.pick(shapes), {
    seed,
    linkMs: prng.pick([0.2, 1, 15]),
    diskMs: prng.pick([0.1, 2, 30]),
    trailing: prng.pick([3, 50, 10_000]),
    rates: [0.95, 1.05],
    timing: { holdMs: 2000, voterGraceMs: 3000, takeoverCooldownMs: 3000 },
    watch: (node, fact) => watch.fact(node, fact),
  });
  const run: Run = { cluster, prng, watch, sent: [], acknowledged: new Map(), reads: [] };
  for (let i = 0; i < pieces && watch.wrong.length === 0; i += 1) {
    if (prng.chance(0.5)) pieceOf(run);
    proposeAndRead(run);
    for (let j = 0; j < 4; j += 1) {
      cluster.run(prng.range(1, 60));
      check(run);
    }
    for (const node of cluster.nodes.values())
      if (prng.chance(0.2)) cluster.step(node, { type: 'compact', index: node.disk.applied });
  }
  if (watch.wrong.length === 0) settle(run);
  return watch.wrong.map((line) => `seed ${seed}: ${line}`);
}
