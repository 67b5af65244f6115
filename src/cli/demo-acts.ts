/**
 * The acts of the fail-over script: kill the leader, let the first one take the lead back, lose a
 * worker for good. Before each kill the nodes that stay must suffice: voters without a failed one,
 * and enough verified copies among them.
 */
import { randomBytes } from 'node:crypto';
import type { PinReport } from '../agent/api.ts';
import { type PinnedPart, waitForPins } from './demo-content.ts';
import type { FlockNode } from './demo-flock.ts';
import type { Stage } from './demo-stage.ts';
import {
  actingLeader,
  copiesOn,
  type Leader,
  leaderOf,
  mastersVote,
  pinOf,
  settleVoters,
  until,
} from './demo-watch.ts';
import type { Writer } from './demo-writer.ts';
import { ExitError } from './exit-code.ts';

const copiesMsMax = 45_000;
const leaderMsMax = 15_000;
const takeBackMsMax = 45_000;
/** Asking more often would take the machine from the election that is measured. */
const pollMs = 25;
/** Small pins with exactly the minimum of copies: losing a node leaves some of them short. */
const sparePins = 8;
const spareBytes = 65_536;

export interface Killed {
  readonly leader: Leader;
  /** From the kill to the first acknowledged write that was sent after it. */
  readonly failoverMs: number;
  /** From the kill to the first `/leader` 200. */
  readonly actingMs: number;
}

export interface Scene {
  readonly stage: Stage;
  readonly pins: readonly PinnedPart[];
  readonly copies: { readonly min: number; readonly max: number };
  readonly writer: Writer;
  readonly say: (text: string) => void;
  watchLeecher(): void;
  leecherLed(): boolean;
  end(): Promise<void>;
}

export function createActs(
  stage: Stage,
  given: Pick<Scene, 'pins' | 'copies' | 'writer' | 'say'>,
): Scene {
  let led = false;
  let ended = false;
  let watching: Promise<unknown> = Promise.resolve();
  const leecher = stage.flock.node('leecher-1');
  const watch = async (): Promise<true | null> => {
    const answer = await leaderOf(leecher);
    led ||= answer?.acting === true || answer?.leader?.name === leecher.name;
    return ended ? true : null;
  };
  return {
    ...given,
    stage,
    watchLeecher() {
      watching = until('the end of the script', 600_000, watch, 100);
    },
    leecherLed: () => led,
    async end() {
      ended = true;
      await watching;
    },
  };
}

/** Nodes that hold copies and will live on without `victim`. */
const stayers = ({ stage }: Scene, victim: string): Set<string> =>
  new Set(
    stage.flock
      .living()
      .filter(({ name, role }) => name !== victim && role !== 'leecher')
      .map(({ name }) => name),
  );

/**
 * Waits for `min` verified copies of every pin on the nodes that stay. Where only the copy on the
 * victim makes up the minimum, nothing would be repaired before the kill; then one more is asked
 * for until after it, as an operator would.
 */
async function secureCopies(scene: Scene, leader: FlockNode, victim: string): Promise<string[]> {
  const raised: string[] = [];
  const stay = stayers(scene, victim);
  const { min } = scene.copies;
  for (const { cid } of scene.pins) {
    const pin = await pinOf(leader, cid);
    if (pin !== null && copiesOn(pin, stay) < min) {
      await leader.client().write('PUT', `/v1/pins/${cid}`, { json: { min: min + 1 } });
      raised.push(cid);
    }
  }
  const cids = scene.pins.map(({ cid }) => cid);
  const enough = (pin: PinReport): boolean => copiesOn(pin, stay) >= min;
  await waitForPins(() => leader, cids, copiesMsMax, enough);
  return raised;
}

const otherLeader = (scene: Scene, not: string): Promise<Leader> =>
  until(
    `a leader other than ${not}`,
    leaderMsMax,
    async () => {
      const leader = await actingLeader(scene.stage.flock);
      return leader !== null && leader.name !== not ? leader : null;
    },
    pollMs,
  );

