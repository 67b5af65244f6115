/**
 * Leaders that can't do their duty: a disk nearly full, a disk full to the last byte, a content
 * engine that keeps dying, a process that keeps standing still. Each resigns, says why and pauses,
 * and somebody better leads; where everybody is as bad one goes on and says that it is degraded.
 * Nobody hands the lead back and forth. Linux: the disks are mounted in namespaces.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { diskFreeBytesMin } from '../../src/agent/operations/trouble.ts';
import { endThreads } from './debugger.ts';
import { createFlock, type Flock, type FlockOptions, until } from './flock.ts';
import { fill, makeRoom, pathInside } from './small-disk.ts';
import { compare, createWriter, readIndex, type Writer } from './writer.ts';

const names = ['master-1', 'master-2', 'worker-1'];
const timing = { holdMs: 2000, takeoverCooldownMs: 3000 };
const megabytes = 144;
/** Enough to go on writing for the length of the test, and too little for a leader. */
const littleBytes = diskFreeBytesMin * 0.6;
let flock: Flock | null = null;
let writer: Writer | null = null;

afterEach(async () => {
  const stopped = writer?.stop();
  await flock?.stop();
  await stopped;
  flock = null;
  writer = null;
});

async function startFlock(options: Partial<FlockOptions>): Promise<Flock> {
  const made = await createFlock({ names, timing, ...options });
  flock = made;
  made.startAll();
  await made.leader();
  await until(
    'all three vote and the highest rank leads',
    async () => {
      const page = await made.status('master-1');
      const { voters = [], leader } = page?.election ?? {};
      return voters.length === 3 && leader?.name === 'master-1' ? page : null;
    },
    { deadlineMs: 60_000, seen: () => made.status('master-1') },
  );
  return made;
}

/** Writes through whoever runs and has the lowest rank. */
function startWriter(it: Flock): Writer {
  const made = createWriter({
    prefix: 'k',
    lanes: 2,
    target: () => {
      const through = it.nodes.findLast((node) => node.running());
      if (through === undefined) throw new Error('nobody runs');
      return { url: through.url, token: it.token(through.name) };
    },
  });
  writer = made;
  return made;
}

async function writesFlow(by: Writer): Promise<void> {
  const before = by.acknowledged.size;
  await until('writes flow', () => (by.acknowledged.size > before + 20 ? true : null), {
    deadlineMs: 30_000,
  });
}

/** Every node that runs, apart from one whose disk takes nothing more, has what was acknowledged. */
async function nothingLost(it: Flock, by: Writer, full: string | null = null): Promise<void> {
  await by.stop();
  for (const { name, url, running } of it.nodes)
    if (running() && name !== full)
      await until(
        `${name} has every acknowledged write`,
        async () => {
          const found = compare(by.acknowledged, await readIndex(url, 'k', it.token(name)));
          expect(found.doubled).toEqual([]);
          return found.lost.length === 0 ? true : null;
        },
        { deadlineMs: 20_000 },
      );
}

interface Told {
  readonly node: string;
  readonly msg: string;
  readonly state?: string;
  readonly reason: string | null;
  readonly to?: string;
  readonly term: number;
}

/** What the nodes logged under this name. */
function told(it: Flock, msg: string): Told[] {
  return it.nodes.flatMap(({ logFile }) =>
    readFileSync(logFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Told)
      .filter((one) => one.msg === msg),
  );
}

const resignations = (it: Flock): string[] =>
  told(it, 'resigned').map(({ node, reason, to }) => `${node} to ${to}: ${reason}`);

/** Terms that somebody was elected in. */
const terms = (it: Flock): number =>
  new Set(
    told(it, 'state-changed')
      .filter(({ state }) => state === 'leader')
      .map(({ term }) => term),
  ).size;

const leads = (it: Flock, name: string, deadlineMs = 40_000): Promise<true> =>
  until(
    `${name} leads`,
    async () => {
      const page = await it.status(name);
      return page?.election.acting && page.election.leader?.name === name ? true : null;
    },
    { deadlineMs, seen: async () => [resignations(it), (await it.status(name))?.election] },
  );

const cannotLead = (
  it: Flock,
  name: string,
  reason: string | null,
  deadlineMs = 20_000,
): Promise<true> =>
  until(
    `${name} says why it does not lead: ${reason}`,
    async () => {
      const page = await it.status(name);
      return page !== null && page.node.cannotLeadReason === reason ? true : null;
    },
    { deadlineMs, seen: async () => (await it.status(name))?.node },
  );

const degraded = (it: Flock, name: string, reason: string | null): Promise<true> =>
  until(
    `${name} leads, degraded: ${reason}`,
    async () => {
      const { acting, degraded: why } = (await it.status(name))?.election ?? {};
      return acting && why === reason ? true : null;
    },
    { deadlineMs: 20_000, seen: async () => (await it.status(name))?.election },
  );

