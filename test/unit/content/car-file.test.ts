import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CarWriter } from '@ipld/car/writer';
import { decode as decodePb, encode as encodePb, prepare } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCar, writeCar } from '../../../src/content/car-file.ts';
import { blockKey, cidText } from '../../../src/content/cid-text.ts';
import { importBlocks, openStorage } from '../../../src/content/content-storage.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-car-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Block {
  readonly cid: CID;
  readonly bytes: Uint8Array;
}

async function raw(text: string): Promise<Block> {
  const bytes = Buffer.from(text);
  return { cid: CID.createV1(0x55, await sha256.digest(bytes)), bytes };
}

/** A root that links to two leaves, one of them twice. */
async function tree(): Promise<Block[]> {
  const leaves = [await raw('one'), await raw('two')];
  const links = [...leaves, leaves[0] as Block].map(({ cid }) => ({ Hash: cid, Name: '' }));
  const bytes = encodePb(prepare({ Data: new Uint8Array([8, 1]), Links: links }));
  return [{ cid: CID.createV1(0x70, await sha256.digest(bytes)), bytes }, ...leaves];
}

async function* car(roots: readonly Block[], blocks: readonly Block[]): AsyncGenerator<Uint8Array> {
  const { writer, out } = CarWriter.create(roots.map(({ cid }) => cid));
  const filled = (async () => {
    for (const block of blocks) await writer.put(block);
    await writer.close();
  })();
  yield* out;
  await filled;
}

const ignore = async (): Promise<void> => undefined;

test('blocks come back whole, pinned, and go out again the same', async () => {
  const [root, ...leaves] = (await tree()) as [Block, ...Block[]];
  const facts = await importBlocks(dir, car([root], [root, ...leaves]), 5);
  expect(facts).toEqual({
    roots: [cidText(root.cid)],
    blocks: 3,
    bytes: root.bytes.length + 6,
  });
  const { db, store, table } = openStorage({}, { dir });
  try {
    expect(table.all()).toMatchObject([{ cid: cidText(root.cid), state: 'pinned', blocks: 3 }]);
    const kept = new Map<string, Uint8Array>();
    const again = await readCar(writeCar(store, facts.roots), async (key, bytes) => {
      kept.set(key, bytes);
    });
    expect(again).toEqual(facts);
    expect(decodePb(kept.get(blockKey(root.cid)) ?? new Uint8Array(0)).Links).toHaveLength(3);
  } finally {
    db.close();
  }
});

test('a block with other bytes, a missing one and a cut file are damage', async () => {
  const [root, one, two] = (await tree()) as [Block, Block, Block];
  const lie = { cid: two.cid, bytes: Buffer.from('2wo') };
  await expect(readCar(car([root], [root, one, lie]), ignore)).rejects.toMatchObject({
    code: 'damaged',
  });
  await expect(readCar(car([root], [root, one]), ignore)).rejects.toThrow(/is missing/);
  await expect(readCar(car([root], []), ignore)).rejects.toThrow(/is missing/);
  async function* cut(): AsyncGenerator<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const part of car([root], [root, one, two])) parts.push(part);
    yield Buffer.concat(parts).subarray(0, -2);
  }
  await expect(readCar(cut(), ignore)).rejects.toMatchObject({ code: 'damaged' });
});

test('a pin that is not whole is told, not left out', async () => {
  const [root, one] = (await tree()) as [Block, Block];
  const { db, store } = openStorage({}, { dir });
  try {
    await store.put(-1, blockKey(root.cid), root.bytes);
    await store.put(-1, blockKey(one.cid), one.bytes);
    await store.flush(-1);
    const read = readCar(writeCar(store, [cidText(root.cid)]), ignore);
    await expect(read).rejects.toMatchObject({ code: 'not-found' });
  } finally {
    db.close();
  }
});
