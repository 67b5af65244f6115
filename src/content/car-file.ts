/**
 * Blocks in and out as CAR files (version 1), the format that every IPFS program reads. Out go
 * DAGs, each block once, to a backup or another engine such as kubo; what comes in is believed only
 * block by block, after hashing, and a pin only when all of its blocks came.
 */
import { CarBlockIterator } from '@ipld/car/iterator';
import { CarWriter } from '@ipld/car/writer';
import type { CID } from 'multiformats/cid';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { BlockStore } from './block-store.ts';
import { type BlockKey, blockKey, cidText, matchesKey, parseCid } from './cid-text.ts';
import { linksOf, listDag } from './dag.ts';
import type { PinTable } from './pin-table.ts';

/** Keys remembered so that a block goes out once; above it a block may be sent again. */
const seenMax = 1_000_000;

/** The DAGs of `roots`, in order, each block once; `load` throws for one that is missing. */
export async function* carOf(
  roots: readonly CID[],
  load: (cid: CID) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { writer, out } = CarWriter.create([...roots]);
  const fill = async (): Promise<void> => {
    try {
      const seen = new Set<BlockKey>();
      const stack = [...roots].reverse();
      for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
        const key = blockKey(cid);
        if (seen.has(key)) continue;
        if (seen.size < seenMax) seen.add(key);
        const bytes = await load(cid);
        await writer.put({ cid, bytes });
        for (const link of linksOf(cid, bytes).reverse()) stack.push(link.cid);
      }
    } finally {
      await writer.close();
    }
  };
  const filled = fill();
  // The error is thrown after what was written before it; until then nobody waits for it.
  filled.catch(() => undefined);
  yield* out;
  await filled;
}

/** The CAR of these pins, in order; throws when a block is not here. */
export async function* writeCar(
  store: BlockStore,
  cids: readonly CidText[],
): AsyncGenerator<Uint8Array> {
  const roots = cids.map((cid) => parseCid(cid, 'cid'));
  yield* carOf(roots, (cid) => store.get(blockKey(cid)));
}

export interface CarFacts {
  readonly roots: readonly CidText[];
  readonly blocks: number;
  readonly bytes: number;
}

/**
 * Reads a CAR to its end and hands every block, once and hashed, to `keep`. Throws `damaged` when a
 * block is not what its CID says, or one of those that the roots lead to is missing.
 */
export async function readCar(
  source: AsyncIterable<Uint8Array>,
  keep: (key: BlockKey, bytes: Uint8Array) => Promise<void>,
): Promise<CarFacts> {
  const damaged = (what: string, cause?: unknown): AgentError =>
    new AgentError('damaged', `the blocks (CAR): ${what}`, { cause });
  const seen = new Set<BlockKey>();
  const wanted = new Map<BlockKey, CID>();
  let bytes = 0;
  let roots: CID[];
  try {
    const blocks = await CarBlockIterator.fromIterable(source);
    roots = await blocks.getRoots();
    for (const root of roots) wanted.set(blockKey(root), root);
    for await (const { cid, bytes: data } of blocks) {
      const key = blockKey(cid);
      if (!(await matchesKey(key, data))) throw damaged(`block ${cidText(cid)} has other bytes`);
      for (const link of linksOf(cid, data)) wanted.set(blockKey(link.cid), link.cid);
      if (seen.has(key)) continue;
      seen.add(key);
      bytes += data.length;
      await keep(key, data);
    }
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    throw damaged(thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
  for (const [key, cid] of wanted)
    if (!seen.has(key)) throw damaged(`block ${cidText(cid)} is missing`);
  return { roots: roots.map(cidText), blocks: seen.size, bytes };
}

/** Stores all blocks of a CAR and pins its roots here; durable when it resolves. */
export async function importCar(
  { store, table }: { readonly store: BlockStore; readonly table: PinTable },
  source: AsyncIterable<Uint8Array>,
  nowMs: number,
): Promise<CarFacts> {
  const holder = -1;
  const facts = await readCar(source, (key, bytes) => store.put(holder, key, bytes));
  await store.flush(holder);
  for (const text of facts.roots) {
    const list = await listDag(parseCid(text, 'cid'), store);
    const [row] = table.ensure([text], nowMs);
    if (row !== undefined) await table.complete(row.id, list.keys, list.bytes, nowMs);
  }
  store.release(holder);
  return facts;
}
