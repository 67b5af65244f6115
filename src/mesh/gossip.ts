/**
 * Signed, bounded, typed gossip: publishing through gossipsub, checking what comes, and
 * anti-entropy over direct requests, so that nothing depends on one message arriving (a restarted
 * peer's gossipsub mesh can stay one-sided for long). What is delivered is always a record newer
 * than the last one of that speaker.
 */
import { type Message, TopicValidatorResult } from '@libp2p/gossipsub';
import type { Ms, PeerId } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { Prng } from '../base/prng.ts';
import { encode as encodeCbor } from '../wire/cbor.ts';
import {
  decodeDifference,
  decodeDigest,
  decodeExchange,
  decodeGossip,
  decodeSummary,
  encodeSummary,
  gossipTopicNames,
  isGossipTopic,
} from '../wire/gossip.ts';
import { sayAgainMsMax } from '../wire/gossip-pace.ts';
import type { Host } from './host.ts';
import { differing, summarize } from './record-buckets.ts';
import type { Records, Verdict } from './records.ts';

/** One exchange with one random connected peer this often, spread by half. */
const exchangeMs: Ms = 4000;
const exchangeTimeoutMs: Ms = 3000;
/** A new link exchanges this soon after opening, spread by half. */
const greetMs: Ms = 200;
/** How often it is looked whether an own record was not said for too long. */
const repeatMs: Ms = sayAgainMsMax / 4;
/** Peers asked when this node has reason to think that it missed something. */
const catchUpPeers = 3;
/** Records sent in one answer of an exchange. */
const recordsPerExchangeMax = 128;

/** The exchange: hashes of buckets first, then what differs, both ways at once. */
const summaryRequest = 'mesh.summary';
const syncRequest = 'mesh.sync';
/** The same with everybody's whole digest, as versions before 0.1.0 do it. */
const digestRequest = 'mesh.digest';
const recordsRequest = 'mesh.records';
const requests = new Set([summaryRequest, syncRequest, digestRequest, recordsRequest]);

/** Whether a request belongs to the exchange of records. */
export const isExchange = (name: string): boolean => requests.has(name);

const topicPrefix = '/bellwether/1/';

export interface Gossiper {
  start(): void;
  stop(): void;
  /** A link opened: one side of it exchanges digests soon. */
  opened(peer: PeerId): void;
  publish(topic: string, body: Uint8Array): Promise<void>;
  /** Exchanges digests with a few peers now; with whom. */
  catchUp(): Promise<PeerId[]>;
  /** Answers the requests of the exchange. */
  answer(name: string, body: Uint8Array): Promise<Uint8Array>;
  stats(): Record<string, number>;
}

export interface GossiperDeps {
  readonly self: PeerId;
  readonly host: Host;
  readonly records: Records;
  readonly prng: Prng;
  readonly monoMs: () => Ms;
  readonly wallMs: () => Ms;
  readonly peers: () => PeerId[];
  readonly request: (to: PeerId, name: string, body: Uint8Array, t: Ms) => Promise<Uint8Array>;
  readonly deliver: (from: PeerId, topic: string, body: Uint8Array) => void;
}

