/**
 * `GET /status` as data: what this node knows of cluster, election, members, log and copies, in
 * the shape that docs/status-api.md fixes. What nothing measures yet is null or `unknown`, never a
 * made-up value.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Pause } from '../catalog/query-operations.ts';
import type { Status } from '../consensus/api.ts';
import type { DaemonView } from '../daemons/api.ts';
import { gradeOf } from '../health/grade.ts';
import { wordLastsMs } from '../health/saying.ts';
import { type Certificate, roles } from '../wire/member.ts';
import type { StatusPage } from './api.ts';
import type { FederationPage } from './daemons/fleet.ts';
import type { MemberFile } from './data-folder.ts';
import type { Directory } from './directory.ts';
import type { MemberHealth } from './health/api.ts';
import type { LeaderView } from './leadership.ts';
import type { Mode } from './mode.ts';
import type { Stray } from './recovery/strays.ts';
import type { ClashWatch } from './trust/clash-watch.ts';
import type { DoorLog } from './trust/door-log.ts';
import type { Trust } from './trust/trust.ts';
import { version } from './version.ts';

export interface ReplicationSummary {
  readonly pins: number;
  readonly underReplicated: number;
  readonly overReplicated: number;
  readonly fetching: number;
  readonly failed: number;
  readonly bytesStored: number;
  readonly bytesFree: number;
}

export interface StatusInput {
  readonly member: MemberFile;
  readonly certificate: Certificate;
  readonly startedAtMs: Ms;
  readonly incarnation: number;
  readonly consensus: Status;
  readonly mode: Mode;
  readonly strays: readonly Stray[];
  readonly trust: Trust;
  readonly clashes: ClashWatch;
  readonly doors: DoorLog;
  readonly view: LeaderView;
  readonly directory: Directory;
  readonly healthOf: (peer: PeerId) => MemberHealth;
  readonly addresses: readonly string[];
  readonly statusUrl: string | null;
  /** This node's content host runs. */
  readonly holdsContent: boolean;
  readonly replication: ReplicationSummary | null;
  readonly draining: ReadonlySet<PeerId>;
  readonly paused: Pause | null;
  readonly index: Readonly<Record<string, number>>;
  readonly daemons: readonly DaemonView[];
  readonly federation: FederationPage | null;
}

/**
 * What somebody has to do something about, by code; seen here or by the member's own word. A copy
 * that is gone may have said the last word that counts: it ends with its time.
 */
function alarmsOf(input: StatusInput, peer: PeerId): string[] {
  const { record, recordAgeMs } = input.healthOf(peer);
  const fresh = (recordAgeMs ?? 0) < wordLastsMs(input.directory.configuration().members.length);
  const says = fresh && record?.reasons.some(({ code }) => code === 'identity-clash') === true;
  const own = peer === input.directory.self && input.clashes.own() !== null;
  return says || own || input.clashes.clashes(peer) ? ['identity-clash'] : [];
}

/** One row of `members`. */
export function memberRow(input: StatusInput, member: Certificate): Record<string, unknown> {
  const { peerId, name, role, zone } = member;
  const self = peerId === input.directory.self;
  const facts = input.directory.factsOf(peerId);
  const { state, lastSeenMs, health, score, record } = input.healthOf(peerId);
  return {
    name,
    peerId,
    role,
    zone,
    addresses: self ? input.addresses : facts.addresses,
    statusUrl: self ? input.statusUrl : facts.statusUrl,
    version: self ? version : facts.version,
    capabilities: (self ? input.holdsContent : facts.content !== null) ? ['content'] : [],
    state,
    draining: input.draining.has(peerId),
    alarms: alarmsOf(input, peerId),
    dialable: record?.dialable ?? null,
    notDialledBy: (record?.notDialledBy ?? []).map((peer) => input.directory.nameOf(peer)),
    health,
    score,
    incarnation: self ? input.incarnation : facts.incarnation,
    lastSeenMs: lastSeenMs === null ? null : Math.round(lastSeenMs),
  };
}

export function leaderRow(directory: Directory, leader: PeerId | null, ownUrl: string | null) {
  if (leader === null) return null;
  const certificate = directory.certificateOf(leader);
  if (certificate === null) return null;
  const self = leader === directory.self;
  const statusUrl = self ? ownUrl : directory.factsOf(leader).statusUrl;
  return { name: certificate.name, peerId: leader, role: certificate.role, statusUrl };
}

