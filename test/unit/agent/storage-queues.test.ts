import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createStorageQueues } from '../../../src/agent/storage-queues.ts';
import type { PersistJob, SnapshotMeta } from '../../../src/consensus/api.ts';
import type { CatalogStore, LogStore } from '../../../src/store/api.ts';
import type { Entry } from '../../../src/wire/entry.ts';

const entry = (index: number): Entry => ({
  index,
  term: 1,
  kind: 'command',
  data: new Uint8Array(0),
  hash: '0'.repeat(64),
});
const job = (id: number, ...indices: number[]): PersistJob => ({
  id,
  hardState: null,
  cutBackTo: null,
  append: indices.map(entry),
  installSnapshot: null,
});
const meta = { index: 10 } as unknown as SnapshotMeta;

/** Stores whose work the test completes by hand, and the order of everything that happened. */
function setUp() {
  const happened: string[] = [];
  const open: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let durable = 0;
  const work = (what: string): Promise<void> => {
    happened.push(what);
    return new Promise((resolve, reject) => open.push({ resolve, reject }));
  };
  const log = {
    lastIndex: () => durable,
    persist: async (jobs: readonly PersistJob[]) => {
      await work(`persist ${jobs.map(({ id }) => id).join(',')}`);
      durable =
        jobs.at(-1)?.append.at(-1)?.index ?? jobs[0]?.installSnapshot?.meta.index ?? durable;
    },
    compact: async () => work('compact'),
  } as unknown as LogStore;
  const catalog = {
    apply: async (entries: readonly Entry[]) => {
      await work(`apply ${entries.map(({ index }) => index).join(',')}`);
      return entries.map(({ index }) => ({ index, result: new Uint8Array(0) }));
    },
    install: async (ref: string) => {
      await work(`install ${ref}`);
      return 10;
    },
  } as unknown as CatalogStore;
  const queues = createStorageQueues({
    log,
    catalog,
    onInstalled: (ref) => happened.push(`installed ${ref}`),
    onCompacted: (index) => happened.push(`compacted ${index}`),
  });
  queues.onPersisted((id) => happened.push(`persisted ${id}`));
  queues.onApplied((index) => happened.push(`applied ${index}`));
  queues.onFailed((detail) => happened.push(`failed ${detail}`));
  const finish = async (error?: Error): Promise<void> => {
    const next = open.shift();
    if (error) next?.reject(error);
    else next?.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { queues, happened, finish };
}

describe('storage queues', () => {
  test('what gathers during one write is the next batch, with one completion each', async () => {
    const { queues, happened, finish } = setUp();
    queues.persist(job(1, 1));
    queues.persist(job(2, 2));
    queues.persist(job(3, 3));
    await finish();
    await finish();
    expect(happened).toEqual([
      'persist 1',
      'persisted 1',
      'persist 2,3',
      'persisted 2',
      'persisted 3',
    ]);
    await queues.idle();
  });

  test('nothing is applied before it is durable in the own log', async () => {
    const { queues, happened, finish } = setUp();
    queues.apply([entry(1), entry(2)], true);
    queues.persist(job(1, 1));
    expect(happened).toEqual(['persist 1']);
    await finish();
    expect(happened.slice(1)).toEqual(['persisted 1', 'apply 1']);
    await finish();
    queues.persist(job(2, 2));
    await finish();
    await finish();
    expect(happened.slice(3)).toEqual([
      'applied 1',
      'persist 2',
      'persisted 2',
      'apply 2',
      'applied 2',
    ]);
    await queues.idle();
  });

  test('a snapshot waits for the running apply, and goes to the catalog before the log', async () => {
    const { queues, happened, finish } = setUp();
    queues.persist(job(1, 1));
    await finish();
    queues.apply([entry(1)], true);
    queues.persist({ ...job(2), installSnapshot: { meta, ref: 'file' } });
    queues.persist(job(3, 11));
    expect(happened.slice(2)).toEqual(['apply 1']);
    for (let i = 0; i < 4; i++) await finish();
    expect(happened.slice(2)).toEqual([
      'apply 1',
      'applied 1',
      'install file',
      'persist 2',
      'installed file',
      'persisted 2',
      'persist 3',
      'persisted 3',
    ]);
  });

  describe('what nobody waits for gathers before it is applied', () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    /** Two entries are durable, the first is handed over without haste. */
    async function gathering() {
      const bench = setUp();
      bench.queues.persist(job(1, 1, 2));
      await bench.finish();
      bench.happened.length = 0;
      bench.queues.apply([entry(1)], false);
      return bench;
    }

    test('for a while', async () => {
      const { queues, happened, finish } = await gathering();
      queues.apply([entry(2)], false);
      vi.advanceTimersByTime(9);
      expect(happened).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(happened).toEqual(['apply 1,2']);
      await finish();
      await queues.idle();
    });

    test('until somebody waits', async () => {
      const { queues, happened, finish } = await gathering();
      queues.apply([], true);
      expect(happened).toEqual(['apply 1']);
      await finish();
      vi.advanceTimersByTime(100);
      expect(happened).toEqual(['apply 1', 'applied 1']);
      await queues.idle();
    });

    test('until a snapshot or the end needs it done', async () => {
      const { queues, happened, finish } = await gathering();
      queues.persist({ ...job(2), installSnapshot: { meta, ref: 'file' } });
      expect(happened).toEqual(['apply 1']);
      for (let i = 0; i < 3; i++) await finish();
      expect(happened.slice(1, 3)).toEqual(['applied 1', 'install file']);
      const other = await gathering();
      const idle = other.queues.idle();
      expect(other.happened).toEqual(['apply 1']);
      await other.finish();
      await idle;
    });
  });

  test('after a failed write nothing more is written, and it is told once', async () => {
    const { queues, happened, finish } = setUp();
    queues.persist(job(1, 1));
    queues.persist(job(2, 2));
    await finish(new Error('disk'));
    queues.persist(job(3, 3));
    queues.apply([entry(1)], true);
    expect(happened).toEqual(['persist 1', 'failed the log could not be written: disk']);
    expect(queues.failure()).toContain('disk');
    await queues.idle();
  });

  test('one compaction at a time', async () => {
    const { queues, happened, finish } = setUp();
    queues.compact(meta);
    queues.compact(meta);
    await finish();
    expect(happened).toEqual(['compact', 'compacted 10']);
    await queues.idle();
  });
});
