/**
 * The local history of this node: ballots and events, one JSON line each, in files of bounded size
 * of which the oldest goes. Every line carries the hash of the one before it, so that a change or a
 * gap shows. Not fsynced per event: a crash may cost the newest lines, which is noted and counted.
 */
import { hash as digest } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { diskError } from './disk.ts';

export interface StoredEvent {
  readonly seq: number;
  /** RFC 3339. */
  readonly at: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

export interface EventStore {
  readonly notes: readonly string[];
  lastSeq(): number;
  /** Appends in memory at once and to the file soon after; answers the event with its number. */
  append(event: Omit<StoredEvent, 'seq'>): StoredEvent;
  /** The events after `afterSeq`, oldest first, at most `limit`. */
  list(afterSeq: number, limit: number): Promise<StoredEvent[]>;
  /** Events that could not be written, and why the last of them could not. */
  lost(): { readonly count: number; readonly reason: string | null };
  /** Resolves when everything appended has been written. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface EventStoreOptions {
  readonly dir: string;
  /** All files together. @default 16 MiB */
  readonly bytesMax?: number;
}

const filesMax = 8;
const eventBytesMax = 256 * 1024;
const waitingMax = 10_000;
const hashStart = '0'.repeat(64);

const lineSchema = z.object({
  seq: z.int().min(1),
  at: z.string(),
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  hash: z.string().length(64),
});

interface File {
  readonly path: string;
  readonly firstSeq: number;
  bytes: number;
}

const pathOf = (dir: string, firstSeq: number): string =>
  join(dir, `events-${String(firstSeq).padStart(12, '0')}.jsonl`);

const chain = (previous: string, body: string): string =>
  digest('sha256', `${previous}|${body}`, 'hex');

interface ReadLine {
  readonly event: StoredEvent;
  readonly hash: string;
  /** Whether the hash follows from the line before. */
  readonly chained: boolean;
}

/** `,"hash":"…"}` at the end of a line; what is before it, closed by a brace, is the event. */
const hashTextBytes = 75;

/** A line, or null unless it is whole. `previous` is null where the line before is not known. */
function readLine(line: string, previous: string | null): ReadLine | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) return null;
  const { hash, ...event } = parsed.data;
  const body = `${line.slice(0, -hashTextBytes)}}`;
  return { event, hash, chained: previous === null || hash === chain(previous, body) };
}

interface Found {
  readonly files: File[];
  readonly lastSeq: number;
  readonly lastHash: string;
  readonly notes: string[];
}

/**
 * Reads what is there. A torn last line is cut; a line that was changed elsewhere stays where it is
 * and is noted.
 */
async function findFiles(dir: string): Promise<Found> {
  const files: File[] = [];
  const notes: string[] = [];
  let [lastSeq, lastHash] = [0, hashStart];
  let previous: string | null = null;
  const names = (await fs.readdir(dir))
    .filter((name) => /^events-\d{12}\.jsonl$/.test(name))
    .sort();
  for (const name of names) {
    const path = join(dir, name);
    const text = await fs.readFile(path, 'utf8');
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const read: ReadLine | null = readLine(text.slice(at, end), previous);
      if (read === null || !read.chained) notes.push(`${path}: changed at character ${at}`);
      previous = read?.hash ?? null;
      if (read !== null) [lastSeq, lastHash] = [read.event.seq, read.hash];
      at = end + 1;
    }
    const bytes = Buffer.byteLength(text.slice(0, at));
    if (at < text.length) {
      const torn = Buffer.byteLength(text) - bytes;
      notes.push(`${path}: a torn last line of ${torn} bytes was cut at offset ${bytes}`);
      await fs.truncate(path, bytes);
    }
    files.push({ path, firstSeq: Number(name.slice(7, 19)), bytes });
  }
  return { files, lastSeq, lastHash, notes };
}

async function readEvents(file: File): Promise<StoredEvent[]> {
  const text = await fs.readFile(file.path, 'utf8');
  const lines = text.split('\n').map((line) => (line === '' ? null : readLine(line, null)));
  return lines.flatMap((line) => (line === null ? [] : [line.event]));
}

/** Opens the history in `dir`. */
export async function openEventStore(options: EventStoreOptions): Promise<EventStore> {
  const { dir } = options;
  const fileBytesMax = Math.ceil((options.bytesMax ?? 16 * 1024 * 1024) / filesMax);
  await fs.mkdir(dir, { recursive: true, mode: 0o700 });
  const { files, notes, ...end } = await findFiles(dir);
  let { lastSeq, lastHash } = end;
  let waiting: { seq: number; line: string }[] = [];
  let writing: Promise<void> | null = null;
  let lostCount = 0;
  let lostReason: string | null = null;
  let closed = false;
  /** After a failed write the file may end with half a line. */
  let freshFile = false;

  const lose = (count: number, reason: string) => {
    lostCount += count;
    lostReason = reason;
  };

  const writeOnce = async (batch: readonly { seq: number; line: string }[]) => {
    const first = batch[0];
    if (first === undefined) return;
    let file = files.at(-1);
    if (file === undefined || file.bytes >= fileBytesMax || freshFile) {
      freshFile = false;
      file = { path: pathOf(dir, first.seq), firstSeq: first.seq, bytes: 0 };
      files.push(file);
    }
    const text = batch.map(({ line }) => line).join('');
    await fs.appendFile(file.path, text, { mode: 0o600 });
    file.bytes += Buffer.byteLength(text);
    while (files.length > filesMax) {
      const oldest = files.shift();
      if (oldest !== undefined) await fs.rm(oldest.path, { force: true });
    }
  };

  const drain = async () => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, 256);
      try {
        await writeOnce(batch);
      } catch (thrown) {
        freshFile = true;
        lose(batch.length, diskError(thrown, 'events were not written').message);
      }
    }
    writing = null;
  };

  const append: EventStore['append'] = (input) => {
    if (closed) throw new AgentError('stopped', 'the event store is closed');
    const { at, type, data } = input;
    const event: StoredEvent = { seq: lastSeq + 1, at, type, data };
    const body = JSON.stringify(event);
    if (body.length > eventBytesMax)
      throw new AgentError('too-large', `an event of ${body.length} bytes`);
    lastSeq = event.seq;
    lastHash = chain(lastHash, body);
    if (waiting.length >= waitingMax) lose(1, `${waitingMax} events wait to be written`);
    else waiting.push({ seq: event.seq, line: `${body.slice(0, -1)},"hash":"${lastHash}"}\n` });
    writing ??= drain();
    return event;
  };

  const flush = async () => {
    while (writing !== null) await writing;
  };

  return {
    notes,
    lastSeq: () => lastSeq,
    append,
    list: async (afterSeq, limit) => {
      await flush();
      const found: StoredEvent[] = [];
      for (const [i, file] of files.entries()) {
        const next = files[i + 1];
        if (next !== undefined && next.firstSeq <= afterSeq + 1) continue;
        for (const event of await readEvents(file)) {
          if (event.seq > afterSeq && found.length < limit) found.push(event);
        }
        if (found.length >= limit) break;
      }
      return found;
    },
    lost: () => ({ count: lostCount, reason: lostReason }),
    flush,
    close: async () => {
      closed = true;
      await flush();
      waiting = [];
    },
  };
}
