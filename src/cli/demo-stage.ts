/**
 * What every way to run the demo has in common: find a place, start five agents, wait for a leader,
 * do the work, and end with nothing left behind, whether the work succeeded, failed or was
 * interrupted.
 */
import type { Role } from '../wire/member.ts';
import { createFlock, type Flock } from './demo-flock.ts';
import { preparePlace } from './demo-place.ts';
import {
  actingLeader,
  allThere,
  type Leader,
  leaderOf,
  settleVoters,
  until,
} from './demo-watch.ts';
import { ExitError } from './exit-code.ts';
import type { Io } from './io.ts';
import { clean } from './table.ts';

/** Long enough for a slow machine; on a usual one a leader is there in less than 3 s. */
const leaderMsMax = 30_000;
const membersMsMax = 30_000;
const founderPollMs = 20;

export interface Stage {
  readonly flock: Flock;
  readonly folder: string;
  /** From the start of the first process to the first leader that acts. */
  readonly electionMs: number;
  readonly leader: Leader;
  /** Waits for the signal that asks us to end, which from here on is no failure. */
  readonly untilInterrupted: () => Promise<string>;
}

export interface StageOptions {
  readonly keep: string | null;
  readonly bytes: number;
  readonly usualPorts: boolean;
  readonly daemons: boolean;
  readonly say: (text: string) => void;
}

export interface NodeRow {
  readonly name: string;
  readonly role: Role;
  readonly statusUrl: string;
  readonly pid: number;
}

export const nodeRows = (flock: Flock): NodeRow[] =>
  flock.nodes.map((node) => ({
    name: node.name,
    role: node.role,
    statusUrl: node.statusUrl,
    pid: node.pid(),
  }));

function watchSignals(): { interrupted: Promise<string>; unwatch: () => void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, resolve);
  return {
    interrupted: promise,
    unwatch: () => {
      for (const signal of signals) process.off(signal, resolve);
    },
  };
}

/**
 * Starts all of them. Until the one that makes the cluster listens, the others have nobody to join
 * and only take its processor time, so a new cluster's founder goes first.
 */
async function startAll(
  flock: Flock,
  founder: string | null,
  lost: ReadonlyMap<string, string>,
): Promise<void> {
  if (founder !== null) {
    const node = flock.node(founder);
    flock.start(founder);
    const listens = async () => lost.has(founder) || (await leaderOf(node)) !== null || null;
    await until(`an answer of ${founder}`, leaderMsMax, listens, founderPollMs);
  }
  for (const { name } of flock.nodes) if (name !== founder) flock.start(name);
}

/** Waits for the first leader; an agent that ends meanwhile ends the wait with its last words. */
async function started(flock: Flock, lost: ReadonlyMap<string, string>): Promise<Leader> {
  return until('a leader', leaderMsMax, async () => {
    const [gone] = lost;
    if (gone)
      throw new ExitError(
        'failure',
        `${gone[0]} ended (${gone[1]}): ${clean(flock.node(gone[0]).lastWords())}`,
      );
    return actingLeader(flock);
  });
}

/** Runs `work` on a flock that has a leader and sees all its members. */
export async function onStage<T>(
  options: StageOptions,
  io: Io,
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  const { say } = options;
  const { interrupted, unwatch } = watchSignals();
  const place = await preparePlace(options);
  const lost = new Map<string, string>();
  const flock = createFlock({
    ...place,
    program: process.argv[1] ?? '',
    onLost: (name, how) => {
      lost.set(name, how);
      say(`${name} ended: ${how}`);
    },
  });
  let whole = false;
  let staysUp = false;
  const performed = async (): Promise<T> => {
    const startedMs = performance.now();
    await startAll(flock, place.founder, lost);
    const leader = await started(flock, lost);
    const electionMs = performance.now() - startedMs;
    say(`${leader.name} leads after ${Math.round(electionMs)} ms`);
    const allSeen = () => allThere(flock, flock.node(leader.name));
    await until('all five agents in the cluster', membersMsMax, allSeen);
    await settleVoters(flock, flock.node(leader.name));
    const untilInterrupted = (): Promise<string> => {
      staysUp = true;
      return interrupted;
    };
    return work({ flock, folder: place.folder, electionMs, leader, untilInterrupted });
  };
  const performing = performed();
  try {
    const broken = interrupted.then((signal) => {
      whole = true;
      if (staysUp) return performing;
      throw new ExitError('failure', `ended by ${signal}`);
    });
    const result = await Promise.race([performing, broken]);
    whole = true;
    return result;
  } finally {
    await flock.stop();
    if (whole) place.leave();
    else io.err(`bellwether: what the agents logged is in ${place.folder}\n`);
    unwatch();
  }
}
