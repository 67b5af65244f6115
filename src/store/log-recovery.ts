/**
 * Reads the segments at the start and decides what they are: whole, torn at the very end, or
 * damaged. Only the last batch may be cut, and only while nothing says that it was durable: no
 * later batch, no later segment, no recorded end (hard state or end mark) at or beyond it.
 */
import { join } from 'node:path';
import type { EpochId, LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { SnapshotMeta } from '../consensus/api.ts';
import type { Entry } from '../wire/entry.ts';
import type { Disk } from './disk.ts';
import type { LogEnd } from './hard-state.ts';
import { createReplay, type Replay } from './log-replay.ts';
import {
  readSegmentHead,
  type Scan,
  type SegmentHead,
  scanSegment,
  segmentName,
  segmentNumber,
} from './segment.ts';

/** A segment that is kept: the last index at its end decides when it can go. */
export interface KeptSegment {
  readonly number: number;
  readonly bytes: number;
  endIndex: LogIndex;
}

export interface RecoveredLog {
  readonly entries: readonly Entry[];
  /** Where the log starts: the recorded start, or a snapshot installed after it was recorded. */
  readonly snapshot: SnapshotMeta | null;
  readonly lastIndex: LogIndex;
  readonly lastHash: string | null;
  readonly end: LogEnd;
  /** Where the last batch begins, and its bytes. */
  readonly lastBatch: { readonly offset: number; readonly bytes: Buffer };
  readonly active: SegmentHead;
  readonly segments: readonly KeptSegment[];
  readonly tornBytes: number;
  readonly tornEntries: number;
  readonly notes: readonly string[];
}

export interface RecoveryInput {
  readonly disk: Disk;
  readonly dir: string;
  readonly epoch: EpochId;
  readonly start: SnapshotMeta | null;
  /** First segment that must be there; lower ones are left over from an interrupted compaction. */
  readonly firstSegment: number;
  /** The furthest end that was recorded as durable. */
  readonly recorded: LogEnd;
}

/** Names and numbers of the segments that are to be read, in order and without a gap. */
async function listSegments(input: RecoveryInput): Promise<{ kept: number[]; stale: number[] }> {
  const numbers = (await input.disk.list(input.dir))
    .map(segmentNumber)
    .filter((number) => number !== null)
    .sort((a, b) => a - b);
  const kept = numbers.filter((number) => number >= input.firstSegment);
  const last = Math.max(kept.at(-1) ?? 0, input.recorded.segment, input.firstSegment);
  for (let number = input.firstSegment; number <= last; number++) {
    if (!kept.includes(number))
      throw new AgentError('damaged', `${join(input.dir, segmentName(number))} is missing`);
  }
  return { kept, stale: numbers.filter((number) => number < input.firstSegment) };
}

interface Read {
  readonly path: string;
  readonly head: SegmentHead;
  readonly scan: Scan;
  readonly isLast: boolean;
  readonly lastBatch: RecoveredLog['lastBatch'];
}

/** Refuses a segment whose tail is more than a torn last batch. */
function checkTail(input: RecoveryInput, { path, head, scan, isLast }: Read): void {
  const { tail } = scan;
  const { recorded } = input;
  if (tail.type === 'damaged')
    throw new AgentError('damaged', `${path}: ${tail.what}, at offset ${tail.offset}`);
  if (recorded.seq >= scan.nextSeq && isLast)
    throw new AgentError(
      'damaged',
      tail.type === 'torn'
        ? `${path}: batch ${tail.seq}, which was durable, fails its check at offset ${tail.offset}`
        : `${path}: the log ends with batch ${scan.nextSeq - 1} at offset ${scan.end}, ` +
            `but batch ${recorded.seq} was durable`,
    );
  if (recorded.segment === head.number && recorded.seq === scan.nextSeq - 1) {
    if (recorded.offset !== scan.end || recorded.link !== scan.link)
      throw new AgentError(
        'damaged',
        `${path}: batch ${recorded.seq} ends at offset ${scan.end}, but was recorded differently`,
      );
  }
}

/** Refuses a segment that doesn't go on where the one before it ended. */
function checkSeam(before: Read, { path, head }: Read): void {
  const { scan } = before;
  const fits =
    head.number === before.head.number + 1 &&
    head.firstSeq === scan.nextSeq &&
    head.link === scan.link &&
    head.previousEnd === scan.end;
  if (!fits)
    throw new AgentError(
      'damaged',
      `${before.path}: ends with batch ${scan.nextSeq - 1} at offset ${scan.end}, but ${path} ` +
        `goes on with batch ${head.firstSeq} from offset ${head.previousEnd}`,
    );
}

/** The whole log from its segments; throws `damaged` naming file and offset. */
export async function recoverLog(input: RecoveryInput): Promise<RecoveredLog> {
  const { kept, stale } = await listSegments(input);
  const notes: string[] = [];
  const segments: KeptSegment[] = [];
  let replay: Replay | null = null;
  let before: Read | null = null;
  for (const number of kept) {
    const path = join(input.dir, segmentName(number));
    const bytes = (await input.disk.read(path)) ?? Buffer.alloc(0);
    const head = readSegmentHead(path, bytes);
    const scan = scanSegment(bytes.subarray(0, head.bytes), head);
    const offset = scan.batches.at(-1)?.offset ?? scan.end;
    const lastBatch = { offset, bytes: Buffer.from(bytes.subarray(offset, scan.end)) };
    const read: Read = { path, head, scan, isLast: number === kept.at(-1), lastBatch };
    if (before !== null) checkSeam(before, read);
    checkTail(input, read);
    if (!read.isLast && scan.tail.type === 'torn')
      notes.push(`${path}: unused bytes after offset ${scan.end} are not zero`);
    replay ??= createReplay(input.epoch, { index: head.baseIndex, hash: head.baseHash });
    replaySegment(replay, read, segments);
    segments.push({ number, bytes: head.bytes, endIndex: replay.lastIndex() });
    input.disk.release?.(bytes);
    before = read;
  }
  if (replay === null || before === null)
    throw new AgentError('damaged', `${input.dir} holds no segment of the log`);
  for (const number of stale) await input.disk.remove(join(input.dir, segmentName(number)));
  return summary(input, replay, before, segments, notes);
}

function replaySegment(replay: Replay, { path, scan }: Read, before: KeptSegment[]): void {
  for (const batch of scan.batches) {
    for (const { record, offset } of batch.records) {
      replay.apply(record, `${path}: offset ${offset}`);
      // What came before an installed snapshot is not needed again.
      if (record.type === 'install') for (const segment of before) segment.endIndex = 0;
    }
  }
}

function summary(
  input: RecoveryInput,
  replay: Replay,
  last: Read,
  segments: readonly KeptSegment[],
  notes: readonly string[],
): RecoveredLog {
  const installed = replay.installed();
  const newer = installed !== null && installed.index > (input.start?.index ?? 0);
  const snapshot = newer ? installed : input.start;
  const { scan, head } = last;
  const torn = scan.tail.type === 'torn' ? scan.tail : null;
  const cut = torn
    ? [
        `${last.path}: batch ${torn.seq} was torn: cut ${torn.bytes} bytes with ` +
          `${torn.entries} entries from offset ${torn.offset}`,
      ]
    : [];
  return {
    entries: replay.entriesAfter(snapshot, input.dir),
    snapshot,
    lastIndex: replay.lastIndex(),
    lastHash: replay.lastHash(),
    end: { seq: scan.nextSeq - 1, segment: head.number, offset: scan.end, link: scan.link },
    lastBatch: last.lastBatch,
    active: head,
    segments,
    tornBytes: torn?.bytes ?? 0,
    tornEntries: torn?.entries ?? 0,
    notes: [...notes, ...cut],
  };
}

/**
 * Makes the end of the log what was read: zeros where a batch was torn, and the last batch written
 * once more, because a page that failed to reach the disk may still have been read from memory.
 */
export async function settleEnd(input: RecoveryInput, log: RecoveredLog): Promise<void> {
  const path = join(input.dir, segmentName(log.active.number));
  const { offset, bytes } = log.lastBatch;
  const settled = Buffer.concat([bytes, Buffer.alloc(log.tornBytes)]);
  const file = await input.disk.open(path);
  try {
    if (settled.length > 0) await file.write(settled, offset);
    await file.sync();
  } finally {
    await file.close();
  }
}
