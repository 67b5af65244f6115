/**
 * People at work on a running cluster: a rolling restart that asks first, drains, hand-overs,
 * pauses that outlive every process, and members that leave or are forgotten.
 */
import { afterEach, expect, test } from 'vitest';
import { type Ended, jsonOf, runCommand } from './command.ts';
import { createFlock, type Flock, getJson, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

async function startFlock(names: readonly string[], voters: number): Promise<Flock> {
  const made = await createFlock({ names, timing: { holdMs: 1500, takeoverCooldownMs: 2000 } });
  flock = made;
  made.startAll();
  await made.leader();
  await until(
    'everybody is in and the voters are settled',
    async () => {
      const page = await made.status(names[0] ?? '');
      const settled = page?.election.voters.length === voters;
      return settled && page?.members.length === names.length ? page : null;
    },
    { deadlineMs: 60_000 },
  );
  return made;
}

/** A command against one node, as its operator gives it. */
const command = (of: Flock, name: string, ...args: string[]): Promise<Ended> => {
  const { url, data } = of.node(name);
  return runCommand(of.program, [...args, '--url', url, '--data', data, '--json']);
};

interface Pin {
  readonly allocations: readonly string[];
  readonly verified: number;
  readonly copies: readonly { node: string; verified: boolean }[];
}

const pinOf = (of: Flock, name: string, cid: string): Promise<Pin | null> =>
  getJson<Pin>(`${of.node(name).url}/v1/pins/${cid}`);

async function addFile(of: Flock, name: string, min: number, max: number): Promise<string> {
  const response = await fetch(`${of.node(name).url}/v1/content?name=file&min=${min}&max=${max}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${of.token(name)}`,
      'content-type': 'application/octet-stream',
    },
    body: Buffer.alloc(50_000, `${name}${performance.now()}`),
  });
  const body = (await response.json()) as { cid?: string };
  if (body.cid === undefined) throw new Error(`not added: ${JSON.stringify(body)}`);
  return body.cid;
}

const copiesOn = (pin: Pin | null): string[] =>
  (pin?.copies ?? []).flatMap(({ node, verified }) => (verified ? [node] : [])).sort();

test('of two nodes that ask at once for the turn to stop, one gets it; it is back when it is back', async () => {
  const names = ['master-1', 'worker-1', 'worker-2'];
  const it = await startFlock(names, 3);
  for (const name of names)
    await until(
      `${name} may stop`,
      () => getJson<{ safe: boolean }>(`${it.node(name).url}/safe-to-stop`),
      { deadlineMs: 60_000 },
    );
  const ask = (name: string) => command(it, name, 'safe-to-stop', '--reserve', '5m');
  const asked = await Promise.all(names.map(ask));
  const [winner = ''] = names.filter((_, i) => asked[i]?.exit === 0);
  expect(asked.map(({ exit }) => exit).sort(), asked.map(({ err }) => err).join()).toEqual([
    0, 9, 9,
  ]);
  const [other = ''] = names.filter((name) => name !== winner);
  const refused = await command(it, other, 'safe-to-stop');
  expect(refused.err).toContain(`reserved: ${winner} was told that it may stop`);
  expect((await ask(winner)).exit, 'asking again keeps the turn').toBe(0);

  // Whoever leads by then knows it, too.
  await it.signal(winner, 'SIGTERM');
  const left = names.filter((name) => name !== winner);
  await it.leader();
  for (const name of left) expect((await ask(name)).exit).toBe(9);
  const waiting = command(it, other, 'safe-to-stop', '--reserve', '--wait', '2m');
  it.start(winner);
  expect((await waiting).exit).toBe(0);
  expect((await command(it, winner, 'safe-to-stop')).exit).toBe(9);
  expect((await command(it, other, 'safe-to-stop', '--release')).exit).toBe(0);
  await until(
    `${winner} may stop again`,
    () => getJson<{ safe: boolean }>(`${it.node(winner).url}/safe-to-stop`),
    { deadlineMs: 60_000 },
  );
});

