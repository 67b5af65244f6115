/**
 * Changes of the configuration. One at a time, only after the leader committed an entry of its own
 * term; a change of voters goes through a joint configuration, which needs majorities of both
 * halves until it is left, and begins only while majorities of both answered within the last lease.
 */

import type { PeerId } from '../base/brand.ts';
import { asAgentError } from '../base/error.ts';
import {
  type Configuration,
  type Departure,
  decodeChange,
  departedMax,
  encodeConfiguration,
} from '../wire/configuration.ts';
import type { Certificate } from '../wire/member.ts';
import type { ConfigurationChange, Refusal } from './api.ts';
import type { Core } from './core.ts';
import { refreshState } from './follow.ts';
import { settleOrigin } from './forward.ts';
import type { Lead, Origin } from './lead.ts';
import { advanceAsLeader, appendAsLeader, heartbeatTo } from './leading.ts';
import { reached } from './quorum.ts';
import { chooseDirect, progressOf } from './replicate.ts';
import { nextVoters, votersWithout } from './voters.ts';

/** Changes that wait for their turn. */
const changesMax = 64;
/** A change whose conditions are not met waits this long for its turn, then it is refused. */
const changeMsMax = 10_000;

type Refused = { code: Refusal; detail: string };

const departedText = { left: 'has left this cluster', forgotten: 'was forgotten' };
const joinAnew = 'it must join anew';

export function queueChange(
  core: Core,
  lead: Lead,
  origin: Origin,
  data: Uint8Array,
): Refused | null {
  if (lead.changes.length >= changesMax)
    return { code: 'overloaded', detail: `${changesMax} changes wait` };
  lead.changes.push({ origin, data, queuedMs: core.now.monoMs });
  driveChanges(core, lead);
  return null;
}

/** The configuration changed in the log, committed or not. */
export function onConfigurationChanged(core: Core): void {
  const { index, configuration } = core.log.configured;
  core.out.facts.push({ type: 'configuration-changed', configuration, index });
  refreshState(core);
  if (core.lead) chooseDirect(core, core.lead);
}

function busy(core: Core, lead: Lead): boolean {
  const { index, configuration } = core.log.configured;
  return !lead.committedOwn || index > core.commit || configuration.outgoing !== null;
}

/** The leader's commit moved: leave a joint configuration, take the next change. */
export function onOwnCommit(core: Core, lead: Lead): void {
  const { index, configuration } = core.log.configured;
  if (lead.committedOwn && configuration.outgoing !== null && index <= core.commit) {
    const leaving = configuration.leaving ?? [];
    write(core, lead, lead.changeOrigin, {
      ...configuration,
      leaving: [],
      members: configuration.members.filter(({ peerId }) => !leaving.includes(peerId)),
      outgoing: null,
    });
    lead.changeOrigin = null;
  }
  if (lead.changes.length > 0) driveChanges(core, lead);
}

function write(core: Core, lead: Lead, origin: Origin | null, next: Configuration): void {
  const known = new Set(core.log.configuration.members.map(({ peerId }) => peerId));
  const index = appendAsLeader(core, lead, 'config', encodeConfiguration(next));
  if (origin && next.outgoing === null) lead.waiting.set(index, origin);
  onConfigurationChanged(core);
  for (const { peerId } of next.members) {
    if (known.has(peerId) || peerId === core.id) continue;
    progressOf(core, lead, peerId);
    heartbeatTo(core, lead, peerId, lead.direct.includes(peerId));
  }
  // Alone, nobody's answer will move the commit index.
  advanceAsLeader(core, lead);
}

