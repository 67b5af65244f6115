/** What followers start from. */
import { expect, test } from 'vitest';
import { federationTemplate, foreignTemplate } from '../../../../src/daemons/cluster/template.ts';

const id = '12D3KooWSbmGpqfDss5KCijqhRMPgsBqdGE2Yng3pVDU1v7KKxTp';

test('services of nodes that may lead are trusted; everybody is an address', () => {
  const kind = 'ipfs_cluster_service' as const;
  const template = federationTemplate({
    secret: 'ab'.repeat(32),
    peers: [
      { node: 'm', kind, peerId: 'service', addresses: ['/ip4/10.0.0.1/tcp/9096'], trusted: true },
      { node: 'w', kind: 'ipfs_cluster_follow', peerId: 'f', addresses: ['/a'], trusted: false },
    ],
  });
  expect(template.cluster.peer_addresses).toEqual([
    '/ip4/10.0.0.1/tcp/9096/p2p/service',
    '/a/p2p/f',
  ]);
  expect(template.consensus.crdt).toEqual({
    cluster_name: 'bellwether',
    trusted_peers: ['service'],
  });
  // Without these sections the program refuses to start.
  expect(template.datastore).toEqual({ pebble: {} });
});

test('of a cluster without a template the bootstrap peers are trusted', () => {
  const bootstrapPeers = [`/ip4/10.0.0.1/tcp/9096/p2p/${id}`];
  const template = foreignTemplate({ clusterName: 'theirs' }, 's', bootstrapPeers);
  expect(template.consensus.crdt).toEqual({ cluster_name: 'theirs', trusted_peers: [id] });
  expect(template.cluster).toMatchObject({ secret: 's', peer_addresses: bootstrapPeers });
});
