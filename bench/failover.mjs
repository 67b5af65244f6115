// Failover after kill -9 of the leader, as a caller sees it: from the signal to the first write that
// was sent after it and acknowledged, through the port of a node that stays. Three voters, default
// timing; the killed one is started again before the next round.
import { setTimeout } from 'node:timers/promises';
import { actingLeader, leaderOf, pageOf, settleVoters, until } from '../src/cli/demo-watch.ts';
import { createWriter } from '../src/cli/demo-writer.ts';
import { startCluster } from './cluster.mjs';

const settledMs = 3000;
const rounded = (ms) => Math.round(ms * 10) / 10;
const quantile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};

async function caughtUp(flock, leader) {
  const page = await until('the status of the leader', 10_000, () => pageOf(leader));
  for (const node of flock.living())
    await until(`${node.name} has caught up`, 30_000, async () => {
      const at = await pageOf(node);
      return at !== null && at.log.appliedIndex >= page.log.commitIndex ? true : null;
    });
}

async function oneRound({ flock }, round) {
  const leading = await until('a leader', 30_000, () => actingLeader(flock));
  const old = flock.node(leading.name);
  await settleVoters(flock, old);
  await caughtUp(flock, old);
  // A voter that was restarted grants nobody for the length of its longest promise, and a link
  // younger than a second is not redialled at once: the figure is for a cluster that has settled.
  await setTimeout(settledMs);
  const through = flock.living().find(({ name }) => name !== leading.name);
  const writer = createWriter(through, `f${round}`);
  writer.start();
  await until('writes flow', 10_000, async () => (writer.acknowledged() > 20 ? true : null), 5);
  const killing = flock.kill(leading.name);
  const acting = until(
    'another leader',
    30_000,
    async () => {
      for (const node of flock.living()) {
        const answer = await leaderOf(node);
        if (answer?.acting === true) return performance.now();
      }
      return null;
    },
    5,
  );
  const [killedMs, ackMs, actingMs] = await Promise.all([
    killing,
    writer.firstAckFromNow(),
    acting,
  ]);
  await writer.stop();
  flock.start(leading.name);
  return { failoverMs: ackMs - killedMs, actingMs: actingMs - killedMs };
}

export async function run({ rounds, say }) {
  const cluster = await startCluster(say);
  const failovers = [];
  const actings = [];
  try {
    for (let round = 1; round <= rounds; round++) {
      const { failoverMs, actingMs } = await oneRound(cluster, round);
      failovers.push(rounded(failoverMs));
      actings.push(rounded(actingMs));
      say(
        `round ${round}: writes after ${rounded(failoverMs)} ms, acts after ${rounded(actingMs)} ms`,
      );
    }
  } finally {
    await cluster.end();
  }
  const row = (what, ours) => ({
    what,
    unit: 'ms',
    ours: rounded(ours),
    peer: null,
    peerName: null,
    ratio: null,
  });
  const rows = [
    row('failover after kill -9, median', quantile(failovers, 0.5)),
    row('failover after kill -9, worst', quantile(failovers, 1)),
    row('the new leader acts, median', quantile(actings, 0.5)),
    row('three agents to a leader', cluster.electionMs),
  ];
  const profileText = `Failovers in order, ms: ${failovers.join(', ')}`;
  return { rows, rounds, failovers, actings, profileText };
}