/** Takes waiting changes, then asks the automatic rule. */
export function driveChanges(core: Core, lead: Lead): void {
  while (lead.changes.length > 0 && !busy(core, lead) && !lead.handover && !lead.leaseDropped) {
    const next = lead.changes[0];
    if (!next) break;
    const refused = start(core, lead, next.origin, next.data);
    if (refused === 'wait' && core.now.monoMs - next.queuedMs < changeMsMax) break;
    lead.changes.shift();
    if (refused === 'wait') {
      const detail = 'no majority of the old and the new voters answered, or one is not caught up';
      settleOrigin(core, next.origin, { type: 'refused', code: 'no-quorum', detail });
      continue;
    }
    if (refused) settleOrigin(core, next.origin, { type: 'refused', ...refused });
  }
  if (lead.changes.length > 0 || busy(core, lead) || lead.handover || lead.leaseDropped) return;
  // A paused cluster keeps the voters that it has, unless a person changes them.
  if (core.local.paused) return;
  const { members, voters } = core.log.configuration;
  const leader = core.id;
  const stateOf = (peer: PeerId) => candidateOf(core, lead, peer);
  const change = nextVoters({ members, voters, leader, stateOf });
  if (change && answered(core, lead, change.voters)) enterJoint(core, lead, null, change.voters);
}

function candidateOf(core: Core, lead: Lead, peer: PeerId) {
  const nowMs = core.now.monoMs;
  const { voterGraceMs, electionMsMax, holdMs } = core.options.timing;
  if (peer === core.id) return { alive: true, ready: true, steady: true };
  const progress = lead.progress.get(peer);
  if (!progress) return { alive: true, ready: false, steady: false };
  const isVoter = core.log.configuration.voters.includes(peer);
  const quietMs = nowMs - progress.lastAckMs;
  const past = lead.commits.findLast((item) => item.atMs <= nowMs - electionMsMax);
  const heard = progress.cannotLead !== 'unheard';
  const near = past !== undefined && progress.match >= past.index;
  const since = progress.steadySinceMs;
  return {
    alive: quietMs < (isVoter ? voterGraceMs : Math.min(voterGraceMs, electionMsMax)),
    ready: heard && near && progress.cannotLead !== 'not-dialable',
    steady: since !== null && nowMs - since >= holdMs,
  };
}

/** Whether majorities of the old and the new set answered within the last lease. */
function answered(core: Core, lead: Lead, voters: readonly PeerId[]): boolean {
  const nowMs = core.now.monoMs;
  const halves = { voters, outgoing: core.log.configuration.voters };
  const heardMs = reached(halves, (peer) => {
    if (peer === core.id) return nowMs;
    const progress = lead.progress.get(peer);
    // Before its first word in this lead a peer has answered nothing, however young the lead is.
    return progress && progress.cannotLead !== 'unheard' ? progress.lastAckMs : 0;
  });
  return heardMs > 0 && nowMs - heardMs <= core.options.timing.leaseMs;
}

function enterJoint(
  core: Core,
  lead: Lead,
  origin: Origin | null,
  voters: readonly PeerId[],
  along: { readonly departure?: Departure; readonly members?: readonly Certificate[] } = {},
): void {
  const { configuration } = core.log;
  const { departure = null, members = configuration.members } = along;
  lead.changeOrigin = origin;
  write(core, lead, origin, {
    ...configuration,
    members,
    voters,
    outgoing: configuration.voters,
    leaving: departure ? [departure.peerId] : [],
    departed: departedAfter(configuration, departure),
  });
}

/** Departures with one more; who departs again counts by the last time. */
function departedAfter(configuration: Configuration, departure: Departure | null): Departure[] {
  const departed = configuration.departed ?? [];
  if (!departure) return [...departed];
  const others = departed.filter(({ peerId }) => peerId !== departure.peerId);
  return [...others, departure].slice(-departedMax);
}

function start(core: Core, lead: Lead, origin: Origin, data: Uint8Array): Refused | 'wait' | null {
  let change: ConfigurationChange;
  try {
    change = decodeChange(data);
  } catch (thrown) {
    return { code: 'bad-request', detail: asAgentError(thrown).message };
  }
  switch (change.type) {
    case 'admit':
      return admit(core, lead, origin, change);
    case 'forget':
      return forget(core, lead, origin, change);
    case 'voters':
      return setVoters(core, lead, origin, change.voters);
    case 'role':
      return setRole(core, lead, origin, change);
  }
}

type Of<T extends ConfigurationChange['type']> = Extract<ConfigurationChange, { type: T }>;

