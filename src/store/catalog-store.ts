/**
 * The catalog's database from the main thread: one writer thread, reader threads beside it. Which
 * file is the catalog is said by a small file in two copies; a snapshot becomes a new database file
 * first and the catalog by one durable change of that word. The old one stays until the log has
 * taken the installation too, so a crash leaves a catalog that fits its log, the old or the new.
 */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import type { LogIndex } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { CatalogStore, LogStore } from './api.ts';
import { applyRequest, type Opened, transferOf, unpackResults } from './catalog-protocol.ts';
import { createCatalogReaders } from './catalog-readers.ts';
import { type CatalogThread, startCatalogThread } from './catalog-thread.ts';
import { createDisk, diskError } from './disk.ts';
import type { SnapshotFacts } from './snapshot-file.ts';
import { createTwin, openTwin, type TwinFile } from './twin-file.ts';

export interface CatalogStoreOptions {
  readonly dir: string;
  /**
   * The opened log of this node. Nothing beyond its durable end is applied, since a crash must
   * never leave the catalog ahead of the log; a catalog that doesn't fit it is refused.
   */
  readonly log: Pick<LogStore, 'startIndex' | 'lastIndex'>;
  /** @default 2 */
  readonly readersMax?: number;
  /** A reader ends after this long without work. @default 30 s */
  readonly readerIdleMs?: number;
}

/** Calls that change the catalog and wait for their turn. */
const turnsMax = 64;
/** A catalog up to this size is read whole when it is opened; a larger one by `verify`. */
const verifiedBytesMax = 16 * 1024 * 1024;
const currentName = 'current';

const currentSchema = z.object({
  number: z.int().min(1),
  /** The catalog before an installation that the log may not have taken yet. */
  previous: z.object({ number: z.int().min(1), installedIndex: z.int().min(0) }).nullable(),
});
type Current = z.infer<typeof currentSchema>;

const fileName = (number: number): string => `catalog-${number}.sqlite`;

/** Removes the databases that `current` doesn't name. */
async function removeOthers(dir: string, current: Current): Promise<void> {
  const kept = [current.number, current.previous?.number];
  for (const name of await createDisk().list(dir)) {
    const match = /^catalog-(\d+)\.sqlite(-wal|-shm)?$/.exec(name);
    if (match && !kept.includes(Number(match[1]))) rmSync(join(dir, name), { force: true });
  }
}

/** Snapshots that an earlier process made and did not get to use. */
async function removeSnapshots(dir: string): Promise<void> {
  for (const name of await createDisk().list(dir))
    if (/\.snapshot(\.tmp)?$/.test(name)) rmSync(join(dir, name), { force: true });
}

/**
 * What an installation comes to: final once the log starts at or after it, taken back if the log
 * was found without it (`atStart`), and open while the log's write is under way.
 */
function settled(current: Current, startIndex: LogIndex, atStart: boolean): Current {
  const { previous } = current;
  if (previous === null) return current;
  if (startIndex >= previous.installedIndex) return { ...current, previous: null };
  return atStart ? { number: previous.number, previous: null } : current;
}

/** Which database is the catalog; 1 in a new folder. */
async function openCurrent(dir: string): Promise<TwinFile<Current>> {
  const disk = createDisk();
  await disk.makeDir(dir);
  const place = { disk, dir, name: currentName };
  const parse = (value: unknown) => currentSchema.parse(value);
  const found = await openTwin(place, parse);
  if (found !== null) return found.twin;
  const databases = (await disk.list(dir)).filter((name) => name.endsWith('.sqlite'));
  if (databases.length > 0)
    throw new AgentError(
      'damaged',
      `${join(dir, currentName)}.a and .b are missing beside ${databases.join(', ')}`,
    );
  await createTwin(place, { number: 1, previous: null });
  await disk.syncDir(dir);
  const made = await openTwin(place, parse);
  if (made === null) throw new AgentError('internal', `${dir}: the new catalog has no file`);
  return made.twin;
}

/** One call after the other; `turnsMax` of them may wait. */
function createTurns() {
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (waiting >= turnsMax)
      throw new AgentError('overloaded', `${waiting} calls wait for the catalog's writer`);
    waiting += 1;
    const mine = tail.then(work).finally(() => {
      waiting -= 1;
    });
    // The caller sees the error; the next one only waits for the end.
    tail = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  };
}

