import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { decode as decodeCbor } from 'cborg';
import { expect, test } from 'vitest';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import { openCatalog } from '../../src/catalog/catalog.ts';
import { type CatalogLimits, catalogLimits } from '../../src/catalog/limits.ts';
import {
  type Command,
  decodeResult,
  type Envelope,
  encodeEnvelope,
  type SimpleCommand,
} from '../../src/wire/command.ts';
import { chainStart, type Entry, makeEntry } from '../../src/wire/entry.ts';
import { answerOf, createModel } from './catalog-model.ts';

const sessions = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
const peers = ['p1', 'p2', 'p3', 'p4', 'p5'];

function simpleCommand(prng: Prng, index: number): SimpleCommand {
  const recent = (): number => prng.pick([0, Math.max(0, index - prng.int(12)), index]);
  const expectedVersion = prng.chance(0.6) ? null : recent();
  const cid = `bafkreitest${prng.int(6)}`;
  const key = `key-${prng.int(6)}`;
  const type = prng.pick(['embeddings', 'knowledge_graph', 'content_metadata'] as const);
  switch (prng.int(8)) {
    case 0:
    case 1: {
      const value = { n: prng.int(100), name: `word${prng.int(5)}`, list: [prng.float(), null] };
      return { type: 'index.put', index: type, key, value, expectedVersion };
    }
    case 2:
      return { type: 'index.rm', index: type, key, expectedVersion };
    case 3: {
      const min = 1 + prng.int(3);
      const max = min + prng.int(3) - (prng.chance(0.1) ? 1 : 0);
      const rest = { name: '', bytes: null, blocks: null, labels: {}, expiresAtMs: null };
      return { type: 'pin.put', cid, min, max: Math.max(1, max), expectedVersion, ...rest };
    }
    case 4:
      return prng.chance(0.4)
        ? { type: 'pin.rm', cid, expectedVersion }
        : { type: 'ballot.put', ballot: { term: prng.int(1000) } };
    default: {
      const some = (): string[] => prng.shuffle(peers).slice(0, prng.int(5));
      const rest = { reliesOn: prng.chance(0.5) ? [] : some(), term: 1, reason: 'x' };
      const expected = prng.chance(0.5) ? 0 : recent();
      return { type: 'allocation.set', cid, peers: some(), expectedVersion: expected, ...rest };
    }
  }
}

function envelopes(prng: Prng, count: number): Envelope[] {
  const next = new Map(sessions.map((session) => [session, 1]));
  return Array.from({ length: count }, (_, i) => {
    const session = prng.pick(sessions);
    const fresh = next.get(session) ?? 1;
    const repeat = prng.chance(0.1);
    const seq = repeat ? Math.max(1, fresh - prng.int(12)) : fresh + (prng.chance(0.1) ? 2 : 0);
    next.set(session, Math.max(fresh, seq + 1));
    const opens = prng.chance(0.03) || i < 2;
    const command: Command = opens
      ? { type: 'session.open', node: 'n' }
      : prng.chance(0.15)
        ? {
            type: 'batch',
            commands: Array.from({ length: 1 + prng.int(5) }, () => simpleCommand(prng, i + 1)),
          }
        : simpleCommand(prng, i + 1);
    const key = `idem-${prng.int(10)}`;
    const requestHash = prng.pick(['x', 'y']).repeat(64);
    const idempotency = prng.chance(0.1) ? { key, requestHash } : null;
    return { v: 1, session, seq: opens ? 0 : seq, atMs: i + 0.5, idempotency, command };
  });
}

function logOf(list: readonly Envelope[]): Entry[] {
  let previousHash = chainStart;
  return list.map((envelope, i) => {
    const data = encodeEnvelope(envelope);
    const epoch = 'e'.repeat(32);
    const entry = makeEntry({ previousHash, epoch, index: i + 1, term: 1, kind: 'command', data });
    previousHash = entry.hash;
    return entry;
  });
}

const window = 8;
const limits: CatalogLimits = { ...catalogLimits, sessionSequencesMax: window };

test('answers and rows equal those of a dumb second implementation', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const list = envelopes(createPrng(seed), 300);
    const db = new DatabaseSync(':memory:');
    const catalog = openCatalog(db, limits);
    const model = createModel(window);
    for (const [i, entry] of logOf(list).entries()) {
      const [applied] = catalog.apply([entry]);
      const answer = answerOf(decodeResult(applied?.result ?? new Uint8Array()));
      const envelope = list[i] as Envelope;
      expect(answer, `seed ${seed} entry ${i + 1}`).toEqual(model.apply(i + 1, envelope));
    }
    expect(catalog.recomputedDigest(), `seed ${seed}`).toBe(catalog.digest());
    const rows = db.prepare('SELECT * FROM index_rows ORDER BY type, key').all();
    expect(
      new Map(
        rows.map((row) => [
          `${row.type}|${row.key}`,
          { version: row.version, value: decodeCbor(row.value as Uint8Array) },
        ]),
      ),
    ).toEqual(new Map([...model.state().index].sort()));
    for (const row of db.prepare('SELECT * FROM pins ORDER BY cid').all()) {
      const pin = model.state().pins.get(String(row.cid));
      expect(pin).toMatchObject({
        version: row.version,
        peers: JSON.parse(String(row.peers)),
        allocationVersion: row.allocation_version,
      });
    }
    expect(db.prepare('SELECT count(*) AS n FROM pins').get()?.n).toBe(model.state().pins.size);
  }
});

