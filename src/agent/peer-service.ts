/**
 * What the mesh brings in: consensus frames, links, requests, streams and gossip, each judged by
 * the certificate of the key that sent it. Frames become events only after they decode and their
 * sender may say them; requests are a table, deny by default; an exception in here never reaches
 * the mesh, where it would end the process. Before the runtime exists, only `hello` is answered.
 */
import type { PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, asAgentError, type ErrorCode } from '../base/error.ts';
import type { Event } from '../consensus/api.ts';
import type { MeshHandlers } from '../mesh/api.ts';
import { decodeMessage } from '../wire/consensus-message.ts';
import { decodeGossip, type Gossip } from '../wire/gossip.ts';
import type { Certificate } from '../wire/member.ts';
import { lacksRight } from '../wire/message-rights.ts';
import type { Directory } from './directory.ts';
import type { Leadership } from './leadership.ts';
import type { Membership } from './membership.ts';
import type { AgentMetrics } from './metrics.ts';
import { type Snapshots, snapshotStream } from './snapshots.ts';
import type { ClashWatch } from './trust/clash-watch.ts';
import type { DoorLog } from './trust/door-log.ts';
import type { Trust } from './trust/trust.ts';

/** What a certificate must allow for a request to be answered. */
export type Need = 'nothing' | 'member' | 'leads' | 'master';

