/** Directed scenarios of roles that change: who loses its rights, and when. */
import { present } from '../base/assert.ts';
import type { ConfigurationChange } from '../consensus/api.ts';
import { SimFailure } from './failure.ts';
import { certificate } from './roster.ts';
import type { Scenario } from './scenarios.ts';
import type { SimNode } from './sim-node.ts';
import { acting, cutBothWays, masters, until, withStage } from './stage-directions.ts';
import type { World } from './world.ts';

function broken(world: World, check: string, detail: string): never {
  throw new SimFailure('correctness', check, detail, world.queue.nowMs());
}

const statusOf = (node: SimNode) => present(node.core(), node.id).status(node.now());

/** Asks for the role without waiting; the answer as a word, `open` until there is one. */
function askRole(world: World, node: SimNode, peer: string): () => string {
  let ended = 'open';
  const ref = world.clients.open({
    ...{ kind: 'reconfigure', node, sentMs: world.queue.nowMs(), floor: 0, row: null },
    done: (answer) => {
      ended = answer.type;
    },
  });
  const member = certificate(peer, 'leecher', 0);
  const change: ConfigurationChange = { type: 'role', member };
  node.post({ type: 'reconfigure', ref, change, deadlineMs: node.now().monoMs + 3000 });
  return () => ended;
}

/** Out of the voters by the time it is answered, and never leading again with its old papers. */
function leecherInPlace(seed: number): boolean {
  return withStage(seed, masters(5), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    const peer = present(
      world.nodes.find((node) => node !== leader),
      'a member',
    );
    const answer = askRole(world, leader, peer.id);
    if (!until(world, 4000, () => answer() === 'applied')) return false;
    const { voters, outgoing } = statusOf(leader).configuration;
    if (voters.includes(peer.id) || outgoing !== null)
      broken(world, 'leecher-votes', `${peer.id} became a leecher and is among ${voters}`);
    return true;
  });
}

/**
 * It learns of its new role from its own log, cut off from everybody who knows: its certificate has
 * not come yet, and it is the only one whose timeout runs.
 */
function leecherWithOldPapers(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    const [peer, other] = world.nodes.filter((node) => node !== leader) as [SimNode, SimNode];
    askRole(world, leader, peer.id);
    const knows = (): boolean =>
      statusOf(peer).configuration.members.some(
        (one) => one.peerId === peer.id && one.role === 'leecher',
      );
    if (!until(world, 4000, knows)) return false;
    world.end(leader.number, 'kill');
    cutBothWays(world, peer.number, other.number, true);
    until(world, 3000, () => statusOf(peer).state === 'candidate');
    if (statusOf(peer).state === 'candidate')
      broken(world, 'leecher-campaigns', `${peer.id} knows that it is a leecher and campaigns`);
    return true;
  });
}

/** A leader does not give itself a role that never leads. */
function leaderStays(seed: number): boolean {
  return withStage(seed, masters(3), (world) => {
    if (!until(world, 5000, () => acting(world) !== null)) return false;
    const leader = present(acting(world), 'a leader');
    const answer = askRole(world, leader, leader.id);
    if (!until(world, 4000, () => answer() !== 'open')) return false;
    const { voters } = statusOf(leader).configuration;
    if (answer() === 'applied' || !voters.includes(leader.id))
      broken(world, 'leader-demoted', `${leader.id} leads and made itself a leecher`);
    return true;
  });
}

export const roleScenarios: readonly Scenario[] = [
  { name: 'a leecher by change of role is no voter', tell: leecherInPlace },
  { name: 'a leecher with old papers does not campaign', tell: leecherWithOldPapers },
  { name: 'a leader gives itself no role that never leads', tell: leaderStays },
];
