/**
 * What the demo asks its agents and waits for. Every wait has a deadline and says what it waited
 * for; the agents are asked over HTTP only, as anybody could.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { LeaderAnswer, PinReport } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import type { Flock, FlockNode } from './demo-flock.ts';
import { ExitError } from './exit-code.ts';

/** Two masters and two workers make three voters: then one may be lost. */
const votersWanted = 3;
const votersMsMax = 30_000;

export interface Leader {
  readonly name: string;
  readonly role: string;
  readonly term: number;
}

/** Asks until there is an answer other than null; `what` ends the sentence of the failure. */
export async function until<T>(
  what: string,
  deadlineMs: number,
  ask: () => Promise<T | null>,
  everyMs = 50,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > endMs)
      throw new ExitError('failure', `after ${deadlineMs / 1000} s still not: ${what}`);
    await wait(everyMs);
  }
}

/** The answer of a node that may not be there (yet, or any more): null then. */
export async function asked<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof AgentError || thrown instanceof ExitError) return null;
    throw thrown;
  }
}

export const leaderOf = (node: FlockNode): Promise<LeaderAnswer | null> =>
  asked(() => node.client().call<LeaderAnswer>('GET', '/leader', { accept: [503] }));

/** The node that leads and acts right now, as it says itself. */
export async function actingLeader(flock: Flock): Promise<Leader | null> {
  const answers = await Promise.all(flock.living().map(leaderOf));
  const acting = answers.find((answer) => answer?.acting === true);
  if (!acting?.leader) return null;
  return { name: acting.leader.name, role: acting.leader.role, term: acting.term };
}

interface Page {
  readonly members: readonly { readonly name: string; readonly state: string }[];
  readonly election: { readonly voters: readonly { readonly name: string }[] };
  readonly log: { readonly commitIndex: number; readonly appliedIndex: number };
}

export const pageOf = (node: FlockNode): Promise<Page | null> =>
  asked(() => node.client().call<Page>('GET', '/status'));

/** Names of the voters, as the leader knows them. */
export async function votersOf(leader: FlockNode): Promise<string[] | null> {
  const page = await pageOf(leader);
  return page ? page.election.voters.map(({ name }) => name) : null;
}

interface Event {
  readonly type: string;
  readonly data: { readonly outgoing?: unknown };
}

/**
 * Whether the voters are being changed right now: then both the old and the new ones have to agree,
 * and one loss among two old voters would be one too many. Null: the node doesn't answer.
 */
async function changing(node: FlockNode): Promise<boolean | null> {
  let last: Event | null = null;
  for (let after = 0, more = true; more; ) {
    const query = { after, limit: 1000 };
    const page = await asked(() =>
      node.client().call<{ events: Event[]; next: number }>('GET', '/v1/events', { query }),
    );
    if (page === null) return null;
    last = page.events.findLast(({ type }) => type === 'configuration-changed') ?? last;
    more = page.events.length > 0;
    after = page.next;
  }
  return last !== null && last.data.outgoing !== null;
}

/** Waits until one node may be lost: three voters, all of them running. */
export async function settleVoters(flock: Flock, leader: FlockNode): Promise<void> {
  await until('three voters, all of them running', votersMsMax, async () => {
    const voters = await votersOf(leader);
    const living = new Set(flock.living().map(({ name }) => name));
    if (voters === null || voters.length < votersWanted) return null;
    if (!voters.every((name) => living.has(name))) return null;
    return (await changing(leader)) === false ? true : null;
  });
}

/** Waits until every running master votes: one that came later takes a worker's place by rank. */
export async function mastersVote(flock: Flock, leader: FlockNode): Promise<void> {
  await until('every running master among the voters', votersMsMax, async () => {
    const voters = await votersOf(leader);
    const masters = flock.living().filter(({ role }) => role === 'master');
    return masters.every(({ name }) => voters?.includes(name)) ? true : null;
  });
}

/** Whether the leader sees every node of the flock alive. */
export async function allThere(flock: Flock, leader: FlockNode): Promise<true | null> {
  const page = await pageOf(leader);
  const alive = new Set(
    page?.members.filter(({ state }) => state === 'alive').map(({ name }) => name),
  );
  return flock.living().every(({ name }) => alive.has(name)) ? true : null;
}

export const pinOf = (node: FlockNode, cid: string): Promise<PinReport | null> =>
  asked(() => node.client().call<PinReport>('GET', `/v1/pins/${cid}`));

/** How many verified copies a pin has on the named nodes. */
export const copiesOn = (pin: PinReport, names: ReadonlySet<string>): number =>
  pin.copies.filter(({ node, verified }) => verified && names.has(node)).length;
