import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { MeshPeer } from '../../../src/mesh/api.ts';
import { chooseNeighbours, handfulSize } from '../../../src/mesh/neighbours.ts';

const peers = (voters: number, others: number): MeshPeer[] => [
  ...Array.from({ length: voters }, (_, i) => ({ peerId: `v${i}`, votes: true, addresses: [] })),
  ...Array.from({ length: others }, (_, i) => ({ peerId: `o${i}`, votes: false, addresses: [] })),
];
const choose = (self: string, list: MeshPeer[], last: string[] = [], refresh = false, seed = 1) =>
  chooseNeighbours({ self, peers: list, last, refresh, prng: createPrng(seed) });

test('a voter links to all other voters and to nobody else', () => {
  expect(choose('v0', peers(7, 30))).toEqual(['v1', 'v2', 'v3', 'v4', 'v5', 'v6']);
});

test('everybody else links to a handful with two voters in it', () => {
  const handful = choose('o0', peers(7, 30));
  expect(handful.filter((peer) => peer.startsWith('v')).length).toBeGreaterThanOrEqual(2);
  expect(handful.length).toBeLessThanOrEqual(handfulSize + 2);
  expect(handful).not.toContain('o0');
});

test('the handfuls differ, so that nobody carries everybody', () => {
  const load = new Map<string, number>();
  for (let seed = 0; seed < 200; seed++)
    for (const peer of choose('o0', peers(7, 93), [], false, seed))
      load.set(peer, (load.get(peer) ?? 0) + 1);
  expect(Math.max(...load.values())).toBeLessThan(110);
});

test('a handful stays as it is, a refresh changes one, a leaver is replaced', () => {
  const list = peers(7, 30);
  const first = choose('o0', list, [], false, 5);
  expect([...choose('o0', list, first, false, 6)].sort()).toEqual([...first].sort());
  const refreshed = choose('o0', list, first, true, 7);
  expect(first.filter((peer) => !refreshed.includes(peer))).toHaveLength(1);
  const gone = first[0] ?? '';
  const without = list.filter((peer) => peer.peerId !== gone);
  expect(choose('o0', without, first, false, 8)).not.toContain(gone);
});

test('in a small cluster the handful is everybody', () => {
  expect([...choose('o0', peers(3, 2))].sort()).toEqual(['o1', 'v0', 'v1', 'v2']);
  expect(choose('o0', [])).toEqual([]);
});
