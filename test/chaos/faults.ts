/**
 * What can go wrong, each with its beginning and its end. Which, where and how long comes from the
 * seed. An episode has one to three of them at once; when it is over everything works again.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Prng } from '../../src/base/prng.ts';
import { segmentHeadBytes } from '../../src/store/segment.ts';
import type { ChaosNode, Flock } from './flock.ts';
import type { Network } from './network.ts';

export interface Scene {
  readonly flock: Flock;
  readonly network: Network;
  readonly prng: Prng;
  /** Who leads as far as anybody says; null: nobody. */
  readonly leader: () => Promise<ChaosNode | null>;
  readonly finding: (text: string) => void;
  /** Where a directed fault is going on. */
  readonly aimed: { at: ChaosNode | null };
}

/** Begins; what it returns ends it. */
type Begin = (scene: Scene, node: ChaosNode, other: ChaosNode) => Promise<() => Promise<void>>;

export interface Fault {
  readonly name: string;
  /** Process and disk faults take a node for themselves. */
  readonly exclusive: boolean;
  /** It befalls all nodes and comes alone. */
  readonly whole?: boolean;
  readonly begin: Begin;
  /** Whether this node can have it. */
  readonly fits?: (node: ChaosNode) => boolean;
}

const refusalMsMax = 30_000;
const nothing = async (): Promise<void> => undefined;

const restart = async ({ flock }: Scene, node: ChaosNode): Promise<void> => {
  await flock.kill(node);
  flock.mayEnd(node, false);
  flock.start(node);
};

/** Damages a segment of the log well before its end: a byte changed, or some missing. */
function damage(prng: Prng, folder: string): string {
  const segments = readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .map((name) => ({ name, bytes: readFileSync(join(folder, name)) }))
    .map((file) => ({ ...file, used: file.bytes.findLastIndex((byte) => byte !== 0) + 1 }));
  const { name, bytes, used } = segments.reduce((a, b) => (a.used > b.used ? a : b));
  const at = prng.int(Math.floor(used / 2) - segmentHeadBytes) + segmentHeadBytes;
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << prng.int(8)), at);
  const torn = [bytes.subarray(0, at), bytes.subarray(at + 7)];
  writeFileSync(join(folder, name), prng.chance(0.5) ? bytes : Buffer.concat(torn));
  return name;
}

/** A node with a damaged log must refuse to start and name the file; then it gets its bytes back. */
const damagedStore: Begin = async (scene, node) => {
  const { flock, network, prng } = scene;
  await flock.kill(node);
  flock.mayEnd(node, true);
  const log = join(node.data, 'log');
  const kept = join(node.disk.dir, 'kept');
  rmSync(kept, { recursive: true, force: true });
  cpSync(log, kept, { recursive: true });
  const file = damage(prng, log);
  const before = readFileSync(node.logFile, 'utf8').length;
  // If it did start, it must not be able to harm the others: its bytes are put back afterwards.
  for (const other of flock.nodes) {
    if (other === node) continue;
    await network.cut(node.number, other.number);
    await network.cut(other.number, node.number);
  }
  flock.start(node);
  const code = await flock.ended(node, refusalMsMax);
  const said = readFileSync(node.logFile, 'utf8').slice(before);
  if (code === null) scene.finding(`${node.name} started with a damaged ${file}`);
  else if (code === 0 || !said.includes(file))
    scene.finding(`${node.name} ended with ${code} and does not name ${file}: ${said.slice(-300)}`);
  return async () => {
    await flock.kill(node);
    rmSync(log, { recursive: true });
    cpSync(kept, log, { recursive: true });
    await restart(scene, node);
  };
};

const isolate =
  (out: boolean, into: boolean): Begin =>
  async ({ flock, network }, node) => {
    for (const other of flock.nodes) {
      if (other === node) continue;
      if (out) await network.cut(node.number, other.number);
      if (into) await network.cut(other.number, node.number);
    }
    return nothing;
  };

const network = (name: string, begin: Begin): Fault => ({ name, exclusive: false, begin });
const machine = (name: string, begin: Begin): Fault => ({ name, exclusive: true, begin });

/** Power fails everywhere at once: what was not synced is gone, and everything that was is there. */
const powerCut: Begin = async ({ flock }) => {
  const { nodes } = flock;
  for (const node of nodes) flock.mayEnd(node, true);
  await Promise.all(nodes.map((node) => node.disk.abort()));
  await Promise.all(nodes.map((node) => flock.kill(node)));
  return async () => {
    for (const node of nodes) {
      await node.disk.repair();
      flock.mayEnd(node, false);
      flock.start(node);
    }
  };
};

