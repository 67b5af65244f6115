/**
 * Tells two runs of one key apart. Two connections of one peer are usually one run that was dialled
 * from both sides; where they answer with different instance ids, each run is asked to sign that it
 * was told of the other (wire/instance.ts). Two such words prove a clash, to whoever holds them:
 * the observer here, and either run, which hears it over its own connection. An answer that doesn't
 * come proves nothing and is asked for again.
 */
import { randomBytes } from 'node:crypto';
import type { Connection, Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Ms, PeerId } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import {
  clashRequest,
  decodeClashNotice,
  decodeInstanceQuestion,
  decodeInstanceWord,
  encodeInstance,
  type InstanceWord,
  instanceRequest,
  instanceStatement,
  provesClash,
} from '../wire/instance.ts';
import type { Clash } from './api.ts';
import { createPeerLines } from './peer-lines.ts';

const askTimeoutMs: Ms = 3000;
/** Connections of one peer that are asked. */
const askedMax = 4;
/** A clash that goes on is proved again this often. */
const againMs: Ms = 5000;

/** Asks over one connection, on a stream of its own. */
export type AskOver<C> = (connection: C, name: string, body: Uint8Array) => Promise<Uint8Array>;

export interface Instances {
  /** This run's own. */
  readonly id: string;
  /** A peer has more than one connection: whose are they? Never rejects. */
  examine(peer: PeerId): Promise<void>;
  /** Looks again at every peer that still has several connections. */
  round(peers: readonly PeerId[]): void;
  /** Answers the two requests; throws on anything else. */
  answer(from: PeerId, name: string, body: Uint8Array): Promise<Uint8Array>;
  stats(): { instances_asked_total: number; clashes_proved_total: number };
}

export interface InstancesDeps<C> {
  readonly self: PeerId;
  readonly privateKey: Ed25519PrivateKey;
  readonly monoMs: () => Ms;
  /** Open ones, the oldest first. */
  readonly connections: (peer: PeerId) => readonly C[];
  readonly addressOf: (connection: C) => string | null;
  readonly ask: AskOver<C>;
  readonly onClash: (clash: Clash) => void;
  readonly log?: ((fact: { type: string } & Record<string, unknown>) => void) | undefined;
}

export const isInstanceRequest = (name: string): boolean =>
  name === instanceRequest || name === clashRequest;

async function isSignedBy(peer: PeerId, word: InstanceWord): Promise<boolean> {
  const { publicKey } = peerIdFromString(peer);
  return (await publicKey?.verify(instanceStatement(peer, word), word.signature)) ?? false;
}

/** One question on a stream that is closed after the answer. */
export const askOverConnection: AskOver<Connection> = async (connection, name, body) => {
  const lines = createPeerLines(
    () => connection,
    () => undefined,
  );
  try {
    return await lines.asker.request(name, body, askTimeoutMs);
  } finally {
    lines.close();
  }
};

interface Run<C> {
  readonly connection: C;
  readonly instance: string;
}

export function createInstances<C extends object>(deps: InstancesDeps<C>): Instances {
  const id = randomBytes(16).toString('hex');
  const { self } = deps;
  const known = new WeakMap<C, string>();
  const examining = new Set<PeerId>();
  const provedMs = new Map<PeerId, Ms>();
  const counts = { instances_asked_total: 0, clashes_proved_total: 0 };

  async function say(met: string | null): Promise<Uint8Array> {
    const word = { instance: id, met };
    const signature = await deps.privateKey.sign(instanceStatement(self, word));
    return encodeInstance({ ...word, signature });
  }

  async function wordOf(peer: PeerId, connection: C, met: string | null): Promise<InstanceWord> {
    counts.instances_asked_total += 1;
    const word = decodeInstanceWord(
      await deps.ask(connection, instanceRequest, encodeInstance({ met })),
    );
    if (word.met !== met || !(await isSignedBy(peer, word)))
      throw new AgentError('bad-request', `${peer} signs an instance that is not its own`);
    known.set(connection, word.instance);
    return word;
  }

  async function runsOf(peer: PeerId): Promise<Run<C>[]> {
    const connections = deps.connections(peer).slice(0, askedMax);
    if (connections.length < 2) return [];
    const asked = connections.map(async (connection) => ({
      connection,
      instance: known.get(connection) ?? (await wordOf(peer, connection, null)).instance,
    }));
    const answers = await Promise.allSettled(asked);
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  }

  async function tell(run: Run<C>, other: InstanceWord, address: string | null): Promise<void> {
    try {
      await deps.ask(run.connection, clashRequest, encodeInstance({ other, address }));
    } catch (thrown) {
      // It is proved here whether or not the run hears it; the next round tells it again.
      deps.log?.({ type: 'clash-not-told', reason: asAgentError(thrown).message });
    }
  }

  async function prove(peer: PeerId, a: Run<C>, b: Run<C>): Promise<void> {
    const [wordA, wordB] = await Promise.all([
      wordOf(peer, a.connection, b.instance),
      wordOf(peer, b.connection, a.instance),
    ]);
    if (!provesClash(wordA, wordB)) return;
    counts.clashes_proved_total += 1;
    provedMs.set(peer, deps.monoMs());
    const [addressA, addressB] = [deps.addressOf(a.connection), deps.addressOf(b.connection)];
    deps.onClash({ peer, self: false, addresses: [addressA, addressB], toldBy: null });
    await Promise.all([tell(a, wordB, addressB), tell(b, wordA, addressA)]);
  }

  async function examine(peer: PeerId): Promise<void> {
    if (peer === self || examining.has(peer)) return;
    examining.add(peer);
    try {
      const [first, ...rest] = await runsOf(peer);
      const other = rest.find(({ instance }) => instance !== first?.instance);
      if (first && other) await prove(peer, first, other);
    } catch (thrown) {
      deps.log?.({ type: 'instances-unknown', peer, reason: asAgentError(thrown).message });
    } finally {
      examining.delete(peer);
    }
  }

  async function onNotice(from: PeerId, body: Uint8Array): Promise<Uint8Array> {
    const { other, address } = decodeClashNotice(body);
    const proves = other.instance !== id && other.met === id;
    if (!proves || !(await isSignedBy(self, other)))
      throw new AgentError('bad-request', 'clash notice: it proves nothing to this run');
    deps.onClash({ peer: self, self: true, addresses: [address], toldBy: from });
    return encodeInstance({});
  }

  return {
    id,
    examine,
    round: (peers) => {
      for (const peer of provedMs.keys()) if (!peers.includes(peer)) provedMs.delete(peer);
      for (const peer of peers) {
        const sinceMs = deps.monoMs() - (provedMs.get(peer) ?? Number.NEGATIVE_INFINITY);
        const connections = deps.connections(peer);
        const ids = new Set(connections.map((connection) => known.get(connection)));
        const settled = ids.size === 1 && !ids.has(undefined);
        if (connections.length > 1 && !settled && sinceMs >= againMs) void examine(peer);
      }
    },
    answer: async (from, name, body) => {
      if (name === instanceRequest) return say(decodeInstanceQuestion(body).met);
      return onNotice(from, body);
    },
    stats: () => ({ ...counts }),
  };
}
