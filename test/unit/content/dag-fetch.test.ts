import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import type { BlockExchange } from '../../../src/content/block-exchange.ts';
import { createBlockFiles } from '../../../src/content/block-files.ts';
import { createBlockStore } from '../../../src/content/block-store.ts';
import { blockKey, dagPbCode, rawCode } from '../../../src/content/cid-text.ts';
import { type ContentDb, openContentDb } from '../../../src/content/content-db.ts';
import { listDag } from '../../../src/content/dag.ts';
import { fetchDag } from '../../../src/content/dag-fetch.ts';
import { createLanes } from '../../../src/content/lanes.ts';

let dir: string;
let db: ContentDb;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-dag-'));
  db = openContentDb(dir);
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

async function cidOf(bytes: Uint8Array, code: number): Promise<CID> {
  return CID.createV1(code, await sha256.digest(bytes));
}

/** A root with so many raw leaves, as blocks by key. */
async function makeDag(leaves: number) {
  const blocks = new Map<string, Uint8Array>();
  const links = [];
  const cids: CID[] = [];
  for (let i = 0; i < leaves; i++) {
    const bytes = Buffer.alloc(100, i);
    const cid = await cidOf(bytes, rawCode);
    blocks.set(blockKey(cid), bytes);
    cids.push(cid);
    links.push({ Hash: cid, Name: '', Tsize: 100 });
  }
  const rootBytes = encode({ Data: new Uint8Array([8, 2]), Links: links });
  const root = await cidOf(rootBytes, dagPbCode);
  blocks.set(blockKey(root), rootBytes);
  return { blocks, root, cids };
}

function openStore() {
  const files = createBlockFiles({ lanes: createLanes(2) }, { dir });
  const deps = { db, files, monoMs: () => 0, diskFree: () => 1e9 };
  return createBlockStore(deps, { reserveBytes: 0 });
}

type Fetch = (cid: CID) => Promise<Uint8Array>;
function exchangeOf(fetch: Fetch): BlockExchange {
  const unused = (): never => {
    throw new Error('not used here');
  };
  const handlers = { onBlock: unused, onPresence: unused, onLink: unused };
  return {
    fetch: (_session, cid, { signal }) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        fetch(cid).then(resolve, reject);
      }),
    lookup: unused,
    setProviders: unused,
    load: () => 0,
    stop: unused,
    handlers,
  };
}

const options = (stallMs = 10_000) => ({
  holder: 1,
  session: { peers: new Set<string>() },
  stallMs,
  signal: new AbortController().signal,
  onProgress: () => undefined,
});

test('a failure among many blocks that arrive in the same turn is never lost', async () => {
  const { blocks, root, cids } = await makeDag(60);
  for (const bad of [0, 1, 30, 59]) {
    const badKey = blockKey(cids[bad] ?? root);
    const { promise: together, resolve } = Promise.withResolvers<void>();
    const exchange = exchangeOf(async (cid) => {
      if (cid.equals(root)) return blocks.get(blockKey(cid)) ?? new Uint8Array();
      setImmediate(resolve);
      await together;
      if (blockKey(cid) === badKey) throw new AgentError('unavailable', 'gone');
      return blocks.get(blockKey(cid)) ?? new Uint8Array();
    });
    const fetching = fetchDag({ store: openStore(), exchange }, root, options());
    await expect(fetching).rejects.toMatchObject({ code: 'unavailable' });
    db.sql.exec('DELETE FROM holds; DELETE FROM blocks');
  }
});

test('the whole DAG is durable and in order afterwards, with each block fetched once', async () => {
  const { blocks, root, cids } = await makeDag(300);
  const fetched: string[] = [];
  const store = openStore();
  const exchange = exchangeOf(async (cid) => {
    fetched.push(blockKey(cid));
    return blocks.get(blockKey(cid)) ?? new Uint8Array();
  });
  const unique = new Set(cids.map(blockKey));
  await fetchDag({ store, exchange }, root, options());
  expect(fetched).toHaveLength(unique.size + 1);
  const { keys } = await listDag(root, store);
  expect(keys).toEqual([blockKey(root), ...unique]);
  expect(db.sql.prepare('SELECT count(*) AS n FROM blocks').get()).toEqual({ n: keys.length });
  await fetchDag({ store, exchange }, root, options());
  expect(fetched).toHaveLength(unique.size + 1);
});

test('the time limit counts from the last progress', async () => {
  const { blocks, root } = await makeDag(8);
  const late: (() => void)[] = [];
  const exchange = exchangeOf(async (cid) => {
    if (!cid.equals(root)) await new Promise<void>((resolve) => late.push(resolve));
    return blocks.get(blockKey(cid)) ?? new Uint8Array();
  });
  const fetching = fetchDag({ store: openStore(), exchange }, root, options(60)).catch(
    (thrown: unknown) => thrown,
  );
  const release = setInterval(() => {
    if (late.length > 1) late.shift()?.();
  }, 20);
  expect(await fetching).toMatchObject({ code: 'timeout' });
  expect(late).toHaveLength(1); // all but the one that never came had time enough
  clearInterval(release);
  late[0]?.();
});
