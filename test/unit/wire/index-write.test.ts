/** Entries that are read straight from their bytes mean what the decoder reads in them. */
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import {
  type CommandResult,
  decodeEnvelope,
  decodeResult,
  type Envelope,
  encodeEnvelope,
  encodeResult,
  type SimpleCommand,
} from '../../../src/wire/command.ts';
import { type IndexWrites, readIndexWrites } from '../../../src/wire/index-write.ts';

const session = '0123456789abcdef0123456789abcdef';
const put = (
  key: string,
  value: Record<string, unknown> = { n: 1 },
  version: number | null = null,
) => ({ type: 'index.put', index: 'embeddings', key, value, expectedVersion: version }) as const;
const remove = (key: string, version: number | null = null) =>
  ({ type: 'index.rm', index: 'peer_lists', key, expectedVersion: version }) as const;
const envelope = (command: Envelope['command'], extra: Partial<Envelope> = {}): Envelope => ({
  v: 1,
  session,
  seq: 70_000,
  atMs: 1_700_000_000_123,
  idempotency: null,
  command,
  ...extra,
});

/** The envelope that the writes stand for. */
function asEnvelope({ session, seq, atMs, batch, writes }: IndexWrites): Envelope {
  const commands = writes.map(({ index, key, value, expectedVersion }): SimpleCommand => {
    if (value === null) return { type: 'index.rm', index, key, expectedVersion };
    const decoded = decodeCbor(value) as Record<string, unknown>;
    return { type: 'index.put', index, key, value: decoded, expectedVersion };
  });
  const command = batch ? ({ type: 'batch', commands } as const) : commands[0];
  if (command === undefined) throw new Error('there is a write');
  return { v: 1, session, seq, atMs, idempotency: null, command };
}

describe('readIndexWrites', () => {
  test.each<[string, Envelope]>([
    ['a put', envelope(put('k'))],
    ['a put with a version', envelope(put('k', { text: 'é', list: [1, -2, 0.1] }, 300))],
    ['a removal', envelope(remove('k', 0))],
    ['a long key', envelope(put('k'.repeat(512)))],
    ['a batch', envelope({ type: 'batch', commands: [put('a'), remove('b'), put('c', {}, 7)] })],
    ['sequence 0', envelope(put('k'), { seq: 0 })],
  ])('reads %s', (_, written) => {
    const read = readIndexWrites(encodeEnvelope(written));
    expect(read && asEnvelope(read)).toEqual(written);
  });

  test.each<[string, unknown]>([
    ['another command', envelope({ type: 'pin.rm', cid: 'bafkreitest', expectedVersion: null })],
    [
      'a batch with another command',
      envelope({ type: 'batch', commands: [put('a'), { type: 'pause.clear' }] }),
    ],
    ['a key with more than ASCII', envelope(put('é'))],
    ['a key that is too long', envelope(put('k'.repeat(513)))],
    ['an empty key', { ...envelope(put('k')), command: { ...put('k'), key: '' } }],
    [
      'an idempotency key',
      envelope(put('k'), { idempotency: { key: 'k', requestHash: 'a'.repeat(64) } }),
    ],
    ['one field more', { ...envelope(put('k')), hint: 1 }],
    ['one field more in the command', envelope({ ...put('k'), hint: 1 } as Envelope['command'])],
    ['another version', { ...envelope(put('k')), v: 2 }],
    ['a session that is none', envelope(put('k'), { session: 'g'.repeat(32) })],
    ['a value that is no map', { ...envelope(put('k')), command: { ...put('k'), value: [1] } }],
    ['an unknown index', { ...envelope(put('k')), command: { ...put('k'), index: 'moon' } }],
    ['an empty batch', { ...envelope(put('k')), command: { type: 'batch', commands: [] } }],
    ['a broken time', envelope(put('k'), { atMs: 1.5 })],
  ])('leaves %s to the decoder', (_, value) => {
    expect(readIndexWrites(encodeCbor(value))).toBeNull();
  });

  test('what it reads of changed bytes, the decoder reads too', () => {
    const prng = createPrng(5);
    const seeds = [
      encodeEnvelope(envelope(put('key-1', { n: 5, text: 'some text' }, 12))),
      encodeEnvelope(envelope({ type: 'batch', commands: [put('a'), remove('b', 1)] })),
    ];
    let read = 0;
    for (let i = 0; i < 6000; i++) {
      const bytes = Buffer.from(seeds[i % seeds.length] as Uint8Array);
      for (let n = prng.int(2); n >= 0; n--) bytes[prng.int(bytes.length)] = prng.int(256);
      const cut = prng.chance(0.1) ? bytes.subarray(0, prng.int(bytes.length)) : bytes;
      const writes = readIndexWrites(cut);
      if (writes === null) continue;
      read += 1;
      expect(asEnvelope(writes)).toEqual(decodeEnvelope(cut));
    }
    expect(read).toBeGreaterThan(200);
  });
});

describe('results', () => {
  test.each<CommandResult>([
    { ok: true, index: 1, version: 1, value: null },
    { ok: true, index: 2 ** 40, version: 2 ** 40, value: null },
    { ok: true, index: 300, version: null, value: null },
    { ok: true, index: 300, version: 7, value: { versions: [1, null] } },
    { ok: false, index: 9, code: 'conflict', detail: 'é', version: 3 },
  ])('%j is encoded as before and read back', (result) => {
    const bytes = encodeResult(result);
    expect(Buffer.from(bytes)).toEqual(Buffer.from(encodeCbor(result)));
    expect(decodeResult(bytes)).toEqual(result);
  });
});