/** Kills the leader and measures until the next one serves and acts. */
export async function killLeader(scene: Scene, victim: Leader): Promise<Killed> {
  const { flock } = scene.stage;
  const old = flock.node(victim.name);
  if (victim.role !== 'master')
    throw new ExitError('failure', `${victim.name} leads, a ${victim.role}; a master has to`);
  await mastersVote(scene.stage.flock, old);
  await settleVoters(scene.stage.flock, old);
  const raised = await secureCopies(scene, old, victim.name);
  const killing = flock.kill(victim.name);
  const [killedMs, ackMs, [leader, actingAtMs]] = await Promise.all([
    killing,
    scene.writer.firstAckFromNow(),
    otherLeader(scene, victim.name).then((next) => [next, performance.now()] as const),
  ]);
  for (const cid of raised)
    await flock
      .node(leader.name)
      .client()
      .write('PUT', `/v1/pins/${cid}`, { json: { min: scene.copies.min } });
  const killed = { leader, failoverMs: ackMs - killedMs, actingMs: actingAtMs - killedMs };
  scene.say(
    `killed ${victim.name}: ${leader.name} takes writes after ` +
      `${Math.round(killed.failoverMs)} ms and acts after ` +
      `${Math.round(killed.actingMs)} ms, in term ${leader.term}`,
  );
  return killed;
}

/** Starts a master again and waits until it has taken the lead from the worker. */
export async function takeBack(scene: Scene, name: string, from: Leader) {
  const { flock } = scene.stage;
  flock.start(name);
  const leader = await until(
    `${name} has the lead back`,
    takeBackMsMax,
    async () => {
      const now = await actingLeader(flock);
      return now?.name === name ? now : null;
    },
    pollMs,
  );
  const atMs = performance.now();
  const after = scene.writer.acknowledged();
  await until('writes under the new leader', leaderMsMax, async () =>
    scene.writer.acknowledged() > after + 10 ? true : null,
  );
  const longestWriteGapMs = scene.writer.longestGapMs(atMs - 1000, performance.now());
  scene.say(
    `${name} took the lead from ${from.name} in term ${leader.term}; ` +
      `longest gap between writes ${Math.round(longestWriteGapMs)} ms`,
  );
  return { leader, longestWriteGapMs };
}

async function addSpares(leader: FlockNode): Promise<string[]> {
  const cids: string[] = [];
  for (let i = 1; i <= sparePins; i++) {
    const bytes = randomBytes(spareBytes);
    const { cid } = await leader.client().call<{ cid: string }>('POST', '/v1/content', {
      query: { name: `spare-${i}`, min: 2, max: 2 },
      stream: {
        type: 'application/octet-stream',
        body: (async function* () {
          yield bytes;
        })(),
      },
    });
    cids.push(cid);
  }
  return cids;
}

/** Loses a node for good: how many pins it leaves short, and when all have their minimum again. */
export async function repairAfterLoss(scene: Scene, victim: string, leaderName: string) {
  const { flock } = scene.stage;
  const leader = flock.node(leaderName);
  const cids = [...scene.pins.map(({ cid }) => cid), ...(await addSpares(leader))];
  const stay = stayers(scene, victim);
  await settleVoters(flock, leader);
  // Every pin at its minimum, and a copy of each on a node that stays.
  const enough = (pin: PinReport): boolean => pin.verified >= pin.min && copiesOn(pin, stay) > 0;
  const before = await waitForPins(() => leader, cids, copiesMsMax, enough);
  const short = before.filter((pin) => copiesOn(pin, stay) < pin.min);
  const killedMs = await flock.kill(victim);
  const restored = (pin: PinReport): boolean => copiesOn(pin, stay) >= pin.min;
  const after = await waitForPins(() => leader, cids, copiesMsMax, restored);
  const seconds = Math.round(performance.now() - killedMs) / 1000;
  scene.say(`lost ${victim}: ${short.length} pins were short and are repaired after ${seconds} s`);
  return { pins: short.length, seconds, verified: after.every(restored) };
}