/** Refuses a catalog that its own log can't have made. */
function checkAgainstLog(
  path: string,
  applied: LogIndex,
  log: Pick<LogStore, 'startIndex' | 'lastIndex'>,
): void {
  const [first, last] = [log.startIndex(), log.lastIndex()];
  if (applied >= first && applied <= last) return;
  throw new AgentError(
    'damaged',
    `${path} has applied entry ${applied}, but the log ` +
      (applied > last ? `ends at entry ${last}` : `starts after entry ${first}`),
  );
}

async function startWriter(path: string): Promise<{ writer: CatalogThread; applied: LogIndex }> {
  const writer = startCatalogThread({ role: 'writer', path });
  try {
    const { appliedIndex } = (await writer.ask({ type: 'open' })) as Opened;
    return { writer, applied: appliedIndex };
  } catch (thrown) {
    await writer.end();
    const { code, message } = asAgentError(thrown);
    throw new AgentError(code, `${path}: ${message}`, { cause: thrown });
  }
}

/** Opens the catalog of this node, or makes an empty one. */
export async function openCatalogStore(options: CatalogStoreOptions): Promise<CatalogStore> {
  try {
    const current = await openCurrent(options.dir);
    try {
      return await openNamed(options, current);
    } catch (thrown) {
      await current.close();
      throw thrown;
    }
  } catch (thrown) {
    throw diskError(thrown, `the catalog in ${options.dir} can't be opened`);
  }
}

async function openNamed(
  { dir, log, ...options }: CatalogStoreOptions,
  current: TwinFile<Current>,
): Promise<CatalogStore> {
  /** Makes an installation final or takes it back, and removes what is no longer named. */
  const settle = async (atStart: boolean) => {
    const next = settled(current.value(), log.startIndex(), atStart);
    if (next !== current.value()) await current.write(next);
    await removeOthers(dir, next);
  };
  await settle(true);
  await removeSnapshots(dir);
  const path = () => join(dir, fileName(current.value().number));
  const { writer, applied: found } = await startWriter(path());
  let applied = found;
  try {
    checkAgainstLog(path(), applied, log);
    if (statSync(path()).size <= verifiedBytesMax) await writer.ask({ type: 'verify' });
  } catch (thrown) {
    await writer.end();
    throw thrown;
  }
  const readers = createCatalogReaders({
    path: path(),
    readersMax: options.readersMax ?? 2,
    idleMs: options.readerIdleMs ?? 30_000,
  });
  const inTurn = createTurns();

  const apply: CatalogStore['apply'] = (entries) =>
    inTurn(async () => {
      const last = entries.at(-1)?.index;
      if (last === undefined) return [];
      const durable = log.lastIndex();
      assert(last <= durable, `entry ${last} is applied while the log is durable to ${durable}`);
      const request = applyRequest(entries);
      const packed = await writer.ask(request, transferOf(request.block));
      applied = last;
      return unpackResults(packed as Uint8Array, request.previousIndex + 1);
    });

  const install: CatalogStore['install'] = (snapshot) =>
    inTurn(async () => {
      await settle(false);
      const { number, previous } = current.value();
      // Databases are never overwritten: one above every number in use.
      const next = Math.max(number, previous?.number ?? 0) + 1;
      const index = (await writer.ask({
        type: 'restore',
        snapshot,
        path: join(dir, fileName(next)),
      })) as LogIndex;
      const before = previous?.number ?? number;
      await current.write({ number: next, previous: { number: before, installedIndex: index } });
      const { appliedIndex } = (await writer.ask({ type: 'switch', path: path() })) as Opened;
      assert(appliedIndex === index, `${path()} holds ${appliedIndex} after installing ${index}`);
      applied = index;
      readers.moveTo(path());
      await removeOthers(dir, current.value());
      return index;
    });

  return {
    appliedIndex: () => applied,
    apply,
    query: async (name, args) => {
      const answer = await readers.ask({ type: 'query', name, args });
      return answer as { value: unknown; appliedIndex: LogIndex };
    },
    digest: () => inTurn(async () => (await writer.ask({ type: 'digest' })) as string),
    checkpoint: () =>
      inTurn(async () => {
        const index = (await writer.ask({ type: 'checkpoint' })) as LogIndex;
        await settle(false);
        return index;
      }),
    verify: async () => void (await readers.ask({ type: 'verify' })),
    snapshot: async () => (await readers.ask({ type: 'snapshot', dir })) as SnapshotFacts,
    install,
    close: async () => {
      try {
        await readers.close();
        await inTurn(() => writer.close());
      } finally {
        await current.close();
      }
    },
  };
}
