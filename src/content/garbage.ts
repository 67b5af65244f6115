/**
 * Deleting blocks of no pin. A block goes only if no pin lists it, no pin or add in progress holds
 * it, and nothing is writing it at that very moment; its row goes first, so a crash leaves a file
 * that nobody trusts, never a row without a file. Files without a row are leftovers and go as well.
 */
import type { BlockFiles } from './block-files.ts';
import type { BlockStore } from './block-store.ts';
import type { BlockKey } from './cid-text.ts';
import type { PinTable } from './pin-table.ts';

const batchMax = 256;

export interface Collected {
  readonly blocks: number;
  readonly bytes: number;
}

export interface GarbageDeps {
  readonly table: PinTable;
  readonly store: BlockStore;
  readonly files: BlockFiles;
}

export async function collectGarbage({ table, store, files }: GarbageDeps): Promise<Collected> {
  let [blocks, bytes] = [0, 0];
  const isGarbage = (key: BlockKey): boolean => !store.busy(key) && !table.refers(key);

  async function removeBatch(batch: readonly BlockKey[]): Promise<void> {
    // Between the look at the folder and now a pin may have taken a block: ask again.
    const keys = batch.filter(isGarbage);
    for (const key of keys) bytes += store.bytesOf(key) ?? 0;
    blocks += keys.length;
    await store.remove(keys);
  }

  let batch: BlockKey[] = [];
  for await (const key of files.keys()) {
    if (!isGarbage(key)) continue;
    batch.push(key);
    if (batch.length < batchMax) continue;
    await removeBatch(batch);
    batch = [];
  }
  await removeBatch(batch);
  return { blocks, bytes };
}

/** Gives up the blocks that only this holder wanted, at once: a refused add leaves no trace. */
export async function discardHolder(
  { table, store }: Pick<GarbageDeps, 'table' | 'store'>,
  holder: number,
): Promise<void> {
  await store.settle(holder);
  const keys = table.heldOnlyBy(holder);
  store.release(holder);
  for (let from = 0; from < keys.length; from += batchMax) {
    const batch = keys.slice(from, from + batchMax);
    await store.remove(batch.filter((key) => !store.busy(key) && !table.refers(key)));
  }
}
