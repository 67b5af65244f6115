/** The failure detector among many nodes on a virtual clock: who is blamed, when, and who is not. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { detectorRules } from '../../../src/health/detector-rules.ts';
import {
  createFailureDetector,
  type DetectorAction,
} from '../../../src/health/failure-detector.ts';
import { createVirtualFlock } from './virtual-flock.ts';

const seeds = Array.from({ length: 12 }, (_, i) => i + 1);
const namesOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);

describe('a calm flock', () => {
  test.each(seeds)('nobody is blamed (seed %i)', (seed) => {
    const flock = createVirtualFlock({ seed, count: 12 });
    flock.runUntil(60_000);
    expect(flock.changes.filter(({ to }) => to === 'failed' || to === 'suspect')).toEqual([]);
    for (const by of namesOf(12))
      for (const peer of namesOf(12))
        if (by !== peer) expect(flock.stateOf(by, peer)).toBe('alive');
  });
});

describe('a node whose loop stands still for 2 s, again and again', () => {
  // Awake for a second, or only for a moment: then even the answers of helpers come late.
  describe.each([1000, 60])('awake for %i ms between', (awakeMs) => {
    test.each(seeds)('blames nobody else among 20 (seed %i)', (seed) => {
      const flock = createVirtualFlock({ seed, count: 20, loss: 0.1 });
      flock.runUntil(5000);
      for (let round = 0; round < 20; round++) {
        flock.stall('n7', 2000);
        flock.runUntil(flock.nowMs() + 2000 + awakeMs);
      }
      flock.runUntil(flock.nowMs() + 20_000);
      const blamed = flock.changes.filter(({ to }) => to === 'suspect' || to === 'failed');
      expect(blamed.filter(({ peer }) => peer !== 'n7')).toEqual([]);
      // Whoever stands still for 97 % of the time may well be called failed by others.
      if (awakeMs === 1000) expect(blamed.filter(({ to }) => to === 'failed')).toEqual([]);
      for (const by of namesOf(20)) if (by !== 'n7') expect(flock.stateOf(by, 'n7')).toBe('alive');
    });
  });

  test.each(seeds)('two at the same time blame nobody else either (seed %i)', (seed) => {
    const flock = createVirtualFlock({ seed, count: 6, loss: 0.1 });
    flock.runUntil(5000);
    for (let round = 0; round < 20; round++) {
      flock.stall('n1', 2000);
      flock.stall('n4', 1500 + 50 * round);
      flock.runUntil(flock.nowMs() + 3000);
    }
    const failed = flock.changes.filter(({ to }) => to === 'failed');
    expect(failed.filter(({ peer }) => peer !== 'n1' && peer !== 'n4')).toEqual([]);
  });

  test('it doubts itself, and no longer once its loop turns', () => {
    const flock = createVirtualFlock({ seed: 5, count: 5 });
    flock.runUntil(5000);
    flock.stall('n1', 2000);
    flock.runUntil(7001);
    expect(flock.doubtOf('n1')).toBeGreaterThanOrEqual(2);
    expect(flock.doubtOf('n2')).toBe(0);
    flock.runUntil(30_000);
    expect(flock.doubtOf('n1')).toBe(0);
  });
});

describe('a killed node', () => {
  const shapes = {
    'all linked to all': () => true,
    // A ring with chords: 4 links each, most nodes have none to the one that dies.
    'few links': (a: number, b: number) => [1, 5, 19, 15].includes(b - a),
  };
  describe.each(Object.entries(shapes))('%s', (_, linked) => {
    test.each(seeds)('is failed everywhere within 5 s (seed %i)', (seed) => {
      const flock = createVirtualFlock({ seed, count: 20, linked });
      flock.runUntil(10_000);
      flock.kill('n3');
      flock.runUntil(15_000);
      const others = namesOf(20).filter((name) => name !== 'n3');
      expect(others.map((by) => flock.stateOf(by, 'n3'))).toEqual(others.map(() => 'failed'));
      expect(
        flock.changes.filter(({ peer, to, atMs }) => peer !== 'n3' && to !== 'alive' && atMs > 0),
      ).toEqual([]);
    });
  });

  describe.each([3, 5, 20])('seen by one of %i that stood still just before', (count) => {
    test.each(seeds)('is failed there, too, within 5 s: others settle it (seed %i)', (seed) => {
      const flock = createVirtualFlock({ seed, count });
      flock.runUntil(10_000);
      flock.stall('n1', 4000);
      flock.runUntil(14_100);
      expect(flock.doubtOf('n1')).toBeGreaterThanOrEqual(6);
      flock.kill('n2');
      flock.runUntil(19_100);
      const others = namesOf(count).filter((name) => name !== 'n2');
      expect(others.map((by) => flock.stateOf(by, 'n2'))).toEqual(others.map(() => 'failed'));
      // Whoever stands still for four seconds may well be called failed by others meanwhile.
      const failed = flock.changes.filter(({ to }) => to === 'failed').map(({ peer }) => peer);
      expect(failed.filter((peer) => peer !== 'n1' && peer !== 'n2')).toEqual([]);
    });

    test.each(seeds)('or while it stood still, within 5 s of its waking (seed %i)', (seed) => {
      const flock = createVirtualFlock({ seed, count });
      flock.runUntil(10_000);
      flock.stall('n1', 4000);
      flock.runUntil(11_000);
      flock.kill('n2');
      flock.runUntil(19_000);
      expect(flock.stateOf('n1', 'n2')).toBe('failed');
      const said = flock.changes.filter(({ by, to }) => by === 'n1' && to !== 'alive');
      expect(new Set(said.map(({ peer }) => peer))).toEqual(new Set(['n2']));
    });
  });

  test.each(seeds)('of two nodes, the other one says so within 5 s (seed %i)', (seed) => {
    const flock = createVirtualFlock({ seed, count: 2 });
    flock.runUntil(10_000);
    flock.kill('n1');
    flock.runUntil(15_000);
    expect(flock.stateOf('n0', 'n1')).toBe('failed');
  });

  test('a machine that falls silent with its links open is failed, too', () => {
    const flock = createVirtualFlock({ seed: 3, count: 6 });
    flock.runUntil(10_000);
    flock.cut('n2');
    flock.runUntil(22_000);
    for (const by of namesOf(6)) if (by !== 'n2') expect(flock.stateOf(by, 'n2')).toBe('failed');
  });
});

test('a node that says that it leaves is left, and nobody calls it failed', () => {
  const flock = createVirtualFlock({ seed: 9, count: 5 });
  flock.runUntil(5000);
  flock.leave('n4');
  flock.runUntil(30_000);
  for (const by of namesOf(4)) expect(flock.stateOf(by, 'n4')).toBe('left');
  expect(flock.changes.filter(({ to }) => to === 'failed')).toEqual([]);
});

describe('deadlines of one detector', () => {
  /** Linked with a and b, of which a never answers: steps at these instants, and what came of it. */
  function blamedAt(instants: readonly number[]): boolean {
    const detector = createFailureDetector({
      self: 'me',
      own: () => ({ incarnation: 1, beat: 1 }),
      prng: createPrng(4),
      nowMs: 0,
    });
    detector.setMembers(['me', 'a', 'b'], 0);
    for (const peer of ['a', 'b']) detector.link(peer, true, 0);
    const seen: DetectorAction[] = [];
    for (const nowMs of instants) {
      detector.heard('b', nowMs);
      seen.push(...detector.step(nowMs));
    }
    return seen.some((action) => action.type === 'changed' && action.to === 'suspect');
  }
  const upTo = (ms: number): number[] => Array.from({ length: ms / 50 }, (_, i) => (i + 1) * 50);

  test('who answers neither directly nor through others is suspect', () => {
    expect(blamedAt(upTo(2200))).toBe(true);
  });

  test('time in which the own loop stood still counts against nobody', () => {
    // The probe goes out at 1000, help is asked for at 1500; then the loop stands still.
    expect(blamedAt([...upTo(1600), 3600])).toBe(false);
  });
});

test('a peer whose link closed is asked about a little later: an election goes first', () => {
  const detector = createFailureDetector({
    ...{ self: 'me', own: () => ({ incarnation: 1, beat: 1 }), prng: createPrng(4), nowMs: 0 },
  });
  detector.setMembers(['me', 'a', 'b'], 0);
  for (const peer of ['a', 'b']) detector.link(peer, true, 0);
  detector.step(50);
  detector.link('a', false, 100);
  expect(detector.step(100)).toEqual([]);
  const dueMs = 100 + detectorRules.linkLostMs;
  expect(detector.nextWakeMs()).toBe(dueMs);
  expect(detector.step(dueMs - 1)).toEqual([]);
  expect(detector.step(dueMs)).toMatchObject([{ type: 'probe', peer: 'a' }]);
});
