/**
 * The `service.json` that followers start from. It needs the datastore's section to open one at
 * all, and an informer, or nothing can be allocated to a follower. It holds the cluster's secret.
 */

import { type FederationView, federationName, peerAddresses, trustedPeers } from './federation.ts';
import { type Foreign, peerIdOf } from './foreign.ts';

/** A peer that starts can be allocated to within about this. */
export const metricTtl = '10s';
/** A peer that missed the first word of a change hears of it by the next of these. */
export const rebroadcast = '10s';

interface Source {
  readonly name: string;
  readonly secret: string;
  readonly addresses: readonly string[];
  readonly trusted: readonly string[];
}

const templateOf = ({ name, secret, addresses, trusted }: Source) => ({
  cluster: {
    secret,
    peer_addresses: addresses,
    listen_multiaddress: ['/ip4/0.0.0.0/tcp/9196'],
    mdns_interval: '0s',
    monitor_ping_interval: '2s',
  },
  consensus: { crdt: { cluster_name: name, trusted_peers: trusted } },
  datastore: { pebble: {} },
  informer: { disk: { metric_ttl: metricTtl, metric_type: 'freespace' } },
});
export type FollowTemplate = ReturnType<typeof templateOf>;

export const federationTemplate = (view: FederationView): FollowTemplate =>
  templateOf({
    name: federationName,
    secret: view.secret,
    addresses: peerAddresses(view, ''),
    trusted: trustedPeers(view),
  });

/** For a cluster that offers no template of its own: its bootstrap peers are the trusted ones. */
export const foreignTemplate = (
  { clusterName: name }: Pick<Foreign, 'clusterName'>,
  secret: string,
  addresses: readonly string[],
): FollowTemplate =>
  templateOf({
    ...{ name, secret, addresses },
    trusted: addresses.flatMap((address) => peerIdOf(address) ?? []),
  });
