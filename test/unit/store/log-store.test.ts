import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readStoreHeader } from '../../../src/store/log-store.ts';
import {
  clusterId,
  entries,
  epoch,
  hardState,
  identity,
  job,
  metaAt,
  openAt,
  withFolder,
} from './log-fixture.ts';

const indexes = (list: readonly { index: number }[]) => list.map((entry) => entry.index);

describe('a log', () => {
  test('gives back what was persisted', () =>
    withFolder(async (dir) => {
      const first = await openAt(dir);
      expect(first.restored).toEqual({
        hardState: { term: 0, vote: null, leaseMsLongest: 0, fence: 0 },
        snapshot: null,
        entries: [],
      });
      const all = entries(1, 20);
      await first.persist([job({ hardState: hardState(3, 'someone'), append: all.slice(0, 5) })]);
      await first.persist([job({ append: all.slice(5, 12) }), job({ append: all.slice(12) })]);
      await first.close();
      const second = await openAt(dir, { mustExist: true });
      expect(second.restored.entries).toEqual(all);
      expect(second.restored.hardState).toEqual(hardState(3, 'someone'));
      expect(second.report).toEqual({
        tornBytes: 0,
        tornEntries: 0,
        hardStateMended: false,
        notes: [],
      });
      await second.close();
    }));

  test('cuts back and goes on with other entries', () =>
    withFolder(async (dir) => {
      const first = await openAt(dir);
      const old = entries(1, 10);
      await first.persist([job({ append: old })]);
      const fresh = entries(5, 8, { previous: old[3]?.hash ?? '', term: 2 });
      await first.persist([job({ hardState: hardState(2), cutBackTo: 4, append: fresh })]);
      await first.close();
      const second = await openAt(dir);
      expect(second.restored.entries).toEqual([...old.slice(0, 4), ...fresh]);
      await second.close();
    }));

  test('rolls segments, and compaction removes whole ones', () =>
    withFolder(async (dir) => {
      const options = { segmentBytes: 2048 };
      const first = await openAt(dir, options);
      const all = entries(1, 100);
      for (const entry of all.slice(0, 90)) await first.persist([job({ append: [entry] })]);
      const before = first.stats().segments;
      expect(before).toBeGreaterThan(5);
      const at = all[59];
      if (!at) throw new Error('no entry 60');
      await first.compact(metaAt(at));
      expect(first.stats().segments).toBeLessThan(before / 2);
      await first.close();
      const second = await openAt(dir, options);
      expect(second.restored.snapshot).toEqual(metaAt(at));
      expect(indexes(second.restored.entries)).toEqual(indexes(all.slice(60, 90)));
      await second.persist([job({ append: all.slice(90) })].map((j) => ({ ...j, id: 1 })));
      await second.close();
      const third = await openAt(dir, options);
      expect(third.restored.entries).toEqual(all.slice(60));
      expect(third.report.notes).toEqual([]);
      await third.close();
    }));

  test('is replaced by an installed snapshot', () =>
    withFolder(async (dir) => {
      const options = { segmentBytes: 2048 };
      const first = await openAt(dir, options);
      for (const entry of entries(1, 50)) await first.persist([job({ append: [entry] })]);
      const far = entries(1, 210, { term: 4 });
      const at = far[199];
      if (!at) throw new Error('no entry 200');
      const installSnapshot = { meta: metaAt(at), ref: 'snapshot' };
      await first.persist([job({ installSnapshot, append: far.slice(200) })]);
      expect(first.stats().segments).toBeLessThanOrEqual(2);
      await first.close();
      const second = await openAt(dir, options);
      expect(second.restored.snapshot).toEqual(metaAt(at));
      expect(second.restored.entries).toEqual(far.slice(200));
      await second.close();
    }));

  test('takes entries larger than a segment', () =>
    withFolder(async (dir) => {
      const first = await openAt(dir, { segmentBytes: 4096 });
      const all = entries(1, 3, { bytes: 10_000 });
      await first.persist([job({ append: all })]);
      await first.close();
      const second = await openAt(dir);
      expect(second.restored.entries).toEqual(all);
      await second.close();
    }));

  test('puts calls that wait into one batch, in order', () =>
    withFolder(async (dir) => {
      const store = await openAt(dir);
      const all = entries(1, 300);
      await Promise.all(all.map((entry) => store.persist([job({ append: [entry] })])));
      await store.close();
      const again = await openAt(dir);
      expect(again.restored.entries).toEqual(all);
      await again.close();
    }));
});

describe('refusals', () => {
  test('a second store on the folder, until the first is closed', () =>
    withFolder(async (dir) => {
      const store = await openAt(dir);
      await expect(openAt(dir)).rejects.toMatchObject({ code: 'already-running' });
      await store.close();
      await (await openAt(dir)).close();
    }));

  test('a lock whose owner is gone is taken over and noted', () =>
    withFolder(async (dir) => {
      await (await openAt(dir)).close();
      const owner = { pid: process.pid, started: 'another time', boot: 'this boot' };
      await writeFile(join(dir, 'log', 'lock.3'), JSON.stringify(owner));
      const store = await openAt(dir);
      expect(store.report.notes.join()).toContain(`pid ${process.pid}`);
      await store.close();
    }));

  test('the log of another identity, cluster or epoch, naming both', () =>
    withFolder(async (dir) => {
      await (await openAt(dir)).close();
      expect(await readStoreHeader(join(dir, 'log'))).toEqual({
        format: 1,
        clusterId,
        epoch,
        identity,
      });
      const other = openAt(dir, { identity: 'somebody-else' });
      await expect(other).rejects.toMatchObject({ code: 'damaged' });
      await expect(other).rejects.toThrow(new RegExp(`${identity}.*somebody-else`));
      await expect(openAt(dir, { clusterId: 'other' })).rejects.toMatchObject({
        code: 'cluster-mismatch',
      });
      await expect(openAt(dir, { epoch: 'other' })).rejects.toMatchObject({
        code: 'epoch-mismatch',
      });
    }));

  test('an identity without its log', () =>
    withFolder(async (dir) => {
      await expect(openAt(dir, { mustExist: true })).rejects.toMatchObject({ code: 'damaged' });
    }));

  test('jobs that do not go on from what is stored; the store then takes nothing more', () =>
    withFolder(async (dir) => {
      const store = await openAt(dir);
      await expect(store.persist([job({ append: entries(2, 3) })])).rejects.toThrow('entry 2');
      await expect(store.persist([job({ append: entries(1, 3) })])).rejects.toThrow('entry 2');
      await store.close();
      const again = await openAt(dir);
      expect(again.restored.entries).toEqual([]);
      await again.close();
    }));
});
