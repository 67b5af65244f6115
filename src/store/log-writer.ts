/**
 * The one writer of the log: takes persist jobs and compactions in order, puts what waits into one
 * batch and makes it durable with one fdatasync. Hard state goes first, into both copies, so no
 * entry is ever durable under a term that isn't. After a failed write nothing is written again:
 * every later call is refused with that failure, and a restart finds out what is durable.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { assert, present } from '../base/assert.ts';
import type { LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { HardState, PersistJob, SnapshotMeta } from '../consensus/api.ts';
import type { LogStore } from './api.ts';
import { type Disk, type DiskFile, diskError } from './disk.ts';
import type { EndMark, LogEnd, StoredHardState } from './hard-state.ts';
import type { KeptSegment } from './log-recovery.ts';
import { encodeBatch, type LogRecord } from './record.ts';
import { createSegment, type SegmentHead, segmentHeadBytes, segmentName } from './segment.ts';
import type { StoredStart } from './start-position.ts';
import type { TwinFile } from './twin-file.ts';

/** What is gathered into one batch at most; encoding it holds up the event loop for some 5 ms. */
const batchBytesMax = 2 * 1024 * 1024;
/** What may wait in all before callers are pushed back. */
const waitingCallsMax = 4096;
const waitingBytesMax = 256 * 1024 * 1024;
const timesKept = 256;

export interface WriterDeps {
  readonly disk: Disk;
  readonly dir: string;
  readonly hardState: TwinFile<StoredHardState>;
  readonly start: TwinFile<StoredStart>;
  readonly mark: EndMark;
  /** Monotonic milliseconds, for the statistics. */
  readonly nowMs: () => number;
}

export interface WriterStart {
  readonly segmentBytes: number;
  readonly active: SegmentHead;
  readonly end: LogEnd;
  readonly lastIndex: LogIndex;
  readonly lastHash: string | null;
  readonly segments: readonly KeptSegment[];
}

type Work =
  | { readonly type: 'jobs'; readonly jobs: readonly PersistJob[]; readonly bytes: number }
  | { readonly type: 'compact'; readonly meta: SnapshotMeta; readonly bytes: 0 };

