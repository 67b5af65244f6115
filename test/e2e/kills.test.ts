/**
 * kill -9 again and again under constant writes, mostly of the leader: nothing acknowledged is lost
 * or written twice. BELLWETHER_KILLS sets how many.
 */
import { afterEach, expect, test } from 'vitest';
import { createPrng } from '../../src/base/prng.ts';
import { createFlock, type Flock, until } from './flock.ts';
import { compare, createWriter, readIndex } from './writer.ts';

const kills = Number(process.env.BELLWETHER_KILLS ?? '10');
const seed = Number(process.env.BELLWETHER_SEED ?? Date.now() % 1_000_000);
const names = ['master-1', 'master-2', 'worker-1'];
let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
});

test(`${kills} kills under constant writes (seed ${seed})`, {
  timeout: 60_000 + kills * 12_000,
}, async () => {
  const prng = createPrng(seed);
  const it = await createFlock({ names, timing: { holdMs: 1000 } });
  flock = it;
  it.startAll();
  await it.leader();
  // A leader that is still the only voter takes the quorum with it.
  await until(
    'all three vote',
    async () => ((await it.status('worker-1'))?.election.voters.length === 3 ? true : null),
    { deadlineMs: 30_000 },
  );
  let target = 'worker-1';
  const writer = createWriter({
    target: () => ({ url: it.node(target).url, token: it.token(target) }),
    prefix: 'k',
  });
  for (let kill = 0; kill < kills; kill++) {
    const before = writer.acknowledged.size;
    await until(
      'writes flow',
      () => (writer.acknowledged.size > before + prng.int(30) + 5 ? true : null),
      { deadlineMs: 20_000, everyMs: 5 },
    );
    const leader = await it.leader();
    const victim = prng.chance(0.7) ? leader : prng.pick(names);
    target = names.find((name) => name !== victim) ?? target;
    await it.signal(victim, 'SIGKILL');
    if (prng.chance(0.5)) await it.leader();
    it.start(victim);
  }
  await it.leader();
  await writer.stop();
  process.stdout.write(
    `kills ${kills}, acknowledged ${writer.acknowledged.size}, longest gap ` +
      `${Math.round(writer.gapMsMax())} ms, seed ${seed}\n`,
  );
  for (const name of names) {
    const result = await until(
      `${name} has every acknowledged write`,
      async () => {
        const found = compare(writer.acknowledged, await readIndex(it.node(name).url, 'k'));
        return found.lost.length === 0 ? found : null;
      },
      { deadlineMs: 15_000 },
    );
    expect(result).toMatchObject({ lost: [], doubled: [] });
  }
});
