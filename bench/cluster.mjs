// Three voters as real agent processes on this machine, with the default timing: what is measured is
// what a cluster does.
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFlock } from '../src/cli/demo-flock.ts';
import { preparePlace } from '../src/cli/demo-place.ts';
import { actingLeader, allThere, until, votersOf } from '../src/cli/demo-watch.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const voterCount = 3;

export async function startCluster(say) {
  const place = await preparePlace({ keep: null, bytes: 0, usualPorts: false });
  writeFileSync(place.configFile, '# Default timing.\nlogLevel: warn\n');
  const plans = place.plans.slice(0, voterCount);
  const program = process.env.BELLWETHER_PROGRAM ?? join(root, 'dist/bellwether.mjs');
  if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`);
  const lost = (name, how) => say(`${name} ended: ${how}`);
  const flock = createFlock({ ...place, plans, program, onLost: lost });
  for (const { name } of plans) flock.start(name);
  const startedMs = performance.now();
  const leader = await until('a leader', 30_000, () => actingLeader(flock));
  const electionMs = performance.now() - startedMs;
  const node = flock.node(leader.name);
  await until('all members', 30_000, () => allThere(flock, node));
  await until(`${voterCount} voters`, 60_000, async () => {
    const voters = await votersOf(node);
    return voters?.length === voterCount ? true : null;
  });
  const end = async () => {
    await flock.stop();
    place.leave();
  };
  return { flock, node, electionMs, end };
}
