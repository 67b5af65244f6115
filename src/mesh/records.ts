/**
 * The newest signed record of every speaker on every topic. A record counts only when its signature
 * verifies with the key inside the speaker's own peer id and it is newer, by (incarnation, seq),
 * than what is held: it doesn't matter who relayed it, and a replay changes nothing. Records older
 * than half an hour by the speaker's clock are refused, so that a node with an empty store isn't
 * fooled by an old one; speakers say their records again well before that.
 */
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Ms, PeerId } from '../base/brand.ts';
import {
  compareAge,
  type Digest,
  decodeSignedRecord,
  encodeSignedRecord,
  encodeStatement,
  type GossipRecord,
  type GossipTopic,
  type SignedRecord,
} from '../wire/gossip.ts';
import { recordAgeMsMax } from '../wire/gossip-pace.ts';
import { bucketOf } from './record-buckets.ts';

/** Records held, all speakers and topics together; the oldest makes room. */
const recordsMax = 4096;

export type Verdict =
  | 'new'
  | 'known'
  | 'stale'
  | 'other-cluster'
  | 'malformed'
  | 'forged'
  | 'refused';

export interface Records {
  /** Signs and holds this node's own word. */
  say(topic: GossipTopic, body: Uint8Array): Promise<Uint8Array>;
  /** Checks a record that came from anywhere; `record` is set unless it was malformed. */
  offer(bytes: Uint8Array): Promise<{ verdict: Verdict; record: GossipRecord | null }>;
  /** What is held, in these buckets or in all. */
  digest(buckets?: readonly number[]): Digest;
  /** Records that a holder of `digest` lacks, as they travel, at most `max`; of these buckets. */
  newerThan(digest: Digest, max: number, buckets?: readonly number[]): Uint8Array[];
  /** Keys in `digest` that are newer than what is held, at most `max`. */
  missing(digest: Digest, max: number): [string, PeerId][];
  /** The records of these keys, as they travel. */
  pick(keys: readonly (readonly [string, PeerId])[]): Uint8Array[];
  /** This node's own records, to be said again. */
  own(): GossipRecord[];
  readonly size: number;
}

export interface RecordsDeps {
  readonly self: PeerId;
  readonly privateKey: Ed25519PrivateKey;
  readonly incarnation: number;
  readonly cluster: () => string | null;
  readonly wallMs: () => Ms;
  /** Whether the speaker's word counts at all. */
  readonly mayGossip: (from: PeerId, topic: string, body: Uint8Array) => Promise<boolean>;
}

const isIn = (record: GossipRecord, buckets: readonly number[] | undefined): boolean =>
  buckets === undefined || buckets.includes(bucketOf(record.topic, record.from));

export function createRecords(deps: RecordsDeps): Records {
  const held = new Map<string, SignedRecord>();
  let seq = 0;

  const keyOf = (topic: string, from: PeerId): string => `${topic}|${from}`;

  function hold(signed: SignedRecord): void {
    const key = keyOf(signed.record.topic, signed.record.from);
    held.delete(key);
    held.set(key, signed);
    if (held.size <= recordsMax) return;
    // Insertion order is the order of renewal: the first is the one not heard of for longest.
    for (const [oldest, { record }] of held) {
      if (record.from === deps.self) continue;
      held.delete(oldest);
      return;
    }
  }

  async function verify(signed: SignedRecord): Promise<boolean> {
    const { publicKey } = peerIdFromString(signed.record.from);
    return (await publicKey?.verify(signed.statement, signed.signature)) ?? false;
  }

  /** Everything that doesn't need the signature, cheapest first. */
  function weigh(record: GossipRecord): Verdict {
    const mine = deps.cluster();
    if (mine !== null && record.cluster !== null && record.cluster !== mine) return 'other-cluster';
    const last = held.get(keyOf(record.topic, record.from));
    if (last && compareAge(record, last.record) <= 0) return 'known';
    if (record.from === deps.self && record.incarnation <= deps.incarnation) return 'known';
    if (record.atMs < deps.wallMs() - recordAgeMsMax) return 'stale';
    return 'new';
  }

  return {
    async say(topic, body) {
      seq += 1;
      const record: GossipRecord = {
        topic,
        from: deps.self,
        cluster: deps.cluster(),
        incarnation: deps.incarnation,
        seq,
        atMs: deps.wallMs(),
        body,
      };
      const statement = encodeStatement(record);
      const signed = { record, statement, signature: await deps.privateKey.sign(statement) };
      hold(signed);
      return encodeSignedRecord(signed);
    },
    async offer(bytes) {
      let signed: SignedRecord;
      try {
        signed = decodeSignedRecord(bytes);
      } catch {
        return { verdict: 'malformed', record: null };
      }
      const { record } = signed;
      const verdict = weigh(record);
      if (verdict !== 'new') return { verdict, record };
      try {
        if (!(await verify(signed))) return { verdict: 'forged', record };
      } catch {
        // Not a peer id, or one without a key inside.
        return { verdict: 'forged', record };
      }
      if (!(await deps.mayGossip(record.from, record.topic, record.body)))
        return { verdict: 'refused', record };
      // Another copy may have been taken while this one was verified.
      if (weigh(record) !== 'new') return { verdict: 'known', record };
      hold(signed);
      return { verdict, record };
    },
    digest: (buckets) =>
      [...held.values()]
        .filter(({ record }) => isIn(record, buckets))
        .map(({ record }) => [record.topic, record.from, record.incarnation, record.seq]),
    newerThan(digest, max, buckets) {
      const theirs = new Map(
        digest.map(([topic, from, incarnation, at]) => [
          keyOf(topic, from),
          { incarnation, seq: at },
        ]),
      );
      const newer: Uint8Array[] = [];
      for (const [key, signed] of held) {
        if (newer.length >= max) break;
        if (!isIn(signed.record, buckets)) continue;
        const other = theirs.get(key);
        if (!other || compareAge(signed.record, other) > 0) newer.push(encodeSignedRecord(signed));
      }
      return newer;
    },
    missing: (digest, max) =>
      digest
        .filter(([topic, from, incarnation, at]) => {
          const mine = held.get(keyOf(topic, from));
          return (
            from !== deps.self && (!mine || compareAge({ incarnation, seq: at }, mine.record) > 0)
          );
        })
        .slice(0, max)
        .map(([topic, from]) => [topic, from]),
    pick: (keys) =>
      keys.flatMap(([topic, from]) => {
        const signed = held.get(keyOf(topic, from));
        return signed ? [encodeSignedRecord(signed)] : [];
      }),
    own: () =>
      [...held.values()]
        .map(({ record }) => record)
        .filter((record) => record.from === deps.self && record.incarnation === deps.incarnation),
    get size() {
      return held.size;
    },
  };
}