const folderOf = (it: Flock, name: string): string => {
  const { data, pid } = it.node(name);
  const running = pid();
  if (running === null) throw new Error(`${name} does not run`);
  return pathInside(running, data);
};

test('disks that are nearly full: it resigns and pauses, the last resort leads degraded', async () => {
  const it = await startFlock({ diskMegabytes: megabytes });
  const writes = startWriter(it);
  await writesFlow(writes);
  fill(folderOf(it, 'master-1'), littleBytes);
  await leads(it, 'master-2');
  expect(resignations(it)).toEqual(['master-1 to master-2: disk-full']);
  await cannotLead(it, 'master-1', 'paused-after-resignation');
  await cannotLead(it, 'master-1', 'disk-full');

  // The third is full as well before the second is: nobody is better, so the second goes on.
  fill(folderOf(it, 'worker-1'), littleBytes);
  await cannotLead(it, 'worker-1', 'disk-full');
  fill(folderOf(it, 'master-2'), littleBytes);
  await degraded(it, 'master-2', 'disk-full');
  const before = terms(it);
  // Several times as long as a lead, a pause or a cool-down lasts: the lead stays where it is.
  await wait(5 * timing.takeoverCooldownMs);
  expect([terms(it), resignations(it)]).toEqual([before, ['master-1 to master-2: disk-full']]);
  await degraded(it, 'master-2', 'disk-full');
  await writesFlow(writes);

  // It dies: of two that are as bad one still leads.
  await it.signal('master-2', 'SIGKILL');
  const heir = await it.leader();
  await degraded(it, heir, 'disk-full');
  await writesFlow(writes);

  // The other one gets room: it is better, and it gets the lead and keeps it.
  const other = heir === 'master-1' ? 'worker-1' : 'master-1';
  makeRoom(folderOf(it, other));
  await leads(it, other);
  expect(resignations(it)).toEqual(
    ['master-1 to master-2: disk-full', `${heir} to ${other}: disk-full`].sort(),
  );
  await degraded(it, other, null);
  await writesFlow(writes);
  await nothingLost(it, writes);
});

test('a disk that is full to the last byte: another leads, and nothing acknowledged is lost', async () => {
  const it = await startFlock({ diskMegabytes: megabytes });
  const writes = startWriter(it);
  await writesFlow(writes);
  fill(folderOf(it, 'master-1'), 0);
  await leads(it, 'master-2');
  await writesFlow(writes);
  await cannotLead(it, 'master-1', 'store-failed');
  await nothingLost(it, writes, 'master-1');
});

test('a content engine that dies again and again: its node resigns until the engine stays', async () => {
  const it = await startFlock({ nodeFlags: ['--inspect=127.0.0.1:0'] });
  const writes = startWriter(it);
  const { logFile, url } = it.node('master-1');
  // An engine that never ran is another story: here it has run, and something is in it.
  const added = await fetch(`${url}/v1/content?name=some&min=1&max=1`, {
    method: 'POST',
    body: 'some',
    headers: {
      authorization: `Bearer ${it.token('master-1')}`,
      'content-type': 'application/octet-stream',
    },
  });
  expect(added.ok).toBe(true);
  await until(
    'master-1 has resigned',
    async () => {
      await endThreads(logFile, 'content');
      return resignations(it).length > 0 ? true : null;
    },
    { deadlineMs: 60_000, everyMs: 100, seen: () => it.status('master-1') },
  );
  expect(resignations(it)).toEqual(['master-1 to master-2: content-gone']);
  await leads(it, 'master-2');
  await writesFlow(writes);
  // Left alone, the engine comes back by itself, and its node may lead again; of two masters the
  // one that leads goes on. How long an engine waits doubles with each of its deaths.
  await cannotLead(it, 'master-1', null, 150_000);
  await leads(it, 'master-2');
  await writesFlow(writes);
  await nothingLost(it, writes);
});

test('a process that keeps standing still: it resigns, once', async () => {
  // Elections wait longer than it stands still: it is its own judgement that it resigns by.
  const slow = { ...timing, electionMsMin: 2500, electionMsMax: 3000 };
  const it = await startFlock({ timing: slow });
  const writes = startWriter(it);
  const [stopMs, runMs] = [1000, 300];
  await until(
    'master-1 has resigned',
    async () => {
      await it.signal('master-1', 'SIGSTOP');
      await wait(stopMs);
      await it.signal('master-1', 'SIGCONT');
      await wait(runMs);
      return resignations(it).length > 0 ? true : null;
    },
    { deadlineMs: 60_000, seen: () => it.status('master-1') },
  );
  expect(resignations(it)).toEqual(['master-1 to master-2: loop-stalls']);
  await leads(it, 'master-2');
  await cannotLead(it, 'master-1', null);
  await nothingLost(it, writes);
});