export const faults: readonly Fault[] = [
  { ...machine('power cut', powerCut), whole: true },
  machine('kill', async (scene, node) => {
    await scene.flock.kill(node);
    return async () => scene.flock.start(node);
  }),
  machine('kill and start at once', async (scene, node) => {
    await restart(scene, node);
    return nothing;
  }),
  machine('stop and continue', async ({ flock }, node) => {
    flock.stop(node);
    return async () => flock.resume(node);
  }),
  machine('disk full', async (scene, node) => {
    scene.flock.mayEnd(node, true);
    await node.disk.fill();
    return async () => {
      node.disk.free();
      await restart(scene, node);
    };
  }),
  machine('disk stands still', async (_scene, node) => {
    await node.disk.freeze();
    return node.disk.thaw;
  }),
  machine('disk slow', async ({ prng }, node) => {
    const slow = node.disk.slow(prng.range(1000, 4000));
    return () => slow;
  }),
  machine('disk read-only', async (scene, node) => {
    scene.flock.mayEnd(node, true);
    await node.disk.abort();
    return async () => {
      await scene.flock.kill(node);
      await node.disk.repair();
      await restart(scene, node);
    };
  }),
  machine('damaged store', damagedStore),
  {
    ...network('clock jump', async ({ prng }, node) => {
      const { clockFile } = node;
      if (clockFile === null) return nothing;
      writeFileSync(clockFile, `${prng.pick(['+3600', '-3600', '+0.5', '-0.5', '+86400'])}\n`);
      return async () => writeFileSync(clockFile, '+0\n');
    }),
    fits: ({ clockFile }) => clockFile !== null,
  },
  network('cut both ways', async ({ network: net }, a, b) => {
    await net.cut(a.number, b.number);
    await net.cut(b.number, a.number);
    return nothing;
  }),
  network('cut one way', async ({ network: net }, a, b) => {
    await net.cut(a.number, b.number);
    return nothing;
  }),
  network('isolated', isolate(true, true)),
  network('hears nobody', isolate(false, true)),
  network('heard by nobody', isolate(true, false)),
  network('loss', async ({ network: net, prng }) => {
    await net.loss(prng.pick([0.05, 0.2, 0.4]));
    return nothing;
  }),
  network('resets', async ({ network: net }, a, b) => {
    await net.reset(a.number, b.number);
    return nothing;
  }),
  network('reset by everybody', async ({ flock, network: net }, node) => {
    for (const other of flock.nodes) if (other !== node) await net.reset(node.number, other.number);
    return nothing;
  }),
  network('thin link', async ({ network: net, prng }, node) => {
    await net.thin(node.number, prng.pick([128, 512, 2048]));
    return nothing;
  }),
];

/** What a round tries again and again instead of whatever the seed says. */
export interface Directed {
  readonly faults: readonly string[];
  readonly at: 'leader' | 'follower';
}

interface Choice {
  readonly fault: Fault;
  readonly node: ChaosNode;
  readonly other: ChaosNode;
}

/** Long enough that another one leads and something is written there. */
const directedMs = [2500, 4000] as const;

async function aim({ prng, flock, leader }: Scene, directed: Directed): Promise<Choice[]> {
  const leads = await leader();
  // Nobody leads just now: there is nothing to aim at until somebody does.
  if (leads === null) return [];
  const others = flock.nodes.filter((node) => node !== leads);
  const name = prng.pick(directed.faults);
  const fault = faults.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`no fault is called ${name}`);
  const follower = prng.pick(others);
  if (directed.at === 'leader') return [{ fault, node: leads, other: follower }];
  return [{ fault, node: follower, other: leads }];
}

async function choose({ prng, flock, leader }: Scene): Promise<Choice[]> {
  const count = 1 + (prng.chance(0.5) ? 1 : 0) + (prng.chance(0.25) ? 1 : 0);
  const leads = await leader();
  const taken = new Set<ChaosNode>();
  const chosen: Choice[] = [];
  for (let i = 0; i < count; i++) {
    const fault = prng.pick(faults);
    const node = leads !== null && prng.chance(0.5) ? leads : prng.pick(flock.nodes);
    const other = prng.pick(flock.nodes.filter((each) => each !== node));
    if ((fault.exclusive && taken.has(node)) || fault.fits?.(node) === false) continue;
    if (fault.whole && chosen.length > 0) continue;
    if (fault.exclusive) taken.add(node);
    chosen.push({ fault, node, other });
    if (fault.whole) break;
  }
  return chosen;
}

/** One episode from the seed: what happens where, then everything works again. */
export async function episode(
  scene: Scene,
  tell: (text: string) => void,
  directed: Directed | null,
): Promise<string[]> {
  const { prng } = scene;
  const chosen = directed === null ? await choose(scene) : await aim(scene, directed);
  const lengthMs = directed === null ? prng.range(300, 5000) : prng.range(...directedMs);
  const ends: (() => Promise<void>)[] = [];
  scene.aimed.at = directed === null ? null : (chosen[0]?.node ?? null);
  for (const { fault, node, other } of chosen) {
    tell(`${fault.name}: ${node.name} (${other.name})`);
    ends.push(await fault.begin(scene, node, other));
  }
  await wait(lengthMs);
  for (const end of ends) await end();
  scene.aimed.at = null;
  await scene.network.heal();
  return chosen.map(({ fault }) => fault.name);
}
