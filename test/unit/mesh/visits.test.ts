import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createVisits } from '../../../src/mesh/visits.ts';
import { createFlock, type Flock, peerOf, until } from './flock.ts';

describe('dialling on demand', () => {
  test('one dial at a time, and none soon after a failure', async () => {
    let nowMs = 0;
    let isLinked = false;
    const dials: (() => void)[] = [];
    const visits = createVisits({
      monoMs: () => nowMs,
      connected: () => isLinked,
      dial: () => new Promise((resolve) => dials.push(resolve)),
    });
    const both = [visits.to('a', 60_000), visits.to('a', 60_000)];
    expect(dials).toHaveLength(1);
    dials[0]?.();
    await Promise.all(both);
    await visits.to('a', 60_000);
    expect(dials).toHaveLength(1);
    nowMs = 1000;
    const again = visits.to('a', 60_000);
    expect(dials).toHaveLength(2);
    isLinked = true;
    dials[1]?.();
    await again;
    await visits.to('a', 60_000);
    expect(dials).toHaveLength(2);
  });

  test('who waits is not kept longer than it wants', async () => {
    const visits = createVisits({
      ...{ monoMs: () => 0, connected: () => false },
      dial: () => new Promise(() => undefined),
    });
    await visits.to('a', 5);
  });
});

describe('on real meshes', () => {
  let flock: Flock;
  beforeEach(() => {
    flock = createFlock();
  });
  afterEach(() => flock.stop());

  test('a member that nobody keeps a link to is asked, unless only links count', async () => {
    const [voter, other] = await Promise.all([flock.node(), flock.node()]);
    voter.mesh.setPeers([peerOf(voter), peerOf(other, false)]);
    const ask = (linkedOnly: boolean) =>
      voter.mesh.request(other.mesh.peerId, 'echo', new Uint8Array([7]), {
        ...{ timeoutMs: 20_000, linkedOnly },
      });
    await expect(ask(true)).rejects.toMatchObject({ code: 'unavailable' });
    expect([...(await ask(false))]).toEqual([7]);
  });

  test('a frame to a voter that this node keeps no link to brings the link about', async () => {
    const nodes = await Promise.all(Array.from({ length: 8 }, () => flock.node()));
    const [self, ...others] = nodes;
    if (self === undefined) throw new Error('no node');
    self.mesh.setPeers([peerOf(self, false), ...others.map((node) => peerOf(node))]);
    await until(() => self.mesh.links().filter(({ connected }) => connected).length >= 2);
    const away = self.mesh.links().find(({ wanted }) => !wanted);
    if (away === undefined) throw new Error('it is linked to everybody');
    expect(self.mesh.send(away.peerId, new Uint8Array([1]))).toBe(false);
    await until(() => self.mesh.send(away.peerId, new Uint8Array([2])));
  });
});
