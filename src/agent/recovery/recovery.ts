/**
 * Recovery as far as it needs the running agent: backups, and the decision to force a new epoch.
 * Whoever wants one must be unable to get a majority: every old voter is asked again at that
 * moment, over the mesh, and only one that answers as a member of this epoch counts.
 */
import { randomBytes } from 'node:crypto';
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Node } from '../node.ts';
import type { ForcedEpoch, Recovery, RecoveryPlan } from './api.ts';
import { type BackupDeps, openBackup, pinsOf } from './backup.ts';

const askTimeoutMs: Ms = 5000;
const shownMax = 20;

/** What the process does after the agent has stopped. */
export interface EpochOrder extends ForcedEpoch {
  readonly identity: PeerId;
}

export interface RecoveryDeps extends BackupDeps {
  /** Null where nobody could start the agent again. */
  readonly onNewEpoch: ((order: EpochOrder) => void) | null;
}

/** Null when it answers as a member of this epoch, else why not. */
async function silence(node: Node, peer: PeerId): Promise<string | null> {
  if (peer === node.self) return null;
  const late = new AgentError('timeout', `no answer within ${askTimeoutMs} ms`);
  let timer: NodeJS.Timeout | null = null;
  try {
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(late), askTimeoutMs);
    });
    await Promise.race([node.greet(peer), deadline]);
    return null;
  } catch (thrown) {
    return asAgentError(thrown).message;
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

/** Pins none of whose allocations is on a member that answers. */
async function pinsOnlyOn(node: Node, lost: ReadonlySet<PeerId>) {
  const only = (await pinsOf(node)).filter(
    ({ allocation: { peers } }) => peers.length > 0 && peers.every((peer) => lost.has(peer)),
  );
  const first = only.slice(0, shownMax);
  return {
    count: only.length,
    first: first.map(({ cid, name }) => (name === '' ? cid : `${cid} ${name}`)),
  };
}

const warnings = [
  'Writes that were acknowledged by the lost voters and did not reach this node are lost: do ' +
    'this on the survivor whose log has the highest last index.',
  'If the other voters are not lost but only cut off from here, they go on without this node: ' +
    'then there are two clusters that both act, each in its epoch, and they never merge by ' +
    'themselves. Make sure that the others are down, and stay down until they rejoin.',
  'A lost node that comes back is refused with epoch-mismatch until somebody runs ' +
    '`bellwether rejoin --accept-epoch ID` on it; what only it had is then in its archive.',
];

async function makePlan(node: Node): Promise<RecoveryPlan> {
  const { configuration, lastIndex, commitIndex } = node.runtime.status();
  const { members, voters, outgoing } = configuration;
  const all = new Set([...members.map(({ peerId }) => peerId), ...voters, ...(outgoing ?? [])]);
  const errors = new Map<PeerId, string | null>();
  await Promise.all([...all].map(async (peer) => errors.set(peer, await silence(node, peer))));
  const answers = (peer: PeerId): boolean => errors.get(peer) === null;
  const hasMajority = (half: readonly PeerId[]): boolean =>
    half.filter(answers).length > half.length / 2;
  const lost = new Set([...all].filter((peer) => !answers(peer)));
  return {
    name: node.certificate().name,
    epoch: node.member.epochNumber,
    epochId: node.member.epoch,
    lastIndex,
    commitIndex,
    voters: [...new Set([...voters, ...(outgoing ?? [])])].map((peerId) => ({
      name: node.directory.nameOf(peerId),
      peerId,
      answers: answers(peerId),
      error: errors.get(peerId) ?? null,
    })),
    quorum: hasMajority(voters) && hasMajority(outgoing ?? voters),
    lostMembers: [...lost].map((peer) => node.directory.nameOf(peer)),
    pinsOnlyOnLost: await pinsOnlyOn(node, lost),
    warnings,
  };
}

async function force(deps: RecoveryDeps, oldEpoch: number): Promise<ForcedEpoch> {
  const node = deps.node();
  const { onNewEpoch } = deps;
  if (onNewEpoch === null)
    throw new AgentError('not-built', 'this agent is part of another program: it cannot recover');
  const { epochNumber, epoch } = node.member;
  if (epochNumber === 0)
    throw new AgentError('conflict', 'this node has just rejoined and has not caught up');
  if (oldEpoch !== epochNumber)
    throw new AgentError('conflict', `this is epoch ${epochNumber}, not ${oldEpoch}`);
  const { votes, leads, role, name } = node.certificate();
  if (!votes || !leads)
    throw new AgentError('forbidden', `${name} is a ${role}: recover on a master or worker`);
  const plan = await makePlan(node);
  const answering = plan.voters.filter((voter) => voter.answers).map((voter) => voter.name);
  if (plan.quorum)
    throw new AgentError(
      'conflict',
      `${answering.join(', ')} answer, a majority of the voters: they can decide, nothing is to ` +
        'be recovered',
    );
  const forced = {
    epoch: epochNumber + 1,
    epochId: randomBytes(16).toString('hex'),
    parentEpochId: epoch,
  };
  // The caller has its answer before the port that carries it goes down.
  setImmediate(() => onNewEpoch({ ...forced, identity: node.self }));
  return forced;
}

export function createRecovery(deps: RecoveryDeps): Recovery {
  return {
    backup: (withBlocks) => openBackup(deps, withBlocks),
    plan: () => makePlan(deps.node()),
    forceNewEpoch: (oldEpoch) => force(deps, oldEpoch),
  };
}
