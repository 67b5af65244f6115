/**
 * Every byte of every file changed, and every file cut to every length. What may happen: nothing
 * is lost, or the store refuses and names the file, or (only where nothing durable tells of the
 * last batch) the last batch is cut, counted and shown. A vote is never forgotten.
 */
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import type { LogStore } from '../../../src/store/api.ts';
import { openLogStore } from '../../../src/store/log-store.ts';
import { clusterId, entries, epoch, hardState, identity, job, metaAt } from './log-fixture.ts';
import { MemoryDisk } from './memory-disk.ts';

const lastBatchEntries = 3;
const processes = {
  self: () => ({ pid: 1, started: '1', boot: '1' }),
  alive: () => false,
};

function openOn(disk: MemoryDisk): Promise<LogStore> {
  const options = { dir: 'log', clusterId, epoch, identity, segmentBytes: 640 };
  return openLogStore({ ...options, disk, processes });
}

interface Image {
  readonly files: Map<string, Buffer>;
  readonly store: LogStore;
}

/** Several segments and batches, a cut, a compaction, a vote; `closed` marks the durable end. */
async function image(closed: boolean): Promise<Image> {
  const disk = new MemoryDisk();
  const store = await openOn(disk);
  const first = entries(1, 12, { bytes: 8 });
  const at = first[7];
  if (!at) throw new Error('no entry 8');
  await store.persist([job({ hardState: hardState(1, 'one'), append: first.slice(0, 2) })]);
  for (const entry of first.slice(2)) await store.persist([job({ append: [entry] })]);
  await store.compact(metaAt(at));
  const second = entries(11, 24, { previous: first[9]?.hash ?? '', term: 2, bytes: 8 });
  await store.persist([
    job({ hardState: hardState(2, 'two'), cutBackTo: 10, append: second.slice(0, 4) }),
  ]);
  await store.persist([job({ append: second.slice(4, 7) })]);
  await store.persist([job({ append: second.slice(7, 9) })]);
  await store.persist([job({ append: second.slice(9, 11) })]);
  await store.persist([job({ append: second.slice(11, 11 + lastBatchEntries) })]);
  // Without closing, what is left is what a power loss leaves: the end mark is old.
  const lost = { chance: () => false, int: () => 0 } as unknown as Parameters<
    MemoryDisk['afterCrash']
  >[0];
  if (closed) await store.close();
  const files = (closed ? disk : disk.afterCrash(lost)).files();
  files.delete('lock.1');
  return { files, store: await openOn(MemoryDisk.of(files)) };
}

type Finding = 'same' | 'noted' | 'refused' | 'cut';

/** Opens the changed files and checks that whatever happens is allowed and is told. */
async function open(whole: Image, name: string, bytes: Buffer, what: string): Promise<Finding> {
  const files = new Map(whole.files).set(name, bytes);
  const expected = whole.store.restored;
  let found: LogStore;
  try {
    found = await openOn(MemoryDisk.of(files));
  } catch (thrown) {
    const { code, message } = thrown as AgentError;
    expect(thrown, what).toBeInstanceOf(AgentError);
    expect({ what, code }).toEqual({ what, code: 'damaged' });
    expect(message, what).toMatch(/segment-\d+\.log|\.a/);
    expect(message, what).toMatch(/offset \d+|missing/);
    return 'refused';
  }
  const { report, restored } = found;
  expect(restored.hardState, what).toEqual(expected.hardState);
  expect(restored.snapshot, what).toEqual(expected.snapshot);
  const missing = expected.entries.length - restored.entries.length;
  expect(restored.entries, what).toEqual(expected.entries.slice(0, restored.entries.length));
  expect([0, lastBatchEntries], what).toContain(missing);
  if (missing > 0) {
    expect(report.tornBytes, what).toBeGreaterThan(0);
    // A changed length field can hide how many entries there were, but never that some were.
    expect(report.notes.join(), what).toContain('was torn');
    return 'cut';
  }
  return report.notes.length > 0 ? 'noted' : 'same';
}

