import { encode as encodeCbor } from 'cborg';
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { nestingOf } from '../../../src/wire/cbor-nesting.ts';
import {
  type Command,
  type CommandResult,
  decodeEnvelope,
  decodeResult,
  type Envelope,
  encodeEnvelope,
  encodeResult,
  nestingMax,
} from '../../../src/wire/command.ts';
import { entryBytesMax } from '../../../src/wire/entry.ts';

const cid = 'bafkreitest00000001';
const envelope = (command: Command, extra: Partial<Envelope> = {}): Envelope => ({
  v: 1,
  session: 'a'.repeat(32),
  seq: 1,
  atMs: 1.5,
  idempotency: null,
  command,
  ...extra,
});
const remove = { type: 'pin.rm', cid, expectedVersion: null } as const;
const put = (value: Record<string, unknown>) =>
  ({ type: 'index.put', index: 'embeddings', key: 'k', value, expectedVersion: 0 }) as const;

const commands: Command[] = [
  { type: 'session.open', node: 'p' },
  {
    type: 'pin.put',
    cid,
    name: 'n',
    bytes: null,
    blocks: 3,
    min: 1,
    max: 2,
    labels: { a: 'b' },
    expiresAtMs: 5,
    expectedVersion: null,
  },
  remove,
  {
    type: 'allocation.set',
    cid,
    peers: ['p'],
    expectedVersion: 0,
    reliesOn: [],
    term: 1,
    reason: 'r',
  },
  put({ vector: Uint8Array.of(1, 2, 3), n: 1.25, list: [null, true] }),
  { type: 'index.rm', index: 'peer_lists', key: 'k', expectedVersion: 7 },
  { type: 'ballot.put', ballot: { term: 4 } },
  { type: 'takeover.put', from: 'a', to: 'b', term: 1, result: 'held', cooldownMs: 30_000 },
  { type: 'batch', commands: [remove, put({})] },
];

describe('envelopes', () => {
  test.each(commands)('$type comes back as it was', (command) => {
    const sent = envelope(command, {
      idempotency: { key: 'k', requestHash: 'h'.repeat(64) },
    });
    expect(decodeEnvelope(encodeEnvelope(sent))).toEqual(sent);
  });

  test('fields of a newer program are kept', () => {
    const sent = { ...envelope({ ...remove, later: [1] }), trace: 'x' };
    expect(decodeEnvelope(encodeEnvelope(sent))).toEqual(sent);
  });

  test.each<[string, object]>([
    ['v', { v: 2 }],
    ['session', { session: 'A'.repeat(32) }],
    ['seq', { seq: -1 }],
    ['seq', { seq: 1.5 }],
    ['atMs', { atMs: Number.NaN }],
    ['idempotency', { idempotency: { key: '', requestHash: 'h'.repeat(64) } }],
    ['command.cid', { command: { ...remove, cid: 'short' } }],
    ['command.expectedVersion', { command: { ...remove, expectedVersion: -1 } }],
    ['command.key', { command: { ...put({}), key: 'k'.repeat(513) } }],
    ['command.index', { command: { ...put({}), index: 'nonsense' } }],
    ['command.value', { command: { ...put({}), value: [1] } }],
  ])('a wrong %s is refused and named', (field, wrong) => {
    const bytes = encodeCbor({ ...envelope(remove), ...wrong });
    expect(() => decodeEnvelope(bytes)).toThrow(expect.objectContaining({ code: 'bad-request' }));
    expect(() => decodeEnvelope(bytes)).toThrow(field);
  });

  test('a type that nobody knows yet is told apart from nonsense', () => {
    const unknown = (command: object) => () =>
      decodeEnvelope(encodeCbor({ ...envelope(remove), command }));
    const notBuilt = expect.objectContaining({ code: 'not-built' });
    expect(unknown({ type: 'moon.orbit' })).toThrow(notBuilt);
    expect(unknown({ type: 'batch', commands: [remove, { type: 'moon.orbit' }] })).toThrow(
      notBuilt,
    );
    const nonsense = expect.objectContaining({ code: 'bad-request' });
    expect(unknown({ type: 5 })).toThrow(nonsense);
    expect(unknown({ type: 'batch', commands: 'all' })).toThrow(nonsense);
    expect(unknown({ type: 'constructor', cid })).toThrow(notBuilt);
  });

  test('larger than an entry is refused before it is sent', () => {
    expect(() => encodeEnvelope(envelope(put({ text: 'x'.repeat(entryBytesMax) })))).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    );
  });

  test('a batch holds 1 to 1000 commands and no batch', () => {
    const batch = (members: unknown[]) =>
      encodeCbor({ ...envelope(remove), command: { type: 'batch', commands: members } });
    expect(() => decodeEnvelope(batch(new Array(1000).fill(remove)))).not.toThrow();
    for (const members of [[], new Array(1001).fill(remove), [{ type: 'batch', commands: [] }]])
      expect(() => decodeEnvelope(batch(members))).toThrow();
  });
});

