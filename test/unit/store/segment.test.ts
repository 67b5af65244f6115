import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { encodeBatch, type LogRecord } from '../../../src/store/record.ts';
import { type SegmentHead, scanSegment, segmentHeadBytes } from '../../../src/store/segment.ts';
import { entries, metaAt } from './log-fixture.ts';

const head: SegmentHead = {
  number: 1,
  bytes: 16_384,
  salt: 77,
  firstSeq: 5,
  link: 9,
  previousEnd: 0,
  baseIndex: 0,
  baseHash: null,
};

const asRecords = (from: number, to: number, bytes = 40): LogRecord[] =>
  entries(from, to, { bytes }).map((entry) => ({ type: 'entry', entry }));

/** A segment's bytes with these batches, and where each begins; the last item is the end. */
function segmentOf(...batches: readonly (readonly LogRecord[])[]) {
  const bytes = Buffer.alloc(head.bytes);
  const offsets = [segmentHeadBytes];
  let { firstSeq: seq, link } = head;
  for (const records of batches) {
    const batch = encodeBatch({ seq, link, salt: head.salt, records });
    const at = offsets.at(-1) ?? 0;
    batch.bytes.copy(bytes, at);
    offsets.push(at + batch.bytes.length);
    [seq, link] = [seq + 1, batch.link];
  }
  return { bytes, offsets, seq, link, at: (i: number) => offsets[i] ?? 0 };
}

const recordsIn = (bytes: Buffer) =>
  scanSegment(bytes, head).batches.map(({ records }) => records.map(({ record }) => record));

test('batches of every kind of record come back as they were', () => {
  const [last] = entries(9, 9);
  if (!last) throw new Error('no entry');
  const batches: LogRecord[][] = [
    asRecords(1, 3),
    [{ type: 'cut', backTo: 2 }, ...asRecords(3, 3)],
    [{ type: 'install', meta: metaAt(last) }],
    [{ type: 'entry', entry: { ...last, kind: 'empty', data: Buffer.alloc(0) } }],
  ];
  const { bytes, offsets } = segmentOf(...batches);
  expect(recordsIn(bytes)).toEqual(batches);
  const scan = scanSegment(bytes, head);
  expect(scan).toMatchObject({ end: offsets.at(-1), nextSeq: 9, tail: { type: 'clean' } });
});

describe('what follows the last good batch', () => {
  test('a batch with nothing behind it is torn, whatever is left of it', () => {
    const prng = createPrng(4);
    for (let round = 0; round < 300; round++) {
      const { bytes, at } = segmentOf(asRecords(1, 2), asRecords(3, 8, 300));
      const [from, end] = [at(1), at(2)];
      let lost = 0;
      for (let sector = from; sector < end; sector += 512) {
        if (prng.chance(0.5)) continue;
        bytes.fill(0, sector, Math.min(end, sector + 512));
        lost += 1;
      }
      const scan = scanSegment(bytes, head);
      if (lost === 0) expect(scan.nextSeq).toBe(7);
      else {
        expect(scan).toMatchObject({ end: from, nextSeq: 6 });
        expect(['torn', 'clean']).toContain(scan.tail.type);
      }
    }
  });

  test('a bad batch before a good one is damaged, even if its own length is what changed', () => {
    const whole = segmentOf(asRecords(1, 2), asRecords(3, 4), asRecords(5, 6));
    for (let at = whole.at(1); at < whole.at(2); at++) {
      const bytes = Buffer.from(whole.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ 0x80;
      expect(scanSegment(bytes, head).tail, `byte ${at}`).toMatchObject({ type: 'damaged' });
    }
  });

  test('anything behind the end of a bad batch means that it was whole once', () => {
    const { bytes, at } = segmentOf(asRecords(1, 2), asRecords(3, 4));
    bytes[at(2) - 1] = (bytes[at(2) - 1] ?? 0) ^ 1;
    expect(scanSegment(bytes, head).tail).toMatchObject({ type: 'torn', seq: 6, entries: 2 });
    bytes[at(2) + 900] = 1;
    expect(scanSegment(bytes, head).tail).toMatchObject({ type: 'damaged' });
  });

  test('a batch of another history does not fit, though all its own checks pass', () => {
    const one = segmentOf(asRecords(1, 2), asRecords(3, 4));
    const other = segmentOf(asRecords(1, 2, 41), asRecords(3, 4));
    const mixed = Buffer.from(one.bytes);
    other.bytes.copy(mixed, one.at(1), other.at(1), other.at(2));
    expect(scanSegment(mixed, head).tail).toMatchObject({ type: 'damaged', offset: one.at(1) });
  });

  test('data that holds the image of another log is only data', () => {
    const inner = segmentOf(asRecords(1, 2), asRecords(3, 4));
    const image = inner.bytes.subarray(0, inner.at(2));
    const [plain] = entries(3, 3);
    if (!plain) throw new Error('no entry');
    const holds: LogRecord = { type: 'entry', entry: { ...plain, data: image } };
    const { bytes, at } = segmentOf(asRecords(1, 2), [holds]);
    expect(scanSegment(bytes, head).nextSeq).toBe(7);
    bytes.fill(0, at(2) - 30, at(2));
    expect(scanSegment(bytes, head).tail).toMatchObject({ type: 'torn', entries: 1 });
  });
});
