import { describe, expect, test } from 'vitest';
import type { NodeView } from '../../../src/plan/observed.ts';
import { placeCopies, weightOf } from '../../../src/plan/placement.ts';
import { gigabyte, node, nodes } from './cluster.ts';

const place = (cid: string, among: ReturnType<typeof nodes>, count = 3) =>
  placeCopies({
    cid,
    bytes: 1,
    count,
    nodes: among,
    holders: new Set(),
    failing: new Set(),
    strays: new Set(),
    zones: [],
    bytesPlanned: new Map(),
  }).chosen;

describe('rendezvous placement', () => {
  test('does not depend on the order of the nodes', () => {
    const all = nodes(9);
    for (let i = 0; i < 100; i++)
      expect(place(`c${i}`, all)).toEqual(place(`c${i}`, [...all].reverse()));
  });

  test('equal nodes get equal shares', () => {
    const shares = new Map<string, number>();
    for (let i = 0; i < 10_000; i++)
      for (const peer of place(`c${i}`, nodes(10))) shares.set(peer, (shares.get(peer) ?? 0) + 1);
    for (const share of shares.values()) expect(Math.abs(share - 3000)).toBeLessThan(200);
  });

  test('weights follow free space in coarse classes', () => {
    const weight = (gigabytes: number) => weightOf(node('n', { bytesFree: gigabytes * gigabyte }));
    expect([0, 1, 3, 4, 16, 64, 100, 256, 1024, 1e6].map(weight)).toEqual([
      1, 1, 1, 2, 4, 8, 8, 16, 32, 32,
    ]);
    expect(weightOf(node('n', { bytesFree: null }))).toBe(1);
    const share = (health: NodeView['health']) => weightOf(node('n', { bytesFree: null, health }));
    expect([share('healthy'), share('degraded'), share('unhealthy')]).toEqual([1, 1 / 2, 1 / 16]);
    expect(share('unknown')).toBe(1);
  });

  test('a node of twice the weight gets about twice the first copies', () => {
    const all = [
      node('small', { bytesFree: gigabyte }),
      node('large', { bytesFree: 4 * gigabyte }),
    ];
    let large = 0;
    for (let i = 0; i < 9000; i++) if (place(`c${i}`, all, 1)[0] === 'large') large++;
    expect(Math.abs(large - 6000)).toBeLessThan(250);
  });

  test('adding or removing a node moves about its share and nothing else', () => {
    const before = nodes(10);
    const grown = [...before, node('node-10')];
    let moved = 0;
    for (let i = 0; i < 5000; i++) {
      const old = place(`c${i}`, before);
      const now = place(`c${i}`, grown);
      const fresh = now.filter((peer) => !old.includes(peer));
      expect(fresh.every((peer) => peer === 'node-10')).toBe(true);
      moved += fresh.length;
      const shrunk = place(
        `c${i}`,
        before.filter(({ peer }) => peer !== 'node-0'),
      );
      const kept = old.filter((peer) => peer !== 'node-0');
      expect(kept.every((peer) => shrunk.includes(peer))).toBe(true);
    }
    // 3 of 11 places of every pin would be the new node's: 5000 x 3 / 11.
    expect(Math.abs(moved - 1364)).toBeLessThan(120);
  });
});
