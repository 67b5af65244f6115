import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BlockFiles, createBlockFiles } from '../../../src/content/block-files.ts';
import { createBlockStore } from '../../../src/content/block-store.ts';
import { type ContentDb, openContentDb } from '../../../src/content/content-db.ts';
import { collectGarbage, discardHolder } from '../../../src/content/garbage.ts';
import { createLanes } from '../../../src/content/lanes.ts';
import { createPinTable } from '../../../src/content/pin-table.ts';

const block = (n: number, bytes = 1000): Uint8Array => new Uint8Array(bytes).fill(n);
const key = (n: number): string => `BCIQTEST${n}A`;

let dir: string;
let db: ContentDb;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-blocks-'));
  db = openContentDb(dir);
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

function openStore(options: { free?: number; wrap?: (files: BlockFiles) => BlockFiles } = {}) {
  const made = createBlockFiles({ lanes: createLanes(2) }, { dir });
  const files = options.wrap?.(made) ?? made;
  const diskFree = () => options.free ?? 1e9;
  const store = createBlockStore({ db, files, monoMs: () => 0, diskFree }, { reserveBytes: 5000 });
  return { store, files, table: createPinTable(db) };
}

function failing(code: string): (files: BlockFiles) => BlockFiles {
  return (files) => ({
    ...files,
    write: async () => {
      throw Object.assign(new Error(`${code}: write`), { code });
    },
  });
}

describe('a block', () => {
  test('can be read before it is on disk and after; its record comes with the flush', async () => {
    const { store } = openStore();
    const putting = store.put(1, key(1), block(1));
    expect(await store.get(key(1))).toEqual(block(1));
    await putting;
    expect(db.sql.prepare('SELECT count(*) AS n FROM blocks').get()).toEqual({ n: 0 });
    await store.flush(1);
    expect(db.sql.prepare('SELECT count(*) AS n FROM blocks').get()).toEqual({ n: 1 });
    expect(await store.get(key(1))).toEqual(block(1));
    expect(store.totals()).toEqual({ blocks: 1, bytes: 1000 });
  });

  test('folders are synced before the record is written', async () => {
    const order: string[] = [];
    const { store } = openStore({
      wrap: (files) => ({
        ...files,
        syncFolders: async () => {
          await files.syncFolders();
          const { n } = db.sql.prepare('SELECT count(*) AS n FROM blocks').get() as { n: number };
          order.push(`synced at ${n} records`);
        },
      }),
    });
    await store.put(1, key(1), block(1));
    await store.flush(1);
    expect(order).toEqual(['synced at 0 records']);
  });

  test('that is missing is not found', async () => {
    await expect(openStore().store.get(key(9))).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('a disk that fails', () => {
  test.each(['ENOSPC', 'EDQUOT'])('%s becomes disk-full and nothing stays', async (code) => {
    const { store } = openStore({ wrap: failing(code) });
    const work = store.put(-1, key(1), block(1)).then(() => store.flush(-1));
    await expect(work).rejects.toMatchObject({ code: 'disk-full' });
    expect(store.has(key(1))).toBe(false);
    expect(store.totals().blocks).toBe(0);
  });

  test('another error fails the flush of the holder that wrote, and of no other', async () => {
    const { store } = openStore({ wrap: failing('EIO') });
    const work = store.put(-1, key(1), block(1)).then(() => store.flush(-1));
    await expect(work).rejects.toThrow('EIO');
    await store.flush(-2);
  });

  test('the reserve is refused before anything is written', async () => {
    const { store } = openStore({ free: 5999 });
    await expect(store.put(1, key(1), block(1))).rejects.toMatchObject({
      code: 'disk-full',
      message: '1000 bytes do not fit: 5999 bytes free, 5000 bytes reserved',
    });
    await store.put(1, key(2), block(2, 900));
  });
});

describe('collection', () => {
  test('keeps what is held, in memory or on disk, listed, or being written', async () => {
    const { store, files, table } = openStore();
    await store.put(11, key(1), block(1)); // held by a pin in progress
    await store.put(2, key(2), block(2)); // will be listed by a pin
    await store.put(3, key(3), block(3)); // released: garbage
    await store.flush(3);
    const [pin] = table.ensure(['cid'], 0);
    await table.complete(pin?.id ?? 0, [key(2)], 1000, 0);
    store.release(2);
    store.release(3);
    await store.put(4, key(4), block(4)); // not flushed yet
    expect(await collectGarbage({ table, store, files })).toEqual({ blocks: 1, bytes: 1000 });
    await store.flush(4);
    expect([1, 2, 3, 4].map((n) => store.has(key(n)))).toEqual([true, true, false, true]);
  });

  test('a block that is put again while it is deleted is there afterwards', async () => {
    const { store, files, table } = openStore();
    await store.put(1, key(1), block(1));
    await store.flush(1);
    store.release(1);
    const collecting = collectGarbage({ table, store, files });
    const again = (async () => {
      for (let i = 0; i < 50; i++) await store.put(2, key(1), block(1));
    })();
    await Promise.all([collecting, again]);
    await store.put(2, key(1), block(1));
    await store.flush(2);
    expect(await store.get(key(1))).toEqual(block(1));
  });

  test('a discarded holder takes only what nobody else holds', async () => {
    const { store, table } = openStore();
    await store.put(-1, key(1), block(1));
    await store.put(-1, key(2), block(2));
    await store.put(7, key(2), block(2));
    await store.flush(-1);
    await discardHolder({ table, store }, -1);
    expect([store.has(key(1)), store.has(key(2))]).toEqual([false, true]);
  });

  test('a forgotten block keeps its place in the lists of pins', async () => {
    const { store, table } = openStore();
    await store.put(1, key(1), block(1));
    await store.flush(1);
    const [pin] = table.ensure(['cid'], 0);
    const id = pin?.id ?? 0;
    await table.complete(id, [key(1)], 1000, 0);
    await store.forget(key(1));
    expect(store.has(key(1))).toBe(false);
    expect(table.requeueUsers(key(1), 5, 'lost')).toMatchObject([{ cid: 'cid', state: 'queued' }]);
    await store.put(1, key(1), block(1));
    await store.flush(1);
    expect(table.blockAt(id, 0)).toBe(key(1));
    expect(store.totals()).toEqual({ blocks: 1, bytes: 1000 });
  });
});