async function everyByte(whole: Image): Promise<Map<string, Record<Finding, number>>> {
  const seen = new Map<string, Record<Finding, number>>();
  for (const [name, bytes] of whole.files) {
    const counts = { same: 0, noted: 0, refused: 0, cut: 0 };
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      const flip = 1 << (at % 8);
      changed[at] = (changed[at] ?? 0) ^ flip;
      counts[await open(whole, name, changed, `${name} byte ${at} ^ ${flip}`)] += 1;
    }
    seen.set(name, counts);
  }
  return seen;
}

async function everyLength(whole: Image): Promise<Map<string, Record<Finding, number>>> {
  const seen = new Map<string, Record<Finding, number>>();
  for (const [name, bytes] of whole.files) {
    const counts = { same: 0, noted: 0, refused: 0, cut: 0 };
    for (let length = 0; length < bytes.length; length++)
      counts[await open(whole, name, bytes.subarray(0, length), `${name} cut to ${length}`)] += 1;
    seen.set(name, counts);
  }
  return seen;
}

describe.each([
  ['after a clean close', true],
  ['after a power loss', false],
])('%s', (_name, closed) => {
  test('every byte of every file changed', { timeout: 120_000 }, async () => {
    const whole = await image(closed);
    const seen = await everyByte(whole);
    const segments = [...seen].filter(([name]) => name.startsWith('segment'));
    expect(segments.length).toBeGreaterThan(2);
    for (const [name, counts] of seen) {
      expect(counts.same, `${name}: a change that nothing tells of`).toBe(0);
      if (closed) expect(counts.cut, name).toBe(0);
      if (!name.startsWith('segment')) expect(counts.refused, name).toBe(0);
    }
    const cut = segments.reduce((sum, [, counts]) => sum + counts.cut, 0);
    if (!closed) expect(cut).toBeGreaterThan(80);
  });

  test('every file cut to every length', { timeout: 120_000 }, async () => {
    const seen = await everyLength(await image(closed));
    for (const [name, counts] of seen) {
      expect(counts.same, name).toBe(0);
      const segment = name.startsWith('segment');
      expect(counts[segment ? 'noted' : 'refused'], name).toBe(0);
      expect(counts.cut, name).toBe(0);
    }
  });
});

test('both copies bad: refused, naming them; one bad: mended and the same', async () => {
  const whole = await image(true);
  for (const name of ['hard-state', 'start', 'header']) {
    const good = whole.files.get(`${name}.a`) ?? Buffer.alloc(0);
    for (const at of [0, 9, 40, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x40;
      const files = new Map(whole.files).set(`${name}.a`, bad);
      const disk = MemoryDisk.of(files);
      const mended = await openOn(disk);
      expect(mended.report.hardStateMended).toBe(name === 'hard-state');
      expect(mended.report.notes.join()).toContain(`${name}.a is damaged`);
      await mended.close();
      expect((await openOn(disk)).report.notes).toEqual([]);
      files.set(`${name}.b`, Buffer.alloc(0));
      await expect(openOn(MemoryDisk.of(files))).rejects.toMatchObject({
        code: 'damaged',
        message: expect.stringContaining(`${name}.a/.b`),
      });
    }
    const files = new Map(whole.files);
    files.delete(`${name}.a`);
    files.delete(`${name}.b`);
    await expect(openOn(MemoryDisk.of(files))).rejects.toMatchObject({ code: 'damaged' });
  }
});

test('a whole file missing is mended or refused, never passed over', async () => {
  const whole = await image(false);
  for (const name of whole.files.keys()) {
    const files = new Map(whole.files);
    files.delete(name);
    const opened = openOn(MemoryDisk.of(files));
    if (name.startsWith('segment'))
      await expect(opened, name).rejects.toMatchObject({ code: 'damaged' });
    else {
      const { restored, report } = await opened;
      expect(restored).toEqual(whole.store.restored);
      expect(report.notes.join()).toContain('missing');
    }
  }
});
