/**
 * The power goes at every single operation of the disk, during work and again during recovery.
 * Whatever of the unsynced writes is left, the store opens again, has everything that was
 * acknowledged, and of the job that was under way all or nothing. Also a disk that gets full.
 */
import { expect, test } from 'vitest';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { HardState, PersistJob } from '../../src/consensus/api.ts';
import type { LogStore } from '../../src/store/api.ts';
import { openLogStore } from '../../src/store/log-store.ts';
import { chainStart, type Entry } from '../../src/wire/entry.ts';
import {
  clusterId,
  entries,
  epoch,
  hardState,
  identity,
  job,
  metaAt,
} from '../unit/store/log-fixture.ts';
import { MemoryDisk } from '../unit/store/memory-disk.ts';

const processes = { self: () => ({ pid: 1, started: '1', boot: '1' }), alive: () => false };

const openOn = (disk: MemoryDisk): Promise<LogStore> =>
  openLogStore({ dir: 'log', clusterId, epoch, identity, segmentBytes: 1500, disk, processes });

/** What the store holds: hard state, start, and every entry that ever was at its place. */
interface Model {
  readonly hardState: HardState;
  readonly start: Entry | null;
  readonly all: readonly Entry[];
}

type Step =
  | { readonly type: 'persist'; readonly jobs: readonly PersistJob[]; readonly after: Model }
  | { readonly type: 'compact'; readonly after: Model };

const empty: Model = {
  hardState: { term: 0, vote: null, leaseMsLongest: 0, fence: 0 },
  start: null,
  all: [],
};

function nextStep(before: Model, prng: Prng): Step {
  const { all, start } = before;
  const last = all.at(-1);
  const startIndex = start?.index ?? 0;
  const luck = prng.int(10);
  const term = before.hardState.term + 1;
  const count = 1 + prng.int(5);
  if (luck === 0 && all.length > startIndex) {
    const at = all[startIndex + prng.int(all.length - startIndex)];
    if (at !== undefined) return { type: 'compact', after: { ...before, start: at } };
  }
  if (luck === 1) {
    const far = entries(1, all.length + 10 + count, { term });
    const meta = metaAt(far[all.length + 9] ?? far[0] ?? ({} as Entry));
    const state = hardState(term);
    const parts = { hardState: state, installSnapshot: { meta, ref: 'file' } };
    const append = far.slice(meta.index);
    const after = { hardState: state, start: far[meta.index - 1] ?? null, all: far };
    return { type: 'persist', jobs: [job({ ...parts, append })], after };
  }
  if (luck <= 3 && all.length > startIndex) {
    const backTo = startIndex + prng.int(all.length - startIndex);
    const previous = all[backTo - 1]?.hash ?? chainStart;
    const state = hardState(term, `vote-${term}`);
    const append = prng.chance(0.7) ? entries(backTo + 1, backTo + count, { previous, term }) : [];
    const after = { hardState: state, start, all: [...all.slice(0, backTo), ...append] };
    return { type: 'persist', jobs: [job({ hardState: state, cutBackTo: backTo, append })], after };
  }
  const state = luck <= 5 || term === 1 ? hardState(term, `vote-${term}`) : null;
  const own = state?.term ?? before.hardState.term;
  const options = { previous: last?.hash ?? chainStart, term: own, bytes: prng.int(200) };
  const append = entries(all.length + 1, all.length + count, options);
  const half = prng.int(count + 1);
  const jobs = [job({ hardState: state, append: append.slice(0, half) })];
  if (half < count) jobs.push(job({ append: append.slice(half) }));
  const after = { hardState: state ?? before.hardState, start, all: [...all, ...append] };
  return { type: 'persist', jobs, after };
}

const doStep = (store: LogStore, step: Step): Promise<void> =>
  step.type === 'persist' ? store.persist(step.jobs) : store.compact(metaOf(step.after));

function metaOf(model: Model) {
  if (model.start === null) throw new Error('a compaction without a start');
  return metaAt(model.start);
}

function scenario(seed: number): Step[] {
  const prng = createPrng(seed);
  const steps: Step[] = [];
  let model = empty;
  for (let i = 0; i < 14; i++) {
    const step = nextStep(model, prng);
    steps.push(step);
    model = step.after;
  }
  return steps;
}