test('replicas agree, however entries are batched, reopened, dumped and restored', () => {
  const folder = mkdtempSync(join(tmpdir(), 'catalog-'));
  const small: CatalogLimits = {
    sessionSequencesMax: 4,
    sessionsMax: 2,
    sessionsClosedMax: 1,
    sessionEntriesMax: 40,
    idempotencyKeysMax: 4,
    idempotencyEntriesMax: 60,
    tombstonesMax: 2,
    ballotsMax: 5,
    takeoversMax: 5,
    tokensMax: 5,
    certificatesMax: 5,
    revocationsMax: 5,
    revocationStatementsMax: 4,
    authorityStatementsMax: 4,
    sweepEntries: 8,
  };
  try {
    for (let seed = 1; seed <= 15; seed++) {
      const prng = createPrng(seed * 7919);
      const log = logOf(envelopes(prng, 250));
      const one = openCatalog(new DatabaseSync(':memory:'), small);
      const results = log.flatMap((entry) => one.apply([entry]));
      const path = join(folder, `${seed}.db`);
      let db = new DatabaseSync(path);
      db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF');
      let two = openCatalog(db, small);
      const answers: typeof results = [];
      for (let at = 0; at < log.length; ) {
        const size = 1 + prng.int(30);
        answers.push(...two.apply(log.slice(at, at + size)));
        at += size;
        if (prng.chance(0.2)) {
          db.close();
          db = new DatabaseSync(path);
          two = openCatalog(db, small);
        }
        if (prng.chance(0.2)) {
          const copy = openCatalog(new DatabaseSync(':memory:'), small);
          copy.restore([...two.dump()]);
          expect(copy.recomputedDigest(), `seed ${seed}`).toBe(two.digest());
          two.restore([...copy.dump()]);
        }
      }
      expect(answers, `seed ${seed}`).toEqual(results);
      expect(two.digest(), `seed ${seed}`).toBe(one.digest());
      expect(two.recomputedDigest(), `seed ${seed}`).toBe(one.digest());
      const bytes = (catalog: typeof one) => Buffer.concat([...catalog.dump()]);
      expect(bytes(two).equals(bytes(one)), `seed ${seed}`).toBe(true);
      db.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('counters equal a recount after any history', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const db = new DatabaseSync(':memory:');
    const catalog = openCatalog(db, limits);
    catalog.apply(logOf(envelopes(createPrng(seed * 31), 250)));
    const counters = () => db.prepare('SELECT name, value FROM counters ORDER BY name').all();
    const allocated = () => db.prepare('SELECT peer, cid FROM allocated ORDER BY peer, cid').all();
    const before = { counters: counters(), allocated: allocated() };
    catalog.restore([...catalog.dump()]);
    expect({ counters: counters(), allocated: allocated() }, `seed ${seed}`).toEqual(before);
  }
});

test('mutilated entries are answered, never thrown, and replicas still agree', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const prng = createPrng(seed * 13);
    const one = openCatalog(new DatabaseSync(':memory:'), limits);
    const two = openCatalog(new DatabaseSync(':memory:'), limits);
    const whole = envelopes(prng, 400).map((envelope) => encodeEnvelope(envelope));
    const damaged = whole.map((bytes, i) => {
      if (i < 3 || prng.chance(0.2)) return bytes;
      const copy = Uint8Array.from(bytes);
      for (let flips = prng.int(3); flips >= 0; flips--)
        copy[prng.int(copy.length)] = prng.int(256);
      return prng.chance(0.1) ? copy.subarray(0, prng.int(copy.length)) : copy;
    });
    const log = damaged.map((data, i) => {
      const kind = prng.chance(0.05) ? 'config' : 'command';
      return { index: i + 1, term: 1, kind, data, hash: '' } as const;
    });
    const results = log.flatMap((entry) => one.apply([entry]));
    expect(results.every(({ result }) => result.length === 0 || decodeResult(result))).toBe(true);
    expect(two.apply(log), `seed ${seed}`).toEqual(results);
    expect(two.digest(), `seed ${seed}`).toBe(one.digest());
    expect(one.recomputedDigest(), `seed ${seed}`).toBe(one.digest());
  }
});
