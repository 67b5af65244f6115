/**
 * Blocks in and out as CAR files, the format that every IPFS program reads. Out go the pins that
 * are whole here, each block once; what comes in is believed only block by block, after hashing,
 * and a pin only when all of its blocks came.
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

/** The CAR of these pins, in order; throws when a block is not here. */
export async function* writeCar(
  store: BlockStore,
  cids: readonly CidText[],
): AsyncGenerator<Uint8Array> {
  const roots = cids.map((cid) => parseCid(cid, 'cid'));
  const { writer, out } = CarWriter.create(roots);
  const fill = async (): Promise<void> => {
    try {
      const seen = new Set<BlockKey>();
      for (const root of roots) await putDag(store, root, seen, writer);
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

async function putDag(
  store: BlockStore,
  root: CID,
  seen: Set<BlockKey>,
  writer: Pick<CarWriter, 'put'>,
): Promise<void> {
  const stack: CID[] = [root];
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const key = blockKey(cid);
    if (seen.has(key)) continue;
    seen.add(key);
    const bytes = await store.get(key);
    await writer.put({ cid, bytes });
    for (const link of linksOf(cid, bytes).reverse()) stack.push(link.cid);
  }
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
