/**
 * The members as the planner sees them, from what the leader has observed. A node is alive while
 * its reports come; how long it is gone counts from its last report to this leader, or from when
 * this node began to lead, so a fresh leader never calls anybody long gone.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { NodeView } from '../../plan/observed.ts';
import type { Certificate } from '../../wire/member.ts';
import type { Observed, ObservedNode } from './observed.ts';

const reportMsUsual: Ms = 2000;
/** Up to so many members report at that pace; more share what the leader takes from them. */
const membersUsual = 10;
/** Two lost reports make a node suspect, three failed. */
const [suspectReports, failedReports] = [2.25, 3.25];

/** The pause between two reports of a node, so that the leader's work does not grow with them. */
export const reportPeriodMs = (members: number): Ms =>
  reportMsUsual * Math.max(1, members / membersUsual);

export function nodeViews(input: {
  readonly members: readonly Certificate[];
  readonly observed: Observed;
  readonly nowMs: Ms;
  readonly leadsSinceMs: Ms;
  readonly healthOf: (peer: PeerId) => NodeView['health'];
  readonly isDraining: (peer: PeerId) => boolean;
}): NodeView[] {
  const periodMs = reportPeriodMs(input.members.length);
  return input.members.map((member) => {
    const node = input.observed.node(member.peerId);
    const goneForMs = input.nowMs - (node?.reportedMs ?? input.leadsSinceMs);
    const state = stateOf(node, goneForMs / periodMs);
    return {
      peer: member.peerId,
      role: member.role,
      zone: member.zone,
      state,
      goneForMs: state === 'alive' ? null : goneForMs,
      draining: input.isDraining(member.peerId),
      health: input.healthOf(member.peerId),
      bytesFree: node === null || !node.holdsContent ? 0 : node.usage.bytesFree,
      bytesQueued: node === null ? 0 : bytesQueued(node),
    };
  });
}

/** `missed`: for how many periods nothing came. */
function stateOf(node: ObservedNode | null, missed: number): NodeView['state'] {
  if (missed >= failedReports) return 'failed';
  return node?.complete !== true || missed >= suspectReports ? 'suspect' : 'alive';
}

function bytesQueued(node: ObservedNode): number {
  let bytes = 0;
  for (const { status } of node.pins.values())
    if (status.state === 'queued' || status.state === 'fetching')
      bytes += Math.max(0, (status.bytesTotal ?? 0) - status.bytesDone);
  return bytes;
}

/** Peers whose copies can be counted on now. */
export function alivePeers(nodes: readonly NodeView[]): Set<PeerId> {
  return new Set(nodes.filter((node) => node.state === 'alive').map((node) => node.peer));
}