/** Whether the store holds `model`; hard state and log are judged on their own. */
function holds(store: LogStore, model: Model): { hardState: boolean; log: boolean } {
  const { restored } = store;
  const from = model.start?.index ?? 0;
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const hashes = (list: readonly Entry[]) => list.map(({ hash }) => hash);
  return {
    hardState: same(restored.hardState, model.hardState),
    log:
      (restored.snapshot?.hash ?? null) === (model.start?.hash ?? null) &&
      same(hashes(restored.entries), hashes(model.all.slice(from))),
  };
}

function check(store: LogStore, done: Model, underWay: Model | null, what: string): void {
  const [old, fresh] = [holds(store, done), underWay && holds(store, underWay)];
  expect(old.hardState || fresh?.hardState === true, `${what}: hard state`).toBe(true);
  expect(old.log || fresh?.log === true, `${what}: log`).toBe(true);
  // No entry of a term is durable before the term.
  const lastTerm = store.restored.entries.at(-1)?.term ?? 0;
  expect(store.restored.hardState.term, what).toBeGreaterThanOrEqual(lastTerm);
}

interface Run {
  readonly done: Model;
  readonly underWay: Model | null;
  readonly finished: boolean;
}

/** Runs the steps until the disk fails; tells what was acknowledged by then. */
async function run(disk: MemoryDisk, steps: readonly Step[]): Promise<Run> {
  let done = empty;
  let underWay: Model | null = null;
  try {
    const store = await openOn(disk);
    for (const step of steps) {
      underWay = step.after;
      await doStep(store, step);
      [done, underWay] = [step.after, null];
    }
    await store.close();
    return { done, underWay: null, finished: true };
  } catch (thrown) {
    expect(String(thrown)).toMatch(/the power went|ENOSPC/);
    return { done, underWay, finished: false };
  }
}

test('the power goes at every operation of the work', { timeout: 120_000 }, async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const steps = scenario(seed);
    const prng = createPrng(seed);
    for (let cut = 0, finished = false; !finished; cut++) {
      const disk = new MemoryDisk();
      disk.cutPowerAfter(cut);
      const result = await run(disk, steps);
      finished = result.finished;
      const what = `seed ${seed}, power cut at operation ${cut}`;
      for (let variant = 0; variant < 2; variant++) {
        const left = disk.afterCrash(prng);
        const store = await openOn(left);
        check(store, result.done, result.underWay, what);
        await store.close();
        const again = await openOn(left);
        expect(again.restored, what).toEqual(store.restored);
        expect(again.report, what).toMatchObject({ tornBytes: 0, tornEntries: 0 });
      }
    }
  }
});

test('and again at every operation of the recovery', { timeout: 120_000 }, async () => {
  for (let seed = 20; seed <= 23; seed++) {
    const steps = scenario(seed);
    const prng = createPrng(seed);
    for (let cut = 10; ; cut += 9) {
      const first = new MemoryDisk();
      first.cutPowerAfter(cut);
      const { done, underWay, finished } = await run(first, steps);
      if (finished) break;
      const left = first.afterCrash(prng).files();
      for (let again = 0, opened = false; !opened; again++) {
        const disk = MemoryDisk.of(left);
        disk.cutPowerAfter(again);
        const found = await openOn(disk).catch((thrown: unknown) => String(thrown));
        opened = typeof found !== 'string';
        if (typeof found === 'string') expect(found).toContain('the power went');
        const store = await openOn(disk.afterCrash(prng));
        check(store, done, underWay, `seed ${seed}, cut at ${cut}, again at ${again}`);
      }
    }
  }
});

test('a disk that gets full at any operation: refused as disk-full, then for good, and recovered', async () => {
  const steps = scenario(7);
  for (let at = 60, finished = false; !finished; at += 1) {
    const disk = new MemoryDisk();
    const store = await openOn(disk);
    disk.failAfter(at - 60, 'ENOSPC');
    let done = empty;
    let underWay: Model | null = null;
    finished = true;
    for (const step of steps) {
      underWay = step.after;
      const code = await doStep(store, step).then(
        () => null,
        (thrown: { code: string }) => thrown.code,
      );
      if (code !== null) {
        expect(code).toBe('disk-full');
        await expect(store.persist([])).rejects.toMatchObject({ code: 'disk-full' });
        finished = false;
        break;
      }
      [done, underWay] = [step.after, null];
    }
    const next = await openOn(MemoryDisk.of(disk.files()));
    check(next, done, underWay, `disk full after operation ${at - 60}`);
  }
});
