/** Consensus messages: what goes in comes out, and nothing malformed gets past the decoder. */
import { encode as encodeCbor } from 'cborg';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { createPrng } from '../../../src/base/prng.ts';
import {
  decodeMessage,
  encodeMessage,
  type Message,
  messageBytesMax,
} from '../../../src/wire/consensus-message.ts';
import { chainStart, makeEntry } from '../../../src/wire/entry.ts';

const head = { v: 1, cluster: 'c', epoch: 'e', term: 7 };
const end = { lastIndex: 4, lastTerm: 3 };
const entry = makeEntry({
  previousHash: chainStart,
  epoch: 'e',
  index: 5,
  term: 3,
  kind: 'command',
  data: new Uint8Array([1, 2, 3]),
});
const prev = { prevIndex: 4, prevTerm: 3, prevHash: chainStart };

const messages: Message[] = [
  { type: 'pre-vote', ...head, ...end, round: 1, rank: 3000, consent: null },
  { type: 'vote', ...head, ...end, rank: 3000, transfer: { leader: 'a', term: 6 } },
  {
    type: 'vote-reply',
    ...head,
    ...end,
    asked: 7,
    granted: false,
    code: 'promise',
    rank: 1,
    promiseMs: 12.5,
  },
  { type: 'append', ...head, ...prev, commit: 4, entries: [entry] },
  { type: 'append-reply', ...head, ok: true, match: 5, refused: 0, hint: 0 },
  {
    type: 'heartbeat',
    ...head,
    round: 9,
    leaseMs: 500,
    commit: 4,
    direct: true,
    serving: true,
    rttMs: null,
    rank: 2000,
  },
  { type: 'propose', ...head, items: [{ id: 1, kind: 'command', data: new Uint8Array([9]) }] },
  { type: 'read', ...head, ids: [1, 2] },
  {
    type: 'fetch-reply',
    ...head,
    ...prev,
    id: 3,
    purpose: 'learn',
    code: 'ok',
    entries: [entry, { ...entry, index: 6, term: 4 }],
    commit: 6,
    leader: null,
  },
];

describe('consensus messages', () => {
  test.each(messages.map((message) => [message.type, message] as const))('%s', (_, message) => {
    const decoded = decodeMessage(encodeMessage(message));
    expect(JSON.parse(JSON.stringify(decoded))).toEqual(JSON.parse(JSON.stringify(message)));
  });

  test('unknown fields are kept apart, unknown types refused', () => {
    const bytes = encodeCbor({ type: 'timeout-now', ...head, later: 1 });
    expect(decodeMessage(bytes).type).toBe('timeout-now');
    expect(() => decodeMessage(encodeCbor({ type: 'coup', ...head }))).toThrow(AgentError);
  });

  test.each([
    ['no epoch', { type: 'timeout-now', v: 1, cluster: 'c', term: 1 }],
    ['negative term', { type: 'timeout-now', ...head, term: -1 }],
    ['broken term', { type: 'timeout-now', ...head, term: 1.5 }],
    ['entries as a list', { type: 'append', ...head, ...prev, commit: 0, entries: [] }],
    [
      'entries cut off',
      { type: 'append', ...head, ...prev, commit: 0, entries: new Uint8Array(9) },
    ],
    ['no prevIndex', { type: 'append', ...head, commit: 0, entries: new Uint8Array(0) }],
    ['too many ids', { type: 'read', ...head, ids: Array.from({ length: 5000 }, () => 1) }],
    ['not a map', 7],
    ['null', null],
  ])('refuses: %s', (_, value) => {
    expect(() => decodeMessage(encodeCbor(value))).toThrow(AgentError);
  });

  test('refuses what is too large before it looks inside', () => {
    expect(() => decodeMessage(new Uint8Array(messageBytesMax + 1))).toThrow(/too-large|bytes/);
  });

  test('a hundred thousand malformed frames: a message or an AgentError, nothing else', () => {
    const prng = createPrng(11);
    const frames = messages.map((message) => encodeMessage(message));
    for (let i = 0; i < 100_000; i += 1) {
      const frame = Uint8Array.from(prng.pick(frames));
      const flips = 1 + prng.int(4);
      for (let j = 0; j < flips; j += 1) frame[prng.int(frame.length)] = prng.int(256);
      const bytes = prng.chance(0.3) ? frame.subarray(0, prng.int(frame.length)) : frame;
      try {
        decodeMessage(bytes);
      } catch (thrown) {
        if (!(thrown instanceof AgentError)) throw thrown;
      }
    }
  });

  test('random bytes never get through as something else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => decodeMessage(bytes)).toThrow(AgentError);
      }),
    );
  });
});
