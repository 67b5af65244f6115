/** What the mirror asks of ipfs-cluster for a pin of the catalog. */
import { expect, test } from 'vitest';
import { matches, mustForget, wantedOf } from '../../../../src/agent/daemons/mirror.ts';

const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
const pinOn = (...peers: string[]) =>
  ({ cid, name: 'n', allocation: { peers } }) as unknown as Parameters<typeof wantedOf>[0];
const peer = (node: string, kind: 'ipfs_cluster_service' | 'ipfs_cluster_follow') => ({
  node,
  kind,
  peerId: `cluster-${node}`,
  addresses: [],
});
const record = {
  secret: 's',
  peers: [
    peer('a', 'ipfs_cluster_service'),
    peer('b', 'ipfs_cluster_service'),
    peer('f', 'ipfs_cluster_follow'),
  ],
};

test('nodes with a service are named; with a follower or none every peer holds it', () => {
  expect(wantedOf(pinOn('b', 'a'), record)).toEqual({
    ...{ cid, name: 'n', min: 2, max: 2 },
    peers: ['cluster-a', 'cluster-b'],
  });
  const everywhere = { cid, name: 'n', min: -1, max: -1, peers: [] };
  expect(wantedOf(pinOn('a', 'f'), record)).toEqual(everywhere);
  expect(wantedOf(pinOn('a', 'unknown'), record)).toEqual(everywhere);
});

test('a pin that is not allocated yet waits', () => {
  expect(wantedOf(pinOn(), record)).toBeNull();
});

test('what is there already is left alone; other peers or another factor are not', () => {
  const have = { cid, name: 'n', replication_factor_min: 2, replication_factor_max: 2 };
  const wanted = { cid, name: 'n', min: 2, max: 2, peers: ['x', 'y'] };
  expect(matches({ ...have, allocations: ['y', 'x'] }, wanted)).toBe(true);
  expect(matches({ ...have, allocations: ['y', 'z'] }, wanted)).toBe(false);
  expect(matches({ ...have, allocations: ['x', 'y'], replication_factor_max: 3 }, wanted)).toBe(
    false,
  );
  const everywhere = { ...have, replication_factor_max: -1, allocations: [] };
  expect(matches(everywhere, { ...wanted, max: -1, peers: [] })).toBe(true);
});

test('peers that the service would keep have to be forgotten first', () => {
  const have = { cid, name: 'n', replication_factor_min: 2, replication_factor_max: 2 };
  const wanted = { cid, name: 'n', min: 2, max: 2, peers: ['x', 'y'] };
  expect(mustForget({ ...have, allocations: ['x', 'z'] }, wanted)).toBe(true);
  expect(mustForget({ ...have, allocations: ['x'] }, wanted)).toBe(false);
  expect(mustForget({ ...have, allocations: [] }, wanted)).toBe(false);
  expect(mustForget({ ...have, allocations: ['z'] }, { ...wanted, max: -1, peers: [] })).toBe(
    false,
  );
});
