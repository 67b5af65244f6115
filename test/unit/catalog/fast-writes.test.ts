/**
 * Index writes that are read straight from their entries leave the same state and answers as those
 * that go through the decoder: the same commands, once as they are and once with a field more,
 * which the decoder ignores and which keeps the entry from the short way.
 */
import { encode as encodeCbor } from 'cborg';
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { type Command, decodeResult, type Envelope } from '../../../src/wire/command.ts';
import { readIndexWrites } from '../../../src/wire/index-write.ts';
import { ask } from './ask.ts';
import { createBench, put, sessionA, sessionB } from './log-writer.ts';

test('the short way and the decoder agree', () => {
  const prng = createPrng(3);
  const limits = { sessionSequencesMax: 16, sessionEntriesMax: 200, sweepEntries: 8 };
  const [short, long] = [createBench(limits), createBench(limits)];
  const sessions = [sessionA, sessionB];
  for (const { apply, log } of [short, long]) apply(log.open(sessionB));
  const command = (): Command => {
    const key = `key-${prng.int(12)}`;
    const version = prng.chance(0.6) ? null : prng.int(3) * short.log.index();
    const index = prng.chance(0.3) ? 'content_metadata' : 'knowledge_graph';
    const value = { n: prng.int(100), name: 'a word', list: [0.1, null, 'é'] };
    const at = { index, key, expectedVersion: version } as const;
    return prng.chance(0.7) ? { type: 'index.put', ...at, value } : { type: 'index.rm', ...at };
  };
  const next = [1, 1];
  for (let i = 0; i < 400; i++) {
    const who = prng.int(2);
    const one = command();
    const members = Array.from({ length: 1 + prng.int(3) }, command);
    const batch = { type: 'batch', commands: members } as Command;
    const again = prng.chance(0.1);
    const seq = again ? 1 + prng.int(next[who] as number) : (next[who] as number);
    if (!again) next[who] = seq + 1;
    const envelope: Envelope = {
      ...{ v: 1, session: sessions[who] as string, seq, atMs: i, idempotency: null },
      command: prng.chance(0.7) ? one : batch,
    };
    const [a, b] = [encodeCbor(envelope), encodeCbor({ ...envelope, more: true })];
    expect([readIndexWrites(a) === null, readIndexWrites(b) === null]).toEqual([false, true]);
    const answer = short.apply(short.log.raw('command', a));
    expect(long.apply(long.log.raw('command', b))).toEqual(answer);
    expect(long.catalog.digest()).toBe(short.catalog.digest());
  }
  expect(short.catalog.recomputedDigest()).toBe(short.catalog.digest());
  const found = [short, long].map(({ db }) => ask(db, 'search.text', { text: 'word', limit: 50 }));
  expect(found[0]).toEqual(found[1]);
});

test('results of more sessions than stay in memory', () => {
  const { catalog, log, apply } = createBench({ sessionSequencesMax: 4 });
  const sessions = Array.from({ length: 40 }, (_, n) => n.toString(16).padStart(32, '0'));
  for (const session of sessions) apply(log.open(session));
  const answers = sessions.map((session, n) => apply(log.command(put(`k${n}`, {}), { session })));
  for (let round = 0; round < 2; round++)
    catalog.apply(sessions.map((session) => log.command(put('k', { round }), { session })));
  sessions.forEach((session, n) => {
    const repeated = catalog.apply([log.command(put('other', {}), { session, seq: 1 })]);
    expect(decodeResult(repeated[0]?.result ?? new Uint8Array())).toEqual(answers[n]);
  });
  expect(catalog.recomputedDigest()).toBe(catalog.digest());
});