function electionPart(input: StatusInput): Record<string, unknown> {
  const { consensus, directory } = input;
  const { voters, outgoing, members } = consensus.configuration;
  const voting = new Set([...voters, ...(outgoing ?? [])]);
  const row = (peer: PeerId) => {
    const certificate = directory.certificateOf(peer);
    const { state } = input.healthOf(peer);
    const alive = peer === consensus.leader ? 'leader' : 'follower';
    return {
      name: certificate?.name ?? peer,
      role: certificate?.role ?? null,
      state: state === 'alive' ? alive : state,
    };
  };
  const quorum = Math.floor(voters.length / 2) + 1;
  const votes = (peer: PeerId): boolean =>
    input.healthOf(peer).state === 'alive' && alarmsOf(input, peer).length === 0;
  const living = voters.filter(votes).length;
  return {
    state: consensus.state,
    acting: consensus.acting,
    inProgress: consensus.inProgress,
    degraded: consensus.degraded,
    leader: leaderRow(directory, consensus.leader, input.statusUrl),
    term: consensus.term,
    leaseMsRemaining: Math.round(consensus.leaseMsRemaining),
    voters: [...voting].map(row),
    learners: members
      .map((member) => member.peerId)
      .filter((peer) => !voting.has(peer))
      .map((peer) => ({ ...row(peer), state: input.healthOf(peer).state })),
    quorum: voters.length === 0 ? 0 : quorum,
    failureTolerance: Math.max(0, living - quorum),
  };
}

/** One entry of `daemons`. */
const daemonRow = (view: DaemonView, score: number | null): Record<string, unknown> => ({
  mode: view.mode,
  desired: view.desired,
  state: view.state,
  health: score === null ? 'unknown' : gradeOf(score),
  score,
  pid: view.pid,
  ports: view.ports,
  restarts: view.restarts,
  cooldownMsRemaining: view.cooldownMsRemaining,
});

/** This node's certificate, and whom it refused for theirs. */
function trustPart(input: StatusInput): Record<string, unknown> {
  const { trust, clashes, doors, consensus } = input;
  const { jti, gen, exp } = trust.own().claims;
  const { total, last } = trust.refusals();
  const clash = clashes.own();
  const shown = last && { ...last, at: new Date(last.atMs).toISOString(), atMs: undefined };
  return {
    certificate: { serial: jti, generation: gen, expiresAt: new Date(exp * 1000).toISOString() },
    refused: { total, last: shown },
    connectionsRefused: doors.report(),
    // It has stopped once the election knows of it, a turn of the loop after the proof.
    identityClash: clash && {
      ...clash,
      stoppedVoting: clash.stoppedVoting && consensus.cannotLeadReason === 'identity-clash',
    },
  };
}

/** Who is no member any more: left by itself, or forgotten by a person. Failed ones are members. */
function departedRows(directory: Directory): Record<string, unknown>[] {
  const { departed = [] } = directory.configuration();
  return departed.map(({ name, peerId, role, how, atMs, by }) => ({
    ...{ name, peerId, role, state: how, by: by === '' ? null : by },
    since: atMs > 0 ? new Date(atMs).toISOString() : null,
  }));
}

function pausedPart(pause: Pause | null) {
  if (pause === null) return null;
  const { owner, reason, expiresAtMs } = pause;
  const until = expiresAtMs === null ? null : new Date(expiresAtMs).toISOString();
  return { by: owner, reason, until };
}

export function statusPage(input: StatusInput): StatusPage {
  const { consensus, certificate, member, directory } = input;
  const members = [...directory.configuration().members].sort(
    (a, b) => b.rank - a.rank || (a.name < b.name ? -1 : 1),
  );
  const own = input.healthOf(certificate.peerId);
  const healthy = members.filter(({ peerId }) => input.healthOf(peerId).health === 'healthy');
  const byRole = Object.fromEntries(
    roles.map((role) => [role, members.filter((one) => one.role === role).length]),
  );
  const node = {
    name: certificate.name,
    peerId: certificate.peerId,
    role: certificate.role,
    zone: certificate.zone,
    version,
    startedAt: new Date(input.startedAtMs).toISOString(),
    canLead: consensus.cannotLeadReason === null,
    cannotLeadReason: consensus.cannotLeadReason,
  };
  const scores = new Map(own.record?.daemons.map(({ type, score }) => [type, score]));
  return {
    cluster: {
      id: member.clusterId,
      name: `bellwether-${member.clusterId.slice(0, 8)}`,
      epoch: member.epochNumber,
      epochId: member.epoch,
      parentEpochId: member.parentEpoch,
      /** Members that are in another epoch: neither side listens to the other. */
      strays: input.strays,
    },
    ...input.mode,
    node,
    election: electionPart(input),
    members: members.map((one) => memberRow(input, one)),
    departed: departedRows(directory),
    trust: trustPart(input),
    counts: { total: members.length, healthy: healthy.length, byRole },
    log: {
      firstIndex: consensus.firstIndex,
      lastIndex: consensus.lastIndex,
      commitIndex: consensus.commitIndex,
      appliedIndex: consensus.appliedIndex,
    },
    content: { engine: 'embedded' },
    replication: input.replication,
    index: input.index,
    federation: input.federation,
    daemons: Object.fromEntries(
      input.daemons.map((one) => [one.type, daemonRow(one, scores.get(one.type) ?? null)]),
    ),
    health: {
      state: own.health,
      score: own.score,
      reasons: own.record?.reasons ?? [],
      components: own.record?.components ?? [],
    },
    mcp: null,
    paused: pausedPart(input.paused),
  };
}
