/**
 * Import as UnixFS: CID version 1, raw leaves of 1 MiB, balanced with 1024 children a node (the
 * profile `unixfs-v1-2025`), directories sharded when their block passes 256 KiB. Files are read
 * one after the other, as streams must be, and stored several at once. Memory is bounded by the
 * stream's window and the store's writes, not by file sizes; the tree of names is held in memory.
 */
import { type ImportResult, importer, importFile } from 'ipfs-unixfs-importer';
import type { CID } from 'multiformats/cid';
import { present } from '../base/assert.ts';
import { AgentError } from '../base/error.ts';
import type { BlockStore } from './block-store.ts';
import { blockKey } from './cid-text.ts';
import { entryNames } from './entry-path.ts';

const filesAtOnceMax = 8;
const blockWriteConcurrency = 6;
const entriesMax = 2_000_000;

/** One entry of an add; `content` is null for a directory. */
export interface ImportEntry {
  readonly path: string;
  readonly content: AsyncIterable<Uint8Array> | null;
}

export interface ImportDeps {
  readonly store: BlockStore;
}

export interface Imported {
  readonly root: CID;
  /** The folder that was made around a root that needs none. */
  readonly leftover: CID | null;
  readonly bytes: number;
  readonly files: number;
}

type Progress = (bytes: number) => void;

/** Refuses a path twice, and one name as a file and as a folder. */
function createPathLedger() {
  const kinds = new Map<string, 'file' | 'directory'>();
  const tops = new Set<string>();

  function note(path: string, kind: 'file' | 'directory', twice: boolean): void {
    const known = kinds.get(path);
    if (known !== undefined && (known !== kind || twice)) {
      const text = `path ${JSON.stringify(path)} comes twice`;
      throw new AgentError(
        'bad-request',
        known === kind ? text : `${text}, as ${known} and ${kind}`,
      );
    }
    if (known === undefined && kinds.size >= entriesMax)
      throw new AgentError('too-large', `more than ${entriesMax} entries`);
    kinds.set(path, kind);
  }

  return {
    tops,
    add: (path: string, isFile: boolean): void => {
      const names = entryNames(path);
      tops.add(names[0] ?? '');
      for (let i = 1; i < names.length; i++) note(names.slice(0, i).join('/'), 'directory', false);
      note(path, isFile ? 'file' : 'directory', isFile);
    },
  };
}

function countingContent(content: AsyncIterable<Uint8Array>, onBytes: Progress) {
  return (async function* () {
    for await (const chunk of content) {
      onBytes(chunk.length);
      yield chunk;
    }
  })();
}

/** A stored file, or (with null) a directory that the tree builder has yet to make. */
interface Stored {
  readonly path: string;
  readonly file: ImportResult | null;
}

type Target = Parameters<typeof importer>[1];
const profile = 'unixfs-v1-2025';

/** Stores the files, at most so many at once, and yields each as it is done. */
async function* importFiles(
  entries: AsyncIterable<ImportEntry>,
  storeOne: (entry: ImportEntry) => Promise<Stored>,
): AsyncGenerator<Stored> {
  const active = new Set<Promise<void>>();
  const done: Stored[] = [];
  let failure: { error: unknown } | null = null;
  for await (const entry of entries) {
    const work: Promise<void> = storeOne(entry)
      .then(
        (result) => void done.push(result),
        (error: unknown) => {
          failure ??= { error };
        },
      )
      .finally(() => active.delete(work));
    active.add(work);
    if (active.size >= filesAtOnceMax) await Promise.race(active);
    if (failure !== null) break;
    yield* done.splice(0);
  }
  await Promise.all(active);
  if (failure !== null) throw present<{ error: unknown }>(failure, 'the failure').error;
  yield* done.splice(0);
}

export async function importUnixfs(
  { store }: ImportDeps,
  holder: number,
  entries: AsyncIterable<ImportEntry>,
  onProgress: Progress,
): Promise<Imported> {
  const ledger = createPathLedger();
  let [bytes, files] = [0, 0];
  const blocks = {
    put: async (cid: CID, block: Uint8Array): Promise<CID> => {
      await store.put(holder, blockKey(cid), block);
      return cid;
    },
  };
  // The importer's own types ask for a whole store; it only ever puts.
  const target = blocks as unknown as Target;
  const onBytes = (count: number): void => {
    bytes += count;
    onProgress(bytes);
  };

  async function storeOne({ path, content }: ImportEntry): Promise<Stored> {
    if (content === null) return { path, file: null };
    files += 1;
    const counted = countingContent(content, onBytes);
    const file = await importFile({ content: counted }, target, { profile, blockWriteConcurrency });
    return { path, file };
  }

  async function* checked(): AsyncGenerator<ImportEntry> {
    for await (const entry of entries) {
      ledger.add(entry.path, entry.content !== null);
      yield entry;
    }
  }

  const made = await buildTree(importFiles(checked(), storeOne), target, ledger.tops);
  return { ...made, bytes, files };
}

/** Gives the files their folders; the only top entry is the root, several get a folder around. */
async function buildTree(
  stored: AsyncIterable<Stored>,
  target: Target,
  tops: ReadonlySet<string>,
): Promise<Pick<Imported, 'root' | 'leftover'>> {
  const found = new Map<string, CID>();
  const results = importer([], target, {
    profile,
    wrapWithDirectory: true,
    fileImportConcurrency: 1,
    // The files are stored already: their results go straight to the tree builder.
    dagBuilder: async function* () {
      for await (const { path, file } of stored) {
        const made = file ?? (await emptyDirectory(target));
        if (file === null) found.set(path, made.cid);
        yield async () => ({ ...made, path, originalPath: path });
      }
    },
  });
  for await (const entry of results) {
    const path = entry.path ?? '';
    if (path === '' || tops.has(path)) found.set(path, entry.cid);
  }
  if (tops.size === 0) throw new AgentError('bad-request', 'entries: nothing to add');
  const [only] = tops.size === 1 ? tops : [''];
  const root = present(found.get(present(only, 'the only top entry')), 'the root of the add');
  const around = found.get('') ?? null;
  return { root, leftover: around === root ? null : around };
}

async function emptyDirectory(target: Target): Promise<ImportResult> {
  for await (const made of importer([{ path: 'empty' }], target, { profile })) return made;
  throw new AgentError('internal', 'the importer made no directory');
}
