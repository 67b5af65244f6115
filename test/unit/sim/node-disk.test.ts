/** What a simulated disk keeps and loses. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { PersistJob } from '../../../src/consensus/api.ts';
import { createEventQueue } from '../../../src/sim/event-queue.ts';
import { createNodeDisk, emptyHardState } from '../../../src/sim/node-disk.ts';
import { chainStart, type Entry, makeEntry } from '../../../src/wire/entry.ts';

const epoch = 'e'.repeat(32);

function entries(count: number): Entry[] {
  const out: Entry[] = [];
  for (let index = 1; index <= count; index++) {
    const previousHash = out.at(-1)?.hash ?? chainStart;
    const data = new Uint8Array([index]);
    out.push(makeEntry({ previousHash, epoch, index, term: 1, kind: 'command', data }));
  }
  return out;
}

const job = (id: number, part: Partial<PersistJob>): PersistJob => ({
  ...{ id, hardState: null, cutBackTo: null, append: [], installSnapshot: null },
  ...part,
});

function makeDisk(seed = 1) {
  const queue = createEventQueue();
  return { queue, disk: createNodeDisk({ queue, prng: createPrng(seed) }) };
}

describe('node disk', () => {
  test('is durable after the fsync and not before, in the order of jobs', () => {
    const { queue, disk } = makeDisk();
    const told: number[] = [];
    const [one, two, three] = entries(3) as [Entry, Entry, Entry];
    disk.persist([job(1, { append: [one, two] })], ({ id }) => told.push(id));
    disk.persist([job(2, { append: [three] })], ({ id }) => told.push(id));
    expect(disk.durableLastIndex()).toBe(0);
    queue.runUntil(20);
    expect(told).toEqual([1, 2]);
    expect(disk.durableLastIndex()).toBe(3);
    disk.persist([job(3, { cutBackTo: 1 })], () => undefined);
    queue.runUntil(40);
    expect(disk.durableLastIndex()).toBe(1);
  });

  test('a crash keeps what was synced; a batch being written is nothing, its hard state, or whole', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed < 40; seed++) {
      const { queue, disk } = makeDisk(seed);
      const [one, two] = entries(2) as [Entry, Entry];
      disk.persist([job(1, { append: [one] })], () => undefined);
      queue.runUntil(10);
      const hardState = { ...emptyHardState, term: 7 };
      disk.persist([job(2, { append: [two], hardState })], () => expect.unreachable('told'));
      const left = disk.crash();
      queue.runUntil(30);
      seen.add(left);
      expect(disk.durableLastIndex()).toBe(left === 'whole batch' ? 2 : 1);
      expect(disk.durable().hardState.term).toBe(left === 'nothing' ? 0 : 7);
    }
    expect(seen.size).toBe(3);
  });

  test('a stuck disk completes nothing until it is freed', () => {
    const { queue, disk } = makeDisk();
    disk.setStuck(true);
    disk.persist([job(1, { append: entries(1) })], () => undefined);
    queue.runUntil(1000);
    expect(disk.durableLastIndex()).toBe(0);
    disk.setStuck(false);
    queue.runUntil(1100);
    expect(disk.durableLastIndex()).toBe(1);
  });

  test('a flipped byte of any entry is named at the next start', () => {
    for (let seed = 1; seed < 30; seed++) {
      const { queue, disk } = makeDisk(seed);
      disk.persist([job(1, { append: entries(5) })], () => undefined);
      queue.runUntil(10);
      expect('restored' in disk.open(epoch)).toBe(true);
      const what = disk.flip(createPrng(seed));
      const opened = disk.open(epoch);
      expect('damage' in opened && opened.damage).toContain(what ?? 'nothing');
    }
  });
});