test('results come back as they were', () => {
  const results: CommandResult[] = [
    { ok: true, index: 5, version: 5, value: null },
    { ok: true, index: 5, version: null, value: { versions: [1, null] } },
    { ok: false, index: 5, code: 'conflict', detail: 'is at version 4', version: 4 },
  ];
  for (const result of results) expect(decodeResult(encodeResult(result))).toEqual(result);
});

describe('nesting', () => {
  const nested = (levels: number): unknown => {
    let value: unknown = 0;
    for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
    return value;
  };

  test.each<[number, unknown]>([
    [0, 5],
    [0, 'text'],
    [1, []],
    [1, {}],
    [1, [1, 2, [].length]],
    [2, [[], [], []]],
    [2, { a: { b: 1 }, c: 'x'.repeat(300), d: new Uint8Array(70_000) }],
    [3, [[1, [2]], 3]],
    [40, nested(40)],
  ])('is %i', (depth, value) => expect(nestingOf(encodeCbor(value))).toBe(depth));

  test('of indefinite lengths and tags', () => {
    expect(nestingOf(Uint8Array.from([0x9f, 0x9f, 0x01, 0xff, 0xff]))).toBe(2);
    expect(nestingOf(Uint8Array.from([0xbf, 0x61, 0x61, 0x80, 0xff]))).toBe(2);
    expect(nestingOf(Uint8Array.from([0xc0, 0xc0, 0x00]))).toBe(2);
    expect(nestingOf(Uint8Array.from([0x82, 0xc0, 0x00, 0x80]))).toBe(2);
    expect(nestingOf(Uint8Array.from([0x5f, 0x41, 0x00, 0xff]))).toBeLessThanOrEqual(1);
  });

  test('the limit is exact, and a megabyte of brackets is refused quickly', () => {
    const value = (levels: number) => envelope(put({ v: nested(levels) }));
    const inside = nestingMax - 3; // envelope, command and value
    expect(() => decodeEnvelope(encodeEnvelope(value(inside)))).not.toThrow();
    expect(() => decodeEnvelope(encodeCbor(value(inside + 1)))).toThrow('nested deeper');
    const brackets = new Uint8Array(entryBytesMax).fill(0x81);
    expect(() => decodeEnvelope(brackets)).toThrow('nested deeper');
  });
});

describe('hostile bytes', () => {
  /** An AgentError and nothing else, whatever comes in. */
  function survives(bytes: Uint8Array): void {
    try {
      decodeEnvelope(bytes);
    } catch (thrown) {
      if ((thrown as { name?: string }).name !== 'AgentError') throw thrown;
    }
  }

  test('100,000 malformed ones crash nothing', () => {
    const prng = createPrng(20260101);
    const whole = commands.map((command) => encodeEnvelope(envelope(command)));
    for (let i = 0; i < 100_000; i++) {
      const bytes = Uint8Array.from(prng.pick(whole));
      const kind = prng.int(4);
      if (kind === 0) survives(bytes.subarray(0, prng.int(bytes.length)));
      else if (kind === 1) survives(Uint8Array.from({ length: prng.int(64) }, () => prng.int(256)));
      else {
        for (let flips = 0; flips <= prng.int(4); flips++)
          bytes[prng.int(bytes.length)] = prng.int(256);
        survives(bytes);
      }
    }
  }, 120_000);
});