test('a rolling restart gated on safe-to-stop loses no write and stays above the quorum', async () => {
  const names = ['master-1', 'worker-1', 'worker-2'];
  const it = await startFlock(names, 3);
  const cid = await addFile(it, 'worker-1', 2, 3);
  let through = 'worker-2';
  const target = () => ({ url: it.node(through).url, token: it.token(through) });
  const writer = createWriter({ target, prefix: 'k' });
  await until('writes flow', () => (writer.acknowledged.size > 20 ? true : null), {
    deadlineMs: 30_000,
  });
  for (const name of names) {
    await until(
      `${name} may stop`,
      async () => getJson<{ safe: boolean }>(`${it.node(name).url}/safe-to-stop`),
      {
        deadlineMs: 60_000,
        seen: async () => (await fetch(`${it.node(name).url}/safe-to-stop`)).json(),
      },
    );
    if (through === name) through = names.find((other) => other !== name) ?? '';
    const stopping = it.signal(name, 'SIGTERM');
    const second = names.find((other) => other !== name) ?? '';
    // While one is on its way out, no other is allowed to go.
    await stopping;
    const no = await fetch(`${it.node(second).url}/safe-to-stop`);
    expect([no.status, await no.json()]).toMatchObject([503, { safe: false }]);
    it.start(name);
    await it.leader();
  }
  await writer.stop();
  const found = await readIndex(it.node('master-1').url, 'k');
  expect(compare(writer.acknowledged, found)).toMatchObject({ lost: [], doubled: [] });
  expect(copiesOn(await pinOf(it, 'worker-1', cid)).length).toBeGreaterThanOrEqual(2);
  console.info(`rolling restart: ${writer.acknowledged.size} writes, gap ${writer.gapMsMax()} ms`);
  // The bound that is promised is 1 s; machines that run tests are slower than that.
  expect(writer.gapMsMax()).toBeLessThan(5000);
});

test('drain, switchover, why', async () => {
  const it = await startFlock(['master-1', 'worker-1', 'worker-2', 'worker-3'], 3);
  const cid = await addFile(it, 'master-1', 2, 2);
  const placed = await until(
    'two copies are verified',
    async () => {
      const on = copiesOn(await pinOf(it, 'worker-1', cid));
      return on.length === 2 ? on : null;
    },
    { deadlineMs: 60_000, seen: () => pinOf(it, 'worker-1', cid) },
  );
  await until('the master leads', async () => ((await it.leader()) === 'master-1' ? true : null), {
    deadlineMs: 60_000,
  });
  const dry = await command(it, 'worker-1', 'switchover', '--dry-run');
  expect(dry.exit, dry.err).toBe(0);
  expect(jsonOf(dry)).toMatchObject({ moved: false, from: 'master-1' });

  const [holder = ''] = placed.filter((name) => name !== 'master-1');
  const drained = await command(it, 'worker-2', 'drain', holder, '--wait', '2m');
  expect(drained.exit, drained.err).toBe(0);
  expect(jsonOf(drained)).toMatchObject({ drained: true, pinsAtRisk: 0, leads: false });
  expect(copiesOn(await pinOf(it, 'worker-1', cid)).filter((on) => on !== holder)).toHaveLength(2);
  const refused = await command(it, 'worker-1', 'switchover', '--to', holder);
  expect([refused.exit, refused.err]).toEqual([4, expect.stringMatching(/draining|not-a-voter/)]);

  const self = await command(it, 'master-1', 'drain', '--wait', '2m');
  expect(self.exit, self.err).toBe(0);
  const leader = await it.leader();
  expect(leader).not.toBe('master-1');
  const whyNot = await command(it, 'worker-1', 'why-not', 'master-1');
  // Its own word arrives with its vote, or the majority was there before it.
  expect(jsonOf<{ code: string }>(whyNot).code).toMatch(/^(draining|handed-over)$/);
  const why = await command(it, 'worker-1', 'why', 'leader');
  expect(jsonOf(why)).toMatchObject({ election: { agrees: true, recount: 'won' } });
  for (const name of [holder, 'master-1'])
    expect((await command(it, 'worker-1', 'undrain', name)).exit).toBe(0);
  await until(
    'the master is electable again',
    async () => {
      const back = await command(it, 'worker-1', 'switchover', '--to', 'master-1');
      return back.exit === 0 || (await it.leader()) === 'master-1' ? true : null;
    },
    { deadlineMs: 60_000, everyMs: 300 },
  );
  expect(await it.leader()).toBe('master-1');
});