type Answer = (from: PeerId, body: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface PeerServiceDeps {
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly membership: () => Membership;
  readonly trust: () => Trust;
  readonly directory: () => Directory;
  readonly leadership: () => Leadership | null;
  readonly snapshots: () => Snapshots | null;
  readonly clashes: () => ClashWatch;
  readonly doors: DoorLog;
  readonly post: (event: Event) => void;
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

/** Who wants to know what comes from whom; told after the rest of the agent. */
export interface PeerWatcher {
  /** Anything of this peer over its own link. */
  onWord(peer: PeerId): void;
  onLink(peer: PeerId, open: boolean): void;
  onGossip(peer: PeerId, record: Gossip): void;
}

export interface PeerService {
  readonly handlers: MeshHandlers;
  /** One watcher, for as long as the agent runs. */
  watch(watcher: PeerWatcher): void;
  /** Answers a request name to whom the certificate allows it; each name once. */
  serve(name: string, need: Need, answer: Answer): void;
}

/** Refusals of who somebody is, as against what it sent. */
const refusing = new Set<ErrorCode>([
  ...(['certificate-missing', 'certificate-invalid', 'certificate-expired'] as const),
  ...(['certificate-revoked', 'authority-retired', 'role-not-certified'] as const),
  'cluster-mismatch',
]);

/** A peer that was greeted this recently is not asked again when a second link opens. */
const greetAgainMs = 2000;
/** A peer that has shown no certificate by then is told as one that shows none. */
const introductionMs = 5000;

export function createPeerService(deps: PeerServiceDeps): PeerService {
  const { clock, metrics } = deps;
  const answers = new Map<string, { need: Need; answer: Answer }>();
  const greeted = new Map<PeerId, number>();
  let watcher: PeerWatcher | null = null;
  const strangers = new Map<PeerId, number>();

  function greet(peer: PeerId): void {
    const nowMs = clock.now().monoMs;
    if (nowMs - (greeted.get(peer) ?? Number.NEGATIVE_INFINITY) < greetAgainMs) return;
    if (greeted.size > 1024) greeted.clear();
    greeted.set(peer, nowMs);
    deps
      .membership()
      .greet(peer)
      .catch((thrown: unknown) => {
        greeted.delete(peer);
        const { code, message } = asAgentError(thrown);
        note(peer, 'hello', thrown);
        deps.event('hello-failed', { peer, code, detail: message });
      });
  }

  /** Links open before the hellos have crossed; what comes in between is dropped, no offence. */
  function isFresh(peer: PeerId): boolean {
    const nowMs = clock.now().monoMs;
    if (strangers.size > 1024) strangers.clear();
    const sinceMs = strangers.get(peer) ?? nowMs;
    strangers.set(peer, sinceMs);
    return nowMs - sinceMs < introductionMs;
  }

  /** The sender's certificate; throws, counts and tells when it allows nothing. */
  function certified(from: PeerId, what: string): Certificate {
    const { certificate, refusal } = deps.trust().judge(from);
    if (certificate !== null) return certificate;
    // Its hello may be lost, or its certificate was renewed meanwhile.
    greet(from);
    if (refusal.code === 'certificate-missing' && isFresh(from)) {
      metrics.count('frames_unjudged');
      throw new AgentError(refusal.code, refusal.detail);
    }
    return refuse(from, what, refusal.code, refusal.detail);
  }

  function refuse(from: PeerId, what: string, code: ErrorCode, detail: string): never {
    metrics.count('peers_refused');
    deps.trust().refused(from, what, { code, detail });
    throw new AgentError(code, detail);
  }

  /** Counts a refusal that somebody else decided. */
  function note(from: PeerId, what: string, thrown: unknown): void {
    const { code, message } = asAgentError(thrown);
    if (!refusing.has(code)) return;
    metrics.count('peers_refused');
    deps.trust().refused(from, what, { code, detail: message });
  }

  function checkNeed(from: PeerId, name: string, need: Need): void {
    if (need === 'nothing') return;
    const certificate = certified(from, name);
    const { role, leads } = certificate;
    const allowed = need === 'member' || (need === 'leads' ? leads : role === 'master');
    if (allowed) return;
    const detail = `${certificate.name} is certified as ${role}: ${name} is not for it`;
    refuse(from, name, 'role-not-certified', detail);
  }

  function onFrame(from: PeerId, frame: Uint8Array): void {
    metrics.count('frames_received');
    try {
      const message = decodeMessage(frame);
      const certificate = certified(from, message.type);
      // Which of two machines says so can't be known: neither counts.
      if (certificate.votes && deps.clashes().clashes(from)) return;
      const lacking = lacksRight(certificate, message);
      if (lacking !== null) refuse(from, message.type, 'role-not-certified', lacking);
      deps.leadership()?.heard(from);
      deps.directory().heard(from, clock.now().monoMs);
      watcher?.onWord(from);
      deps.post({ type: 'message', from, certificate, message });
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      if (refusing.has(code)) return;
      metrics.count('frames_undecodable');
      deps.event('frame-refused', { peer: from, code, detail: message.slice(0, 300) });
    }
  }

  function onGossip(from: PeerId, topic: string, body: Uint8Array): void {
    try {
      const record = decodeGossip(topic, body);
      if (record.type === 'member') deps.directory().gossip(from, record, clock.now().monoMs);
      watcher?.onGossip(from, record);
    } catch (thrown) {
      metrics.count('gossip_refused');
      const { code, message } = asAgentError(thrown);
      deps.event('gossip-refused', { peer: from, code, detail: message.slice(0, 300) });
    }
  }

  /** A speaker counts when its certificate does; its own record brings it along. */
  async function mayGossip(from: PeerId, topic: string, body: Uint8Array): Promise<boolean> {
    try {
      const record = decodeGossip(topic, body);
      const trust = deps.trust();
      if (record.type === 'member' && record.certificate !== undefined) {
        const { name, role } = await trust.learn(from, record.certificate);
        if (name === record.name && role === record.role) return true;
        // Said before it heard of its new role; a role in gossip is a hint and no claim.
        if (trust.issued(from) !== null && name === record.name) return true;
        throw new AgentError(
          'role-not-certified',
          `${name} is certified as ${role} and calls itself ${record.name}, ${record.role}`,
        );
      }
      const { refusal } = trust.judge(from);
      if (refusal === null) return true;
      throw new AgentError(refusal.code, refusal.detail);
    } catch (thrown) {
      metrics.count('gossip_refused');
      const { code } = asAgentError(thrown);
      // Whom nobody here has met yet is no offender: its record is asked for again.
      if (code !== 'certificate-missing') note(from, `gossip ${topic}`, thrown);
      return false;
    }
  }

  return {
    serve: (name, need, answer) => answers.set(name, { need, answer }),
    watch: (next) => {
      watcher = next;
    },
    handlers: {
      mayGossip,
      onFrame,
      onGossip,
      onClash: (clash) => deps.clashes().note(clash),
      onHandshakeFailed: (address) =>
        deps.doors.refused({ host: 'mesh', code: 'handshake-failed', address, peer: null }),
      onLink: (peer, change) => {
        deps.post({ type: 'link', peer, change });
        if (change === 'opened') greet(peer);
        if (change !== 'redial-failed') watcher?.onLink(peer, change === 'opened');
        if (change === 'closed') strangers.delete(peer);
      },
      onRequest: async (from, name, body) => {
        const served = answers.get(name);
        if (served === undefined)
          throw new AgentError('not-built', `this node answers no request ${name.slice(0, 64)}`);
        checkNeed(from, name, served.need);
        deps.directory().heard(from, clock.now().monoMs);
        watcher?.onWord(from);
        try {
          return await served.answer(from, body);
        } catch (thrown) {
          note(from, name, thrown);
          throw thrown;
        }
      },
      onStream: async (from, name, header, source) => {
        const snapshots = deps.snapshots();
        if (name !== snapshotStream || snapshots === null)
          throw new AgentError('not-built', `this node takes no stream ${name.slice(0, 64)}`);
        const { votes, role } = certified(from, name);
        if (!votes) refuse(from, name, 'role-not-certified', `a ${role} sends no ${name}`);
        await snapshots.receive(from, header, source);
      },
    },
  };
}
