/**
 * One round: a cluster of its own in namespaces of its own, burnt for a while, healed and judged.
 * Started by main.ts inside `unshare`, so that nothing of it can outlive this process. Takes the
 * round as JSON, prints what happens on standard error and one JSON object on standard output.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import { until } from '../e2e/flock.ts';
import { compare, createWriter, readIndex, type Writer } from '../e2e/writer.ts';
import { type ActingRecord, actingIntervals, overlaps, staleOrders } from './acting.ts';
import { type Clients, createClients, type Plant } from './clients.ts';
import { type Directed, episode, type Scene } from './faults.ts';
import { type ChaosNode, createFlock, type Flock } from './flock.ts';
import { readLogs } from './judge.ts';
import { judgeHistory } from './linearizability.ts';
import { createNetwork } from './network.ts';

export interface Round {
  readonly dir: string;
  readonly seed: number;
  readonly seconds: number;
  readonly plant: Plant;
  /** The faults to try, and where; null: by the seed. */
  readonly directed: Directed | null;
  /** A network that is bad all the time instead of faults that come and go. */
  readonly lossy: { readonly loss: number; readonly ms: number; readonly jitterMs: number } | null;
}

export interface RoundResult {
  readonly seed: number;
  readonly findings: readonly string[];
  readonly nodes: readonly string[];
  readonly faults: Readonly<Record<string, number>>;
  readonly operations: number;
  readonly acknowledged: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly elections: number;
  /** Of a lossy network: elections after the first minute. */
  readonly electionsLate: number;
  readonly actingIntervals: number;
  readonly orders: number;
}