test('an election that came to nothing is told by whoever stood, on every node', async () => {
  const it = await startFlock(['master-1', 'worker-1', 'worker-2'], 3);
  await it.leader();
  const before = await it.status('worker-1');
  const term = (before?.election.term ?? 0) + 1;
  const peerOf = (name: string): string | undefined =>
    before?.members.find((member) => member.name === name)?.peerId;
  type Told = {
    election: { agrees: boolean } | null;
    attempts: { ballot: { candidate: string; won: boolean }; agrees: boolean }[];
    unheard: string[];
  };
  const told = async (by: string): Promise<Told | null> => {
    const answer = await command(it, by, 'why', 'election', String(term));
    return answer.exit === 0 ? jsonOf<Told>(answer) : null;
  };
  for (const name of ['master-1', 'worker-2']) await it.signal(name, 'SIGKILL');
  const alone = await until(
    'worker-1 has tried in vain and says so',
    async () => {
      const found = await told('worker-1');
      return found !== null && found.attempts.length > 0 ? found : null;
    },
    { deadlineMs: 60_000, everyMs: 300 },
  );
  expect(alone.election).toBeNull();
  expect(alone.attempts[0]).toMatchObject({
    ballot: { candidate: peerOf('worker-1'), won: false },
    agrees: true,
  });
  expect([...alone.unheard].sort()).toEqual([peerOf('master-1'), peerOf('worker-2')].sort());
  it.startAll();
  await it.leader();
  const later = await until(
    'worker-2 tells what worker-1 remembers',
    async () => {
      const found = await told('worker-2');
      return found !== null && found.unheard.length === 0 ? found : null;
    },
    { deadlineMs: 60_000, everyMs: 300, seen: () => told('worker-2') },
  );
  const candidates = later.attempts.map(({ ballot }) => ballot.candidate);
  expect(candidates).toContain(peerOf('worker-1'));
});

test('a pause survives the restart of everybody, and any node ends it', async () => {
  const names = ['master-1', 'worker-1', 'worker-2'];
  const it = await startFlock(names, 3);
  const paused = await command(it, 'worker-1', 'pause', '--reason', 'racks', '--for', '2h');
  expect(paused.exit, paused.err).toBe(0);
  const cid = await addFile(it, 'worker-1', 2, 3);
  await it.signal('master-1', 'SIGKILL');
  await it.leader();
  for (const name of ['worker-1', 'worker-2']) await it.signal(name, 'SIGKILL');
  it.startAll();
  await it.leader();
  type Paused = { paused: { reason: string } | null };
  const seen = await until(
    'the pause is known again',
    async () => (await getJson<Paused>(`${it.node('worker-2').url}/status`))?.paused ?? null,
    { deadlineMs: 30_000 },
  );
  expect(seen.reason).toBe('racks');
  // The plan has been round with full reports, and nothing was allocated.
  await until(
    'the leader plans',
    async () => ((await it.status('master-1'))?.replication?.pins === 1 ? true : null),
    { deadlineMs: 60_000 },
  );
  expect((await pinOf(it, 'worker-2', cid))?.allocations).toEqual([]);
  expect((await command(it, 'worker-2', 'resume')).exit).toBe(0);
  await until(
    'what was held up is done',
    async () => (copiesOn(await pinOf(it, 'worker-2', cid)).length >= 2 ? true : null),
    { deadlineMs: 60_000, seen: () => pinOf(it, 'worker-2', cid) },
  );
});

test('left, failed and forgotten are three different things', async () => {
  const it = await startFlock(['master-1', 'worker-1', 'worker-2', 'worker-3'], 3);
  type Departed = { departed: { name: string; state: string }[] };
  const departed = async (): Promise<string[]> => {
    const page = await getJson<Departed>(`${it.node('master-1').url}/status`);
    return (page?.departed ?? []).map(({ name, state }) => `${name} ${state}`);
  };
  expect((await command(it, 'worker-1', 'forget', 'worker-3')).exit).toBe(4);
  await it.signal('worker-3', 'SIGKILL');
  await until(
    'it has failed',
    async () => {
      const page = await it.status('worker-1');
      return page?.members.find(({ name }) => name === 'worker-3')?.state === 'failed' || null;
    },
    { deadlineMs: 60_000 },
  );
  const forgotten = await command(it, 'worker-1', 'forget', 'worker-3');
  expect(forgotten.exit, forgotten.err).toBe(0);
  expect(await departed()).toEqual(['worker-3 forgotten']);

  const left = await command(it, 'worker-2', 'leave', '--drain');
  expect(left.exit, left.err).toBe(0);
  await until('its agent has ended', () => (it.node('worker-2').running() ? null : true), {
    deadlineMs: 30_000,
  });
  expect(await departed()).toEqual(['worker-3 forgotten', 'worker-2 left']);

  // Both come back with their old folders: neither gets in.
  it.start('worker-2');
  it.start('worker-3');
  await until(
    'the one that left refuses to start',
    () => (it.node('worker-2').running() ? null : true),
    { deadlineMs: 30_000 },
  );
  type Ready = { unmet: string[] };
  await until(
    'the forgotten one knows that it is no member',
    async () => {
      const answer = await fetch(`${it.node('worker-3').url}/readyz`).catch(() => null);
      if (answer === null) return it.node('worker-3').running() ? null : true;
      return ((await answer.json()) as Ready).unmet.includes('member') ? true : null;
    },
    { deadlineMs: 30_000 },
  );
  const page = await it.status('master-1');
  expect(page?.members.map(({ name }) => name).sort()).toEqual(['master-1', 'worker-1']);
  expect(page?.election.voters.length).toBe(2);
});
