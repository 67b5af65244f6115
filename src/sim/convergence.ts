/**
 * What a cluster without trouble must come to: one leader of the highest rank that may lead, every
 * member of its configuration that runs with the same log applied and the same catalog, which is
 * the one that the oracle expects.
 */
import type { PeerId } from '../base/brand.ts';
import type { Status } from '../consensus/api.ts';
import { keyOf } from './oracle.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

interface Running {
  readonly node: SimNode;
  readonly status: Status;
}

/** Why the newest epoch is not at rest, or null. `members` must be among its members, if given. */
export function explainUnrest(world: World, members: readonly PeerId[] | null): string | null {
  const running: Running[] = [];
  for (const node of world.nodes) {
    const core = node.core();
    if (core !== null && node.state() === 'running' && node.epoch === world.epoch())
      running.push({ node, status: core.status(node.now()) });
  }
  const acting = running.filter(({ node }) => node.core()?.mayAct(node.now()) != null);
  const leader = acting[0];
  if (leader === undefined) return nobodyMayLead(running) ? null : 'nobody acts as a leader';
  const { configuration, commitIndex, term } = leader.status;
  const ids = new Set(configuration.members.map((member) => member.peerId));
  const missing = members?.find((id) => !ids.has(id));
  if (missing !== undefined) return `${missing} is not a member`;
  if (configuration.outgoing !== null) return 'a joint change is under way';
  const alive = running.filter(({ node }) => ids.has(node.id));
  for (const { node, status } of alive) {
    if (status.appliedIndex !== commitIndex) return `${node.id} has applied ${status.appliedIndex}`;
    if (status.term !== term) return `${node.id} is in term ${status.term}`;
    if (node.certificate.leads && node.certificate.rank > leader.node.certificate.rank)
      return `${leader.node.id} leads, although ${node.id} has a higher rank`;
  }
  return differingCatalog(world, alive);
}

/** No live voter may lead, or no majority of voters lives: then nobody can be expected to. */
function nobodyMayLead(running: readonly Running[]): boolean {
  const newest = running.reduce<Running | null>(
    (best, next) => (best === null || next.status.lastIndex > best.status.lastIndex ? next : best),
    null,
  );
  if (newest === null) return true;
  const { members } = newest.status.configuration;
  return !running.some(
    ({ node }) => node.certificate.leads && members.some((member) => member.peerId === node.id),
  );
}

function differingCatalog(world: World, alive: readonly Running[]): string | null {
  const first = alive[0];
  if (first === undefined) return 'nobody is alive';
  const digest = first.node.catalog.digest();
  for (const { node } of alive)
    if (node.catalog.digest() !== digest) return `the catalogs of ${node.id} and others differ`;
  const { drains, pause } = first.node.catalog.operations();
  const { drained } = world.log.oracle.maintenance();
  if (drains.length !== drained.length) return `drained: ${drains.length}, not ${drained.length}`;
  if (pause !== null) return 'the cluster is still paused';
  const index = first.node.catalog.appliedIndex();
  for (const key of world.log.oracle.keys()) {
    const [type = '', name = ''] = key.split('/');
    const found = first.node.catalog.versionOf(type, name);
    const wanted = world.log.oracle.versionAt(keyOf(type, name), index);
    if (found !== wanted) return `${key} is at version ${found}, not ${wanted}`;
  }
  return null;
}
