/**
 * What the mesh brings in: consensus frames, links, requests, streams and gossip. Frames become
 * events only after they decode; requests are a table, deny by default; an exception in here never
 * reaches the mesh, where it would end the process. Before the runtime exists, only `hello` is
 * answered.
 */
import type { PeerId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { Event } from '../consensus/api.ts';
import type { MeshHandlers } from '../mesh/api.ts';
import { decodeMessage } from '../wire/consensus-message.ts';
import { decodeGossip, type Gossip } from '../wire/gossip.ts';
import type { Directory } from './directory.ts';
import type { Leadership } from './leadership.ts';
import type { Membership } from './membership.ts';
import type { AgentMetrics } from './metrics.ts';
import { type Snapshots, snapshotStream } from './snapshots.ts';

type Answer = (from: PeerId, body: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface PeerServiceDeps {
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly membership: () => Membership;
  readonly directory: () => Directory;
  readonly leadership: () => Leadership | null;
  readonly snapshots: () => Snapshots | null;
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
  /** Answers a request name; each name once. */
  serve(name: string, answer: Answer): void;
}

/** A peer that was greeted this recently is not asked again when a second link opens. */
const greetAgainMs = 2000;

export function createPeerService(deps: PeerServiceDeps): PeerService {
  const { clock, metrics } = deps;
  const answers = new Map<string, Answer>();
  const greeted = new Map<PeerId, number>();
  let watcher: PeerWatcher | null = null;

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
        deps.event('hello-failed', { peer, code, detail: message });
      });
  }

  function onFrame(from: PeerId, frame: Uint8Array): void {
    metrics.count('frames_received');
    try {
      const message = decodeMessage(frame);
      deps.leadership()?.heard(from);
      const directory = deps.directory();
      directory.heard(from, clock.now().monoMs);
      watcher?.onWord(from);
      const certificate = directory.certificateOf(from);
      deps.post({ type: 'message', from, certificate, message });
    } catch (thrown) {
      metrics.count('frames_undecodable');
      const { code, message } = asAgentError(thrown);
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

  return {
    serve: (name, answer) => answers.set(name, answer),
    watch: (next) => {
      watcher = next;
    },
    handlers: {
      onFrame,
      onGossip,
      onLink: (peer, change) => {
        deps.post({ type: 'link', peer, change });
        if (change === 'opened') greet(peer);
        if (change !== 'redial-failed') watcher?.onLink(peer, change === 'opened');
      },
      onRequest: async (from, name, body) => {
        const answer = answers.get(name);
        if (answer === undefined)
          throw new AgentError('not-built', `this node answers no request ${name.slice(0, 64)}`);
        deps.directory().heard(from, clock.now().monoMs);
        watcher?.onWord(from);
        return answer(from, body);
      },
      onStream: async (from, name, header, source) => {
        const snapshots = deps.snapshots();
        if (name !== snapshotStream || snapshots === null)
          throw new AgentError('not-built', `this node takes no stream ${name.slice(0, 64)}`);
        await snapshots.receive(from, header, source);
      },
    },
  };
}
