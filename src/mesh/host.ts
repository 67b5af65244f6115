/**
 * The libp2p host of the mesh: TCP, the pre-shared key, noise, yamux, identify, ping and gossipsub,
 * with the limits that a flock behind one address needs. Nothing here dials, redials or monitors by
 * itself; the reconnector decides that.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { type GossipSub, gossipsub, StrictSign } from '@libp2p/gossipsub';
import { type Identify, identify } from '@libp2p/identify';
import type { ComponentLogger, Ed25519PrivateKey, Libp2p, Logger } from '@libp2p/interface';
import { type Ping, ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';
import { createNetworkGuard, type Traffic } from '../pnet/network-guard.ts';
import { gossipRecordBytesMax } from '../wire/gossip.ts';
import { createHandshakeWatch } from '../wire/handshake-watch.ts';
import type { NetworkKeys } from '../wire/network-key.ts';

/** Connections of all peers together. */
const connectionsMax = 512;
/** New connections a second from one address: a NAT or a container network is one address. */
const inboundPerSecondMax = 200;
const inboundPendingMax = 100;
const dialTimeoutMs = 3000;
const addressDialTimeoutMs = 1500;
/**
 * Receive window of a stream. Kept at its first size (there is no keep-alive ping, hence no round
 * trip to grow it by), so that a snapshot has at most this much in flight before a heartbeat.
 */
const streamWindowBytes = 256 * 1024;
const gossipHeartbeatMs = 1000;

export type HostServices = { identify: Identify; ping: Ping; pubsub: GossipSub };
export type Host = Libp2p<HostServices>;

export interface HostOptions {
  readonly privateKey: Ed25519PrivateKey;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Asked for at every connection: they may change while the host runs. */
  readonly networkKeys: () => NetworkKeys;
  /** What goes over the wire is counted up here. */
  readonly traffic?: Traffic;
  /** An incoming connection did not get through the handshake. */
  readonly onHandshakeFailed?: (address: string) => void;
}

/** libp2p formats every log line of every stream; what matters leaves by events instead. */
const silent: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => silent,
});
const silentLogger: ComponentLogger = { forComponent: () => silent };

/** A host that is not started yet. */
export function createHost(options: HostOptions): Promise<Host> {
  const watch = createHandshakeWatch((address) => options.onHandshakeFailed?.(address));
  return createLibp2p<HostServices>({
    start: false,
    privateKey: options.privateKey,
    logger: silentLogger,
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 })],
    connectionProtector: createNetworkGuard(options.networkKeys, {
      watch,
      traffic: options.traffic,
    }),
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        enableKeepAlive: false,
        streamOptions: {
          initialStreamWindowSize: streamWindowBytes,
          maxStreamWindowSize: streamWindowBytes,
        },
      }),
    ],
    connectionManager: {
      maxConnections: connectionsMax,
      inboundConnectionThreshold: inboundPerSecondMax,
      maxIncomingPendingConnections: inboundPendingMax,
      dialTimeout: dialTimeoutMs,
      addressDialTimeout: addressDialTimeoutMs,
      inboundUpgradeTimeout: dialTimeoutMs,
      reconnectRetries: 0,
    },
    connectionMonitor: { enabled: false },
    // A private network has only private addresses; the default would deny nothing here either,
    // but a later default must not.
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: (_peer, connection) => {
        watch.passed(connection);
        return false;
      },
    },
    services: {
      identify: identify({ maxInboundStreams: 4, maxOutboundStreams: 4 }),
      ping: ping(),
      pubsub: gossipsub({
        globalSignaturePolicy: StrictSign,
        fallbackToFloodsub: false,
        allowPublishToZeroTopicPeers: true,
        ignoreDuplicatePublishError: true,
        heartbeatInterval: gossipHeartbeatMs,
        maxInboundDataLength: 4 * gossipRecordBytesMax,
        maxOutboundBufferSize: 1024 * 1024,
        doPX: false,
        // Forty agents on one address are a flock, not an attack.
        scoreParams: { IPColocationFactorWeight: 0 },
      }),
    },
  });
}