const flocks: readonly (readonly string[])[] = [
  ['master-1', 'master-2', 'worker-1'],
  ['master-1', 'master-2', 'worker-1', 'worker-2', 'leecher-1'],
  ['master-1', 'master-2', 'worker-1', 'worker-2', 'worker-3'],
];
const settleMsMax = 90_000;
const contentBytes = 200_000;
const pins = 3;
const timing = { holdMs: 2000, voterGraceMs: 8000, repairGraceMs: 5000 };
const settledMs = 60_000;
/** A planted round goes on until there are so many lies, and at most so much longer. */
const [liesMin, lieMsMax] = [4, 120_000];

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function addContent(flock: Flock, node: ChaosNode): Promise<void> {
  for (let i = 1; i <= pins; i++) {
    const response = await fetch(`${node.url}/v1/content?name=pin-${i}&min=2&max=3`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${flock.token(node)}`,
        'content-type': 'application/octet-stream',
      },
      body: Buffer.alloc(contentBytes, i),
    });
    if (response.status !== 201) throw new Error(`content: ${await response.text()}`);
  }
}

async function leaderOf(flock: Flock): Promise<ChaosNode | null> {
  const pages = await Promise.all(flock.nodes.map(flock.page));
  return flock.nodes.find((_, i) => pages[i]?.election.acting === true) ?? null;
}

/** Everything works again: one leader, everybody has everything, the copies are there. */
async function settle(flock: Flock, writer: Writer, findings: string[]): Promise<void> {
  await flock.leader(settleMsMax);
  await writer.stop();
  for (const node of flock.nodes) {
    let missing: readonly string[] = [];
    const found = await until(
      `${node.name} has every acknowledged write`,
      async () => {
        const there = await readIndex(node.url, 'k', flock.token(node)).catch(() => null);
        const result = there === null ? null : compare(writer.acknowledged, there);
        missing = result?.lost ?? ['it does not answer'];
        return missing.length === 0 ? result : null;
      },
      { deadlineMs: 30_000, everyMs: 200, seen: async () => missing.slice(0, 20) },
    ).catch((thrown: Error) => thrown.message);
    if (typeof found === 'string') findings.push(found);
    else if (found.doubled.length > 0)
      findings.push(`${node.name}: ${found.doubled.length} writes happened twice`);
  }
  await until(
    'all pins have their copies',
    async () => {
      const page = await leaderOf(flock).then((node) => (node === null ? null : flock.page(node)));
      const seen = page?.replication ?? null;
      return seen !== null && seen.pins >= pins && seen.underReplicated === 0 ? true : null;
    },
    { deadlineMs: settleMsMax, everyMs: 200, seen: async () => leaderOf(flock) },
  ).catch((thrown: Error) => findings.push(thrown.message));
}

/** The counter's acknowledgements, with one that never was where that is planted. */
function planted(writer: Writer, plant: Plant): Writer {
  if (plant !== 'lost-write') return writer;
  const acknowledged = new Map([...writer.acknowledged, ['k-never', 1] as const]);
  return { ...writer, acknowledged };
}

async function burn(
  round: Round,
  scene: Scene,
  lies: () => number,
  faults: Map<string, number>,
): Promise<void> {
  const endMs = performance.now() + round.seconds * 1000;
  if (round.lossy !== null) {
    await wait(round.seconds * 1000);
    await scene.network.heal();
    scene.network.delay(0, 0);
    return;
  }
  // A judge is not tested by a client that had no time to lie.
  const lying = (): boolean => round.plant !== null && lies() < liesMin;
  while (performance.now() < endMs || (lying() && performance.now() < endMs + lieMsMax)) {
    for (const name of await episode(scene, say, round.directed))
      faults.set(name, (faults.get(name) ?? 0) + 1);
    await wait(scene.prng.range(200, 3000));
  }
}

/** Terms that somebody began to act in only after `atMs`; a lease that lapsed and came back is none. */
function laterTerms(records: readonly ActingRecord[], atMs: number): number {
  const begun = records.filter(({ acting }) => acting);
  const early = new Set(begun.filter((each) => each.atMs <= atMs).map(({ term }) => term));
  return new Set(begun.map(({ term }) => term).filter((term) => !early.has(term))).size;
}

interface Judged {
  readonly flock: Flock;
  readonly clients: Clients;
  readonly findings: string[];
  readonly settledAtMs: number;
}

function judge({ flock, clients, findings, settledAtMs }: Judged) {
  const logged = readLogs(flock.nodes.map(({ logFile }) => logFile));
  const intervals = actingIntervals(logged.acting, flock.ends);
  for (const pair of overlaps(intervals))
    findings.push(`two acted at once: ${JSON.stringify(pair)}`);
  for (const order of staleOrders(logged.orders))
    findings.push(`an order of an old fence was executed: ${JSON.stringify(order)}`);
  findings.push(...flock.surprises, ...logged.fatal);
  const verdict = judgeHistory(clients.history());
  if (verdict.type !== 'linearizable') findings.push(JSON.stringify(verdict));
  return {
    operations: verdict.type === 'linearizable' ? verdict.operations : clients.history().length,
    elections: new Set(logged.terms).size,
    electionsLate: laterTerms(logged.acting, settledAtMs),
    actingIntervals: intervals.length,
    orders: logged.orders.length,
  };
}

async function worldOf(round: Round, prng: Prng) {
  const plain = round.lossy !== null || round.directed !== null;
  const names = plain ? (flocks[0] ?? []) : prng.pick(flocks);
  const proxied = round.lossy !== null || (!plain && prng.chance(0.2));
  const network = await createNetwork({ nodes: names.length, proxied });
  const clocks = plain ? [] : [prng.pick(names)];
  const flock = await createFlock({ dir: round.dir, names, network, clocks, timing });
  say(`round ${round.seed}: ${names.join(', ')}; ${proxied ? 'proxied' : 'routed'}`);
  for (const node of flock.nodes) flock.start(node);
  await flock.leader(settleMsMax);
  await addContent(flock, flock.nodes[0] as ChaosNode);
  if (round.lossy !== null) {
    network.delay(round.lossy.ms, round.lossy.jitterMs);
    await network.loss(round.lossy.loss);
  } else if (proxied) network.delay(prng.range(1, 40), prng.range(0, 20));
  return { network, flock };
}

async function play(round: Round): Promise<RoundResult> {
  const prng = createPrng(round.seed);
  const findings: string[] = [];
  const faults = new Map<string, number>();
  mkdirSync(round.dir, { recursive: true });
  const { network, flock } = await worldOf(round, prng);
  const settledAtMs = Number(process.hrtime.bigint()) / 1e6 + settledMs;
  const aimed: Scene['aimed'] = { at: null };
  const clients = createClients({
    ...{ flock, prng: createPrng(round.seed + 1), plant: round.plant },
    focus: () => aimed.at,
  });
  const turns = createPrng(round.seed + 2);
  const writer = createWriter({
    target: () => {
      const node = turns.pick(flock.nodes);
      return { url: node.url, token: flock.token(node) };
    },
    prefix: 'k',
    lanes: 2,
  });
  const leader = () => leaderOf(flock);
  const finding = (text: string): void => void findings.push(text);
  const scene: Scene = { flock, network, prng, leader, finding, aimed };
  await burn(round, scene, clients.lies, faults);
  const electionsEndMs = Number(process.hrtime.bigint()) / 1e6;
  await clients.stop();
  await settle(flock, planted(writer, round.plant), findings).catch((thrown: Error) =>
    findings.push(thrown.message),
  );
  say(`judging after ${Math.round(electionsEndMs - settledAtMs + settledMs)} ms`);
  await flock.stopAll();
  network.close();
  const judged = judge({ flock, clients, findings, settledAtMs });
  if (findings.length > 0)
    writeFileSync(join(round.dir, 'history.json'), JSON.stringify(clients.history()));
  return {
    seed: round.seed,
    findings,
    nodes: flock.nodes.map(({ name }) => name),
    faults: Object.fromEntries(faults),
    acknowledged: writer.acknowledged.size,
    answers: Object.fromEntries(clients.counts),
    ...judged,
  };
}

const result = await play(JSON.parse(process.argv[2] ?? '{}') as Round);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
