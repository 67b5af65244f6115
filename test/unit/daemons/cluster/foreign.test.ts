/** Whom to follow: peers as multiaddr or host:port, and what contradicts itself. */
import { describe, expect, test } from 'vitest';
import {
  bootstrapAddress,
  followMistakes,
  followSchema,
  peerIdOf,
} from '../../../../src/daemons/cluster/foreign.ts';

const id = '12D3KooWSbmGpqfDss5KCijqhRMPgsBqdGE2Yng3pVDU1v7KKxTp';

describe('a bootstrap peer', () => {
  test.each([
    [`/ip4/10.0.0.1/tcp/9096/p2p/${id}`, `/ip4/10.0.0.1/tcp/9096/p2p/${id}`],
    [`10.0.0.1:9096/p2p/${id}`, `/ip4/10.0.0.1/tcp/9096/p2p/${id}`],
    [`[::1]:9096/p2p/${id}`, `/ip6/::1/tcp/9096/p2p/${id}`],
    [`cluster.example.org:9096/p2p/${id}`, `/dns/cluster.example.org/tcp/9096/p2p/${id}`],
  ])('%s', (given, wanted) => {
    expect(bootstrapAddress(given)).toBe(wanted);
    expect(peerIdOf(wanted)).toBe(id);
  });

  test.each([
    ['10.0.0.1:9096', '/ip4/10.0.0.1/tcp/9096'],
    ['/dns4/cluster.example.org/tcp/9096', '/dns4/cluster.example.org/tcp/9096'],
  ])('%s is asked for its id later', (given, wanted) => {
    expect(bootstrapAddress(given)).toBe(wanted);
    expect(peerIdOf(wanted)).toBeNull();
  });

  test.each([
    ['/ip4/10.0.0.1/udp/9096/quic-v1', /only a plain TCP address can be asked.*not UDP/],
    ['/dnsaddr/cluster.example.org', /only a plain TCP address can be asked/],
    ['10.0.0.1', /neither a multiaddr nor host:port/],
    [`10.0.0.1:70000/p2p/${id}`, /neither a multiaddr nor host:port/],
    [`nonsense/p2p/${id}`, /neither a multiaddr nor host:port/],
    [`/ip4/1.2.3.4/tcp/1,/ip4/6.6.6.6/tcp/2/p2p/${id}`, /neither a multiaddr nor host:port/],
  ])('%s is refused', (given, why) => {
    expect(() => bootstrapAddress(given)).toThrow(why);
  });
});

test('the configuration names the field and what is wrong', () => {
  const parsed = followSchema.safeParse({
    clusterName: 'theirs',
    bootstrapPeers: ['1.2.3.4'],
  });
  expect(parsed.error?.issues[0]).toMatchObject({ path: ['bootstrapPeers', 0] });
  expect(followSchema.safeParse({ clusterName: '../up' }).success).toBe(false);
  expect(followSchema.safeParse({ clusterName: 'a', initUrl: 'file:///etc' }).success).toBe(false);
});

test('something to start from, and one source of the secret', () => {
  const follow = { clusterName: 'theirs', bootstrapPeers: [] };
  expect(followMistakes('f', follow)).toHaveLength(1);
  const initUrl = 'http://theirs.example/service.json';
  expect(followMistakes('f', { ...follow, initUrl })).toEqual([]);
  expect(followMistakes('f', { ...follow, initUrl, secretFile: '/s' })).toHaveLength(1);
});