function admit(core: Core, lead: Lead, origin: Origin, change: Of<'admit'>): Refused | null {
  const { configuration } = core.log;
  const { members, voters, departed = [] } = configuration;
  const { member } = change;
  const gone = departed.find(({ peerId }) => peerId === member.peerId);
  if (gone && !change.anew)
    return { code: 'forbidden', detail: `${gone.name} ${departedText[gone.how]}: ${joinAnew}` };
  if (voters.includes(member.peerId) && !member.votes)
    return { code: 'conflict', detail: `${member.peerId} is a voter; it can't lose its vote` };
  const others = members.filter(({ peerId }) => peerId !== member.peerId);
  write(core, lead, origin, {
    ...configuration,
    members: [...others, member],
    departed: departed.filter((one) => one !== gone),
  });
  return null;
}

function forget(
  core: Core,
  lead: Lead,
  origin: Origin,
  change: Of<'forget'>,
): Refused | 'wait' | null {
  const { configuration } = core.log;
  const { members, voters } = configuration;
  const { peerId: peer, how = 'forgotten', atMs = 0, by = '' } = change;
  const member = members.find(({ peerId }) => peerId === peer);
  if (!member) return { code: 'bad-request', detail: `${peer} is not a member` };
  if (peer === core.id)
    return { code: 'conflict', detail: 'the leader is not forgotten: hand the lead over first' };
  const rest = members.filter(({ peerId }) => peerId !== peer);
  const left = votersWithout(rest, voters, peer, core.id);
  const departure = { peerId: peer, name: member.name, role: member.role, how, atMs, by };
  if (left.length === voters.length) {
    const departed = departedAfter(configuration, departure);
    write(core, lead, origin, { ...configuration, members: rest, departed });
    return null;
  }
  if (!answered(core, lead, left)) return 'wait';
  enterJoint(core, lead, origin, left, { departure });
  return null;
}

/**
 * Another role of a member. Its record changes with the entry that begins the change of voters:
 * from there on it asks for no vote and is not counted among those who could take its place.
 */
function setRole(
  core: Core,
  lead: Lead,
  origin: Origin,
  { member }: Of<'role'>,
): Refused | 'wait' | null {
  const { configuration } = core.log;
  const { members, voters } = configuration;
  const { peerId: peer, role, votes, leads } = member;
  if (!members.some(({ peerId }) => peerId === peer))
    return { code: 'bad-request', detail: `${peer} is not a member` };
  if (peer === core.id && !(votes && leads)) {
    const detail = `${member.name} leads, and a ${role} never does: hand the lead over first`;
    return { code: 'conflict', detail };
  }
  const after = members.map((one) => (one.peerId === peer ? member : one));
  const isVoter = voters.includes(peer);
  const witnesses = after.filter((one) => one.role === 'witness' && voters.includes(one.peerId));
  if (!isVoter || (votes && witnesses.length <= 1)) {
    write(core, lead, origin, { ...configuration, members: after });
    return null;
  }
  const left = votersWithout(after, voters, peer, core.id);
  if (!answered(core, lead, left)) return 'wait';
  enterJoint(core, lead, origin, left, { members: after });
  return null;
}

function setVoters(
  core: Core,
  lead: Lead,
  origin: Origin,
  voters: readonly PeerId[],
): Refused | 'wait' | null {
  const { members } = core.log.configuration;
  const wanted = [...new Set(voters)];
  const unfit = wanted.find((peer) => !members.some((m) => m.peerId === peer && m.votes));
  if (unfit !== undefined) return { code: 'bad-request', detail: `${unfit} may not vote` };
  if (!wanted.includes(core.id))
    return { code: 'conflict', detail: 'the leader stays a voter: hand the lead over first' };
  const witnesses = members.filter((m) => m.role === 'witness' && wanted.includes(m.peerId));
  if (witnesses.length > 1) return { code: 'conflict', detail: 'at most one witness votes' };
  const { voters: current } = core.log.configuration;
  const near = wanted.every(
    (peer) => current.includes(peer) || candidateOf(core, lead, peer).ready,
  );
  if (!near || !answered(core, lead, wanted)) return 'wait';
  enterJoint(core, lead, origin, wanted);
  return null;
}
