import { describe, expect, test } from 'vitest';
import { type PeerFacts, peerValue, planPeerLists } from '../../../src/plan/peer-lists.ts';

const facts = (extra: Partial<PeerFacts> = {}): PeerFacts => ({
  peer: 'p1',
  name: 'worker-1',
  role: 'worker',
  zone: 'a',
  addresses: ['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/1'],
  contentPeer: null,
  contentAddresses: [],
  statusUrl: 'http://127.0.0.1:1',
  version: '0.1.0',
  ...extra,
});
const row = (value: Record<string, unknown>, key = 'p1') => ({ key, value, version: 9 });
const members = new Set(['p1']);

describe('peer_lists', () => {
  test('the same facts in another order write nothing', () => {
    const stored = peerValue(facts());
    const reversed = Object.fromEntries(Object.entries(stored).reverse());
    const shuffled = facts({ addresses: [...facts().addresses].reverse() });
    expect(planPeerLists({ rows: [row(reversed)], facts: [shuffled], members })).toEqual([]);
  });

  test('a new peer and a changed one are put by compare-and-set', () => {
    expect(planPeerLists({ rows: [], facts: [facts()], members })).toMatchObject([
      { type: 'index.put', index: 'peer_lists', key: 'p1', expectedVersion: 0 },
    ]);
    const moved = facts({ addresses: ['/ip4/10.0.0.9/tcp/1'] });
    const rows = [row(peerValue(facts()))];
    expect(planPeerLists({ rows, facts: [moved], members })).toMatchObject([
      { type: 'index.put', expectedVersion: 9, value: { addresses: ['/ip4/10.0.0.9/tcp/1'] } },
    ]);
  });

  test('rows of strangers go, silent members keep theirs', () => {
    const rows = [row({}, 'forgotten'), row(peerValue(facts()))];
    expect(planPeerLists({ rows, facts: [], members })).toEqual([
      { type: 'index.rm', index: 'peer_lists', key: 'forgotten', expectedVersion: 9 },
    ]);
    expect(planPeerLists({ rows: [], facts: [facts({ peer: 'stranger' })], members })).toEqual([]);
  });
});