interface Waiting {
  readonly work: Work;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What a group of jobs comes to: checked before the first byte is written. */
interface Plan {
  readonly hardState: HardState | null;
  readonly records: readonly LogRecord[];
  readonly installed: SnapshotMeta | null;
  readonly lastIndex: LogIndex;
  readonly lastHash: string | null;
  readonly lastId: number | null;
}

const bytesOf = (jobs: readonly PersistJob[]): number =>
  jobs.reduce((sum, job) => sum + 256 + job.append.reduce((n, e) => n + e.data.length + 96, 0), 0);

/** Checks that jobs go on from (lastId, lastIndex) and turns them into records. */
function planJobs(
  jobs: readonly PersistJob[],
  from: Pick<Plan, 'lastId' | 'lastIndex' | 'lastHash'>,
): Plan {
  const records: LogRecord[] = [];
  let { lastId, lastIndex, lastHash } = from;
  let hardState: HardState | null = null;
  let installed: SnapshotMeta | null = null;
  for (const job of jobs) {
    assert(lastId === null || job.id === lastId + 1, `persist job ${job.id} follows job ${lastId}`);
    lastId = job.id;
    hardState = job.hardState ?? hardState;
    if (job.installSnapshot !== null) {
      installed = job.installSnapshot.meta;
      records.push({ type: 'install', meta: installed });
      [lastIndex, lastHash] = [installed.index, installed.hash];
    }
    if (job.cutBackTo !== null && job.cutBackTo < lastIndex) {
      records.push({ type: 'cut', backTo: job.cutBackTo });
      [lastIndex, lastHash] = [job.cutBackTo, null];
    }
    for (const entry of job.append) {
      assert(entry.index === lastIndex + 1, `entry ${entry.index} is stored after ${lastIndex}`);
      records.push({ type: 'entry', entry });
      [lastIndex, lastHash] = [entry.index, entry.hash];
    }
  }
  return { hardState, records, installed, lastIndex, lastHash, lastId };
}

export type LogWriter = Omit<LogStore, 'report' | 'restored'>;

/** Opens the active segment and takes over its end. */
export async function openLogWriter(deps: WriterDeps, from: WriterStart): Promise<LogWriter> {
  const { disk, dir, hardState, start, mark, nowMs } = deps;
  const segments: KeptSegment[] = from.segments.map((segment) => ({ ...segment }));
  let active: SegmentHead = from.active;
  let file: DiskFile = await disk.open(join(dir, segmentName(active.number)), 'through');
  let end = from.end;
  let { lastIndex, lastHash } = from;
  let lastId: number | null = null;
  let failure: AgentError | null = null;
  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let draining: Promise<void> | null = null;
  const times: number[] = [];
  let timeNext = 0;

  const roll = async (bytesNeeded: number) => {
    const head: SegmentHead = {
      number: active.number + 1,
      bytes: Math.max(from.segmentBytes, segmentHeadBytes + bytesNeeded),
      salt: randomInt(2 ** 32),
      firstSeq: end.seq + 1,
      link: end.link,
      previousEnd: end.offset,
      baseIndex: lastIndex,
      baseHash: lastHash,
    };
    await createSegment(disk, dir, head);
    await file.close();
    file = await disk.open(join(dir, segmentName(head.number)), 'through');
    present(segments.at(-1), 'the active segment').endIndex = lastIndex;
    segments.push({ number: head.number, bytes: head.bytes, endIndex: lastIndex });
    active = head;
    end = { ...end, segment: head.number, offset: segmentHeadBytes };
    // From here on the loss of the whole new file would be seen.
    await hardState.write({ ...hardState.value(), end });
  };

  const writeBatch = async (records: readonly LogRecord[]) => {
    let batch = encodeBatch({ seq: end.seq + 1, link: end.link, salt: active.salt, records });
    if (end.offset + batch.bytes.length > active.bytes) {
      await roll(batch.bytes.length);
      batch = encodeBatch({ seq: end.seq + 1, link: end.link, salt: active.salt, records });
    }
    const before = nowMs();
    await file.write(batch.bytes, end.offset);
    times[timeNext++ % timesKept] = nowMs() - before;
    end = { ...end, seq: end.seq + 1, offset: end.offset + batch.bytes.length, link: batch.link };
    mark.set(end);
  };

  /** Removes the segments that hold nothing above `index`, after the start is durable. */
  const dropSegments = async (meta: SnapshotMeta) => {
    const keep = segments.findIndex((s) => s.number === active.number || s.endIndex > meta.index);
    const firstSegment = present(segments[keep], 'the active segment').number;
    await start.write({ meta, firstSegment });
    const gone = segments.splice(0, keep);
    for (const segment of gone) await disk.remove(join(dir, segmentName(segment.number)));
    if (gone.length > 0) await disk.syncDir(dir);
  };

  const writeJobs = async (jobs: readonly PersistJob[]) => {
    const plan = planJobs(jobs, { lastId, lastIndex, lastHash });
    if (plan.hardState !== null) await hardState.write({ hardState: plan.hardState, end });
    if (plan.records.length > 0) await writeBatch(plan.records);
    ({ lastId, lastIndex, lastHash } = plan);
    present(segments.at(-1), 'the active segment').endIndex = lastIndex;
    if (plan.installed === null) return;
    for (const segment of segments.slice(0, -1)) segment.endIndex = 0;
    await dropSegments(plan.installed);
  };

  /** Takes what may go into one batch: jobs up to a size, or one compaction. */
  const takeGroup = (): Waiting[] => {
    let [count, bytes] = [0, 0];
    for (const { work } of waiting) {
      if (count > 0 && (work.type === 'compact' || bytes + work.bytes > batchBytesMax)) break;
      count += 1;
      bytes += work.bytes;
      if (work.type === 'compact') break;
    }
    const group = waiting.slice(0, count);
    waiting = waiting.slice(count);
    waitingBytes -= bytes;
    return group;
  };

  const drain = async () => {
    while (waiting.length > 0) {
      const group = takeGroup();
      try {
        if (failure !== null) throw failure;
        const first = present(group[0], 'a group of work').work;
        if (first.type === 'compact') await dropSegments(first.meta);
        else await writeJobs(group.flatMap(({ work }) => (work.type === 'jobs' ? work.jobs : [])));
        for (const { resolve } of group) resolve();
      } catch (thrown) {
        const error = diskError(thrown, `the log in ${dir} can't be written`);
        failure = error;
        for (const { reject } of group) reject(error);
      }
    }
    draining = null;
  };

  const enqueue = (work: Work): Promise<void> => {
    if (failure !== null) return Promise.reject(failure);
    if (waiting.length >= waitingCallsMax || waitingBytes + work.bytes > waitingBytesMax) {
      const detail = `${waiting.length} writes of ${waitingBytes} bytes wait for the log`;
      return Promise.reject(new AgentError('overloaded', detail));
    }
    return new Promise((resolve, reject) => {
      waiting.push({ work, resolve, reject });
      waitingBytes += work.bytes;
      draining ??= drain();
    });
  };

  const close = async () => {
    while (draining !== null) await draining;
    failure ??= new AgentError('stopped', 'the log is closed');
    // All of them, even when the disk fails; the first failure is the caller's to know.
    const closing = [mark.close(), file.close(), hardState.close(), start.close()];
    const failures = (await Promise.allSettled(closing)).filter((one) => one.status === 'rejected');
    if (failures[0] !== undefined) throw diskError(failures[0].reason, `closing the log in ${dir}`);
  };

  return {
    persist: (jobs) => enqueue({ type: 'jobs', jobs: [...jobs], bytes: bytesOf(jobs) }),
    compact: (meta) => enqueue({ type: 'compact', meta, bytes: 0 }),
    startIndex: () => start.value().meta?.index ?? 0,
    lastIndex: () => lastIndex,
    stats: () => ({
      fsyncMsMean: times.length === 0 ? 0 : times.reduce((a, b) => a + b, 0) / times.length,
      fsyncMsMax: Math.max(0, ...times),
      waiting: waiting.length,
      segments: segments.length,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
    }),
    close,
  };
}
