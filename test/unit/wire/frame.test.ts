import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { createPrng } from '../../../src/base/prng.ts';
import {
  type Call,
  createFrameDecoder,
  decodeCall,
  encodeCall,
  encodeFrames,
  frameBytesMax,
} from '../../../src/wire/frame.ts';

const prng = createPrng(20260401);
const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => prng.int(256));

describe('frames', () => {
  test('survive any cut of the stream', () => {
    for (let round = 0; round < 200; round++) {
      const frames = Array.from({ length: prng.int(8) + 1 }, () => random(prng.int(300)));
      const stream = encodeFrames(frames);
      const decoder = createFrameDecoder();
      const out: Uint8Array[] = [];
      for (let at = 0; at < stream.length; ) {
        const next = at + prng.int(40) + 1;
        out.push(...decoder.push(stream.subarray(at, next)));
        at = next;
      }
      expect(out.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(
        frames.map((frame) => Buffer.from(frame).toString('hex')),
      );
      expect(decoder.bytesPending).toBe(0);
    }
  });

  test('over the limit are refused before their body is there', () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(frameBytesMax + 1);
    expect(() => createFrameDecoder().push(head)).toThrow(AgentError);
    expect(() => encodeFrames([new Uint8Array(frameBytesMax + 1)])).toThrow(/at most/);
    head.writeUInt32BE(11);
    expect(() => createFrameDecoder(10).push(head)).toThrow(/at most 10/);
  });

  test('arriving byte by byte cost linear time', () => {
    const frame = new Uint8Array(200_000);
    const stream = encodeFrames([frame]);
    const decoder = createFrameDecoder();
    let found = 0;
    for (let at = 0; at < stream.length; at++)
      found += decoder.push(stream.subarray(at, at + 1)).length;
    expect(found).toBe(1);
  });
});

describe('calls', () => {
  const calls: Call[] = [
    { type: 'request', id: 1, name: 'hello', body: Buffer.from('body') },
    { type: 'request', id: 4294967295, name: '', body: Buffer.from('') },
    { type: 'answer', id: 7, body: Buffer.from('answer') },
    { type: 'failure', id: 8, code: 'not-leader', detail: 'ask master-2' },
    { type: 'ping', id: 9 },
    { type: 'pong', id: 10 },
  ];
  test.each(calls)('$type $id round trip', (call) => {
    expect(decodeCall(encodeCall(call))).toEqual(call);
  });

  test('with an unknown code become internal', () => {
    const frame = Buffer.from(encodeCall({ type: 'failure', id: 1, code: 'conflict', detail: '' }));
    frame.write('c0nflict', 6);
    expect(decodeCall(frame)).toMatchObject({ code: 'internal' });
  });

  test('with too long a name are refused on both sides', () => {
    const call: Call = { type: 'request', id: 1, name: 'n'.repeat(65), body: Buffer.from('') };
    expect(() => encodeCall(call)).toThrow(/at most 64/);
  });
});

test('100,000 malformed frames and calls throw AgentError or decode, and nothing else', () => {
  const call = Buffer.from(
    encodeCall({ type: 'request', id: 5, name: 'append', body: random(60) }),
  );
  const good = Buffer.from(encodeFrames([call, call]));
  let refused = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutate(good, round);
    const decoder = createFrameDecoder(4096);
    try {
      for (const frame of decoder.push(bytes)) decodeCall(frame);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(10_000);
});

function mutate(good: Buffer, round: number): Buffer {
  if (round % 3 === 0) return Buffer.from(random(prng.int(80)));
  const bytes = Buffer.from(good.subarray(0, prng.int(good.length + 1)));
  for (let flips = prng.int(4) + 1; flips > 0 && bytes.length > 0; flips--)
    bytes[prng.int(round % 3 === 1 ? Math.min(20, bytes.length) : bytes.length)] = prng.int(256);
  return bytes;
}
