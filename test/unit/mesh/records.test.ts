import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { encode } from 'cborg';
import { expect, test } from 'vitest';
import { createRecords, type Records } from '../../../src/mesh/records.ts';
import { decodeSignedRecord, encodeGossip } from '../../../src/wire/gossip.ts';
import { recordAgeMsMax } from '../../../src/wire/gossip-pace.ts';

const health = (score: number): Uint8Array =>
  encodeGossip('health', { type: 'health', score, reasons: [] });

const refused = new Set<string>();

async function speaker(options: { incarnation?: number; cluster?: string | null } = {}) {
  const privateKey = await generateKeyPair('Ed25519');
  const self = peerIdFromPrivateKey(privateKey).toString();
  const time = { wallMs: 1_000_000_000 };
  const { incarnation = 1, cluster = null } = options;
  const make = (at: number): Records =>
    createRecords({
      self,
      privateKey,
      incarnation: at,
      cluster: () => cluster,
      wallMs: () => time.wallMs,
      mayGossip: async (from) => !refused.has(from),
    });
  return { self, time, records: make(incarnation), restart: make };
}

test('a speaker whose word does not count is neither held nor, later, known', async () => {
  const a = await speaker();
  const b = await speaker();
  const said = await a.records.say('health', health(50));
  refused.add(a.self);
  expect((await b.records.offer(said)).verdict).toBe('refused');
  expect(b.records.size).toBe(0);
  refused.delete(a.self);
  expect((await b.records.offer(said)).verdict).toBe('new');
});

test('a relayed record is taken once and only when newer', async () => {
  const a = await speaker();
  const b = await speaker();
  const old = await a.records.say('health', health(50));
  const fresh = await a.records.say('health', health(90));
  expect((await b.records.offer(fresh)).verdict).toBe('new');
  expect((await b.records.offer(fresh)).verdict).toBe('known');
  expect((await b.records.offer(old)).verdict).toBe('known');
  const afterRestart = await a.restart(2).say('health', health(10));
  expect((await b.records.offer(afterRestart)).verdict).toBe('new');
  expect((await b.records.offer(fresh)).verdict).toBe('known');
  expect(b.records.size).toBe(1);
});

test('a record replayed an hour later changes nothing, not even in an empty store', async () => {
  const a = await speaker();
  const captured = await a.records.say('health', health(50));
  const b = await speaker();
  b.time.wallMs += recordAgeMsMax + 1;
  expect((await b.records.offer(captured)).verdict).toBe('stale');
  expect(b.records.size).toBe(0);
});

test('a record of another cluster is refused; one from before the join is not', async () => {
  const a = await speaker({ cluster: 'aa' });
  const b = await speaker({ cluster: 'bb' });
  const joiner = await speaker();
  expect((await b.records.offer(await a.records.say('health', health(1)))).verdict).toBe(
    'other-cluster',
  );
  expect((await b.records.offer(await joiner.records.say('health', health(1)))).verdict).toBe(
    'new',
  );
});

test('a changed byte anywhere is malformed or forged', async () => {
  const a = await speaker();
  const b = await speaker();
  const record = await a.records.say('health', health(50));
  for (let at = 0; at < record.length; at++) {
    const changed = Uint8Array.from(record);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const { verdict } = await b.records.offer(changed);
    expect(['malformed', 'forged', 'stale'], `byte ${at}`).toContain(verdict);
  }
  expect(b.records.size).toBe(0);
});

test('nobody speaks for another, whoever signs', async () => {
  const a = await speaker();
  const mallory = await speaker();
  const b = await speaker();
  const own = decodeSignedRecord(await mallory.records.say('health', health(1)));
  const statement = encode({ v: 1, ...own.record, from: a.self });
  expect((await b.records.offer(encode([statement, own.signature]))).verdict).toBe('forged');
  const nobody = encode({ v: 1, ...own.record, from: 'nobody' });
  expect((await b.records.offer(encode([nobody, own.signature]))).verdict).toBe('forged');
});

test('two stores agree after one exchange of digests', async () => {
  const speakers = await Promise.all(Array.from({ length: 6 }, () => speaker()));
  const [a, b] = [await speaker(), await speaker()];
  for (const [i, one] of speakers.entries()) {
    const first = await one.records.say('health', health(1));
    const second = await one.records.say('health', health(2));
    await a.records.offer(i % 2 ? first : second);
    await b.records.offer(i % 2 ? second : first);
  }
  const wants = b.records.missing(a.records.digest(), 100);
  for (const record of b.records.newerThan(a.records.digest(), 100)) await a.records.offer(record);
  for (const record of a.records.pick(wants)) await b.records.offer(record);
  const sorted = (records: Records) => records.digest().map(String).sort();
  expect(sorted(a.records)).toEqual(sorted(b.records));
  expect(a.records.newerThan(b.records.digest(), 100)).toEqual([]);
});

test('own records can be said again, and echoes of them are known', async () => {
  const a = await speaker();
  const said = await a.records.say('health', health(50));
  expect((await a.records.offer(said)).verdict).toBe('known');
  expect(a.records.own()).toHaveLength(1);
});