export function createGossiper(deps: GossiperDeps): Gossiper {
  const { host, records, prng } = deps;
  const pubsub = host.services.pubsub;
  const counts = {
    publish_total: 0,
    publish_no_peers_total: 0,
    publish_failed_total: 0,
    gossip_delivered_total: 0,
    gossip_known_total: 0,
    gossip_refused_total: 0,
    exchanges_total: 0,
    exchanges_failed_total: 0,
    exchange_records_total: 0,
  };
  let timer: NodeJS.Timeout | null = null;
  let repeatedMs = deps.monoMs();

  async function take(bytes: Uint8Array): Promise<Verdict> {
    const { verdict, record } = await records.offer(bytes);
    if (verdict === 'new' && record !== null) {
      counts.gossip_delivered_total += 1;
      deps.deliver(record.from, record.topic, record.body);
    } else if (verdict === 'known') counts.gossip_known_total += 1;
    else counts.gossip_refused_total += 1;
    return verdict;
  }

  async function validate(topic: string, message: Message): Promise<TopicValidatorResult> {
    if (message.type !== 'signed' || message.topic !== topicPrefix + topic) {
      counts.gossip_refused_total += 1;
      return TopicValidatorResult.Reject;
    }
    const verdict = await take(message.data);
    if (verdict === 'new') return TopicValidatorResult.Accept;
    // Old news is not an offence; a record that nobody could have made in good faith is.
    return verdict === 'malformed' || verdict === 'forged'
      ? TopicValidatorResult.Reject
      : TopicValidatorResult.Ignore;
  }

  async function send(topic: string, record: Uint8Array): Promise<void> {
    counts.publish_total += 1;
    try {
      const { recipients } = await pubsub.publish(topicPrefix + topic, record);
      if (recipients.length === 0) counts.publish_no_peers_total += 1;
    } catch {
      // Gossipsub throws while it stops, or when a peer's queue is full; the exchange catches up.
      counts.publish_failed_total += 1;
    }
  }

  async function repeatOwn(): Promise<void> {
    if (deps.monoMs() - repeatedMs < repeatMs) return;
    repeatedMs = deps.monoMs();
    const oldMs = deps.wallMs() - sayAgainMsMax;
    for (const { topic, body, atMs } of records.own())
      if (atMs <= oldMs) await send(topic, await records.say(topic, body));
  }

  async function takeAll(received: readonly Uint8Array[]): Promise<void> {
    counts.exchange_records_total += received.length;
    for (const record of received) await take(record);
  }

  const ask = (peer: PeerId, name: string, body: Uint8Array): Promise<Uint8Array> =>
    deps.request(peer, name, body, exchangeTimeoutMs);

  async function exchangeSummaries(peer: PeerId): Promise<void> {
    const hashes = encodeSummary(summarize(records.digest()));
    const { differs, digest } = decodeDifference(await ask(peer, summaryRequest, hashes));
    const newer = records.newerThan(digest, recordsPerExchangeMax, differs);
    const wants = records.missing(digest, recordsPerExchangeMax);
    if (newer.length === 0 && wants.length === 0) return;
    const body = encodeCbor({ records: newer, wants });
    await takeAll(decodeExchange(await ask(peer, syncRequest, body)).records);
  }

  async function exchangeDigests(peer: PeerId): Promise<void> {
    const answer = await ask(peer, digestRequest, encodeCbor(records.digest()));
    const { records: newer, wants } = decodeExchange(answer);
    await takeAll(newer);
    const asked = records.pick(wants);
    if (asked.length > 0)
      await ask(peer, recordsRequest, encodeCbor({ records: asked, wants: [] }));
  }

  async function exchange(peer: PeerId): Promise<void> {
    counts.exchanges_total += 1;
    try {
      await exchangeSummaries(peer).catch((thrown: unknown) => {
        if (asAgentError(thrown).code !== 'not-built') throw thrown;
        return exchangeDigests(peer);
      });
    } catch {
      // The peer left or is busy; the next one is asked in a few seconds.
      counts.exchanges_failed_total += 1;
    }
  }

  async function round(): Promise<void> {
    await repeatOwn();
    const peers = deps.peers();
    if (peers.length > 0) await exchange(prng.pick(peers));
  }

  function schedule(): void {
    timer = setTimeout(() => void round().finally(again), prng.range(exchangeMs / 2, exchangeMs));
    timer.unref();
  }
  const again = (): void => {
    if (timer !== null) schedule();
  };

  return {
    start() {
      for (const topic of gossipTopicNames) {
        pubsub.topicValidators.set(topicPrefix + topic, (_relay, message) =>
          validate(topic, message),
        );
        pubsub.subscribe(topicPrefix + topic);
      }
      schedule();
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
    opened(peer) {
      if (timer === null || deps.self > peer) return;
      setTimeout(
        () => {
          if (timer !== null && deps.peers().includes(peer)) void exchange(peer);
        },
        prng.range(greetMs / 2, greetMs),
      ).unref();
    },
    async catchUp() {
      const peers = prng.shuffle(deps.peers()).slice(0, catchUpPeers);
      await Promise.all(peers.map(exchange));
      return peers;
    },
    async publish(topic, body) {
      if (!isGossipTopic(topic)) throw new AgentError('bad-request', `no gossip topic ${topic}`);
      decodeGossip(topic, body);
      await send(topic, await records.say(topic, body));
    },
    async answer(name, body) {
      if (name === summaryRequest) {
        const differs = differing(decodeSummary(body), summarize(records.digest()));
        return encodeCbor({ differs, digest: records.digest(differs) });
      }
      if (name === syncRequest) {
        const { records: offered, wants } = decodeExchange(body);
        await takeAll(offered);
        return encodeCbor({ records: records.pick(wants), wants: [] });
      }
      if (name === digestRequest) {
        const digest = decodeDigest(body);
        return encodeCbor({
          records: records.newerThan(digest, recordsPerExchangeMax),
          wants: records.missing(digest, recordsPerExchangeMax),
        });
      }
      await takeAll(decodeExchange(body).records);
      return new Uint8Array(0);
    },
    stats: () => ({ ...counts, gossip_records: records.size }),
  };
}
