/**
 * Reading UnixFS: bytes of a file, the tree below a directory. Blocks that are not here are fetched
 * from the providers and not kept, so that reading never fills the disk; small nodes stay in a
 * bounded memory for the length of one read. The time limit counts from the last progress.
 */
import { exporter, type UnixFSEntry } from 'ipfs-unixfs-exporter';
import type { CID } from 'multiformats/cid';
import type { CidText, Ms } from '../base/brand.ts';
import { AgentError, asAgentError } from '../base/error.ts';
import type { BlockExchange, FetchSession } from './block-exchange.ts';
import type { BlockStore } from './block-store.ts';
import { carOf } from './car-file.ts';
import { type BlockKey, blockKey, cidText, parseCid, rawCode } from './cid-text.ts';
import { readNames } from './entry-path.ts';

const nodeBytesMax = 8 * 1024 * 1024;
const readAhead = 8;
const listingsMax = 1_000_000;

export interface Listing {
  path: string;
  type: 'file' | 'directory';
  bytes: number;
}

export interface ReadDeps {
  readonly store: BlockStore;
  readonly exchange: BlockExchange;
}

export interface ReadOptions {
  readonly timeoutMs: Ms;
  readonly signal: AbortSignal;
}

type Source = Parameters<typeof exporter>[1];

/** Loads the blocks of one read, from here or from a provider. */
function createLoader({ store, exchange }: ReadDeps, root: CID, options: ReadOptions) {
  const nodes = new Map<BlockKey, Uint8Array>();
  let nodeBytes = 0;
  let session: Promise<FetchSession> | null = null;

  async function fetchAway(cid: CID): Promise<Uint8Array> {
    const limit = AbortSignal.timeout(options.timeoutMs);
    const signal = AbortSignal.any([options.signal, limit]);
    try {
      const first = store.has(blockKey(root)) ? cid : root;
      session ??= exchange.lookup(first, signal);
      return await exchange.fetch(await session, cid, { bytesHint: null, signal });
    } catch (thrown) {
      session = null;
      if (!limit.aborted) throw thrown;
      const text = `block ${cidText(cid)} did not arrive within ${options.timeoutMs} ms`;
      throw new AgentError('unavailable', text, { cause: thrown });
    }
  }

  return async function load(cid: CID): Promise<Uint8Array> {
    const key = blockKey(cid);
    if (store.has(key)) return store.get(key);
    const known = nodes.get(key);
    if (known !== undefined) return known;
    const bytes = await fetchAway(cid);
    if (cid.code !== rawCode && nodeBytes + bytes.length <= nodeBytesMax) {
      nodes.set(key, bytes);
      nodeBytes += bytes.length;
    }
    return bytes;
  };
}

/** The whole DAG as a CAR stream. */
export function readCar(deps: ReadDeps, cid: CidText, options: ReadOptions) {
  const root = parseCid(cid, 'cid');
  return carOf([root], createLoader(deps, root, options));
}

function createSource(deps: ReadDeps, root: CID, options: ReadOptions): Source {
  const load = createLoader(deps, root, options);
  const source = {
    async *get(cid: CID): AsyncGenerator<Uint8Array> {
      yield await load(cid.toV1());
    },
  };
  return source as unknown as Source;
}

/** Errors of the exporter by their names; the rest as they are. */
function readError(thrown: unknown, shown: string): AgentError {
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'NotFoundError' || name === 'BadPathError' || name === 'NoPropError')
    return new AgentError('not-found', `${shown} does not exist`, { cause: thrown });
  if (name === 'NotUnixFSError' || name === 'NotAFileError')
    return new AgentError('bad-request', `${shown} is not UnixFS`, { cause: thrown });
  return asAgentError(thrown);
}

const shownPath = (cid: CidText, names: readonly string[]): string => [cid, ...names].join('/');

async function entryAt(
  deps: ReadDeps,
  where: { cid: CidText; path: string },
  options: ReadOptions,
): Promise<{ entry: UnixFSEntry; source: Source; shown: string }> {
  const root = parseCid(where.cid, 'cid');
  const names = readNames(where.path);
  const shown = shownPath(where.cid, names);
  const source = createSource(deps, root, options);
  try {
    const path = names.length === 0 ? root : shownPath(cidText(root), names);
    return { entry: await exporter(path, source, { signal: options.signal }), source, shown };
  } catch (thrown) {
    throw readError(thrown, shown);
  }
}

/** The file's bytes in order. A directory is refused with `bad-request`. */
export async function* readFile(
  deps: ReadDeps,
  where: { cid: CidText; path: string },
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const { entry, shown } = await entryAt(deps, where, options);
  if (entry.type === 'directory')
    throw new AgentError('bad-request', `${shown} is a directory; list it and read its files`);
  if (entry.type === 'object') throw new AgentError('bad-request', `${shown} is not a file`);
  try {
    yield* entry.content({ blockReadConcurrency: readAhead, signal: options.signal });
  } catch (thrown) {
    throw readError(thrown, shown);
  }
}

/** Everything below, depth first, with paths relative to `where`; a file lists itself as ''. */
export async function listTree(
  deps: ReadDeps,
  where: { cid: CidText; path: string },
  options: ReadOptions,
): Promise<Listing[]> {
  const { entry, source, shown } = await entryAt(deps, where, options);
  if (entry.type !== 'directory') return [{ path: '', type: 'file', bytes: bytesOf(entry) }];
  const found: Listing[] = [];
  try {
    await listBelow(entry, '', { source, options, found, store: deps.store });
  } catch (thrown) {
    throw readError(thrown, shown);
  }
  return found;
}

const bytesOf = (entry: UnixFSEntry): number => ('size' in entry ? Number(entry.size) : 0);

interface Listed {
  readonly source: Source;
  readonly options: ReadOptions;
  readonly found: Listing[];
  readonly store: BlockStore;
}

/** Sizes of the raw leaves among the children, so that listing doesn't read whole small files. */
function leafSizes(directory: Directory, store: BlockStore): Map<BlockKey, number> {
  const sizes = new Map<BlockKey, number>();
  for (const { Hash, Tsize } of directory.node.Links) {
    if (Hash.code !== rawCode) continue;
    const bytes = store.bytesOf(blockKey(Hash)) ?? Tsize;
    if (bytes !== undefined) sizes.set(blockKey(Hash), bytes);
  }
  return sizes;
}

type Directory = Extract<UnixFSEntry, { type: 'directory' }>;

async function listBelow(directory: Directory, prefix: string, listed: Listed): Promise<void> {
  const { source, options, found } = listed;
  const leaves = leafSizes(directory, listed.store);
  for await (const child of directory.entries({ signal: options.signal })) {
    const path = prefix === '' ? child.name : `${prefix}/${child.name}`;
    if (found.length >= listingsMax)
      throw new AgentError('too-large', `more than ${listingsMax} entries`);
    const leaf = child.cid.code === rawCode ? leaves.get(blockKey(child.cid)) : undefined;
    if (leaf !== undefined) {
      found.push({ path, type: 'file', bytes: leaf });
      continue;
    }
    const entry = await exporter(child.cid, source, { signal: options.signal });
    const isDirectory = entry.type === 'directory';
    found.push({ path, type: isDirectory ? 'directory' : 'file', bytes: bytesOf(entry) });
    if (isDirectory) await listBelow(entry, path, listed);
  }
}
