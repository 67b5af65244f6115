/**
 * Who answers at an address: dials it without knowing the peer, takes the id that its handshake
 * proves, and hangs up. Used for peers of foreign clusters that are given as host and port.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { createNetworkGuard } from '../pnet/network-guard.ts';
import { onlyNetworkKey } from '../wire/network-key.ts';

const askMsMax = 5000;

function guardOf(secret: string): ReturnType<typeof createNetworkGuard> {
  const keys = onlyNetworkKey(secret);
  return createNetworkGuard(() => keys);
}

/** `secret`: 64 hex digits of the private network that it is in; null: none. */
export async function askPeerId(
  address: string,
  secret: string | null,
  signal: AbortSignal,
): Promise<PeerId> {
  const host = await createLibp2p({
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    ...(secret === null ? {} : { connectionProtector: guardOf(secret) }),
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
  });
  const late = AbortSignal.any([signal, AbortSignal.timeout(askMsMax)]);
  try {
    const connection = await host.dial(multiaddr(address), { signal: late });
    return connection.remotePeer.toString() as PeerId;
  } catch (cause) {
    signal.throwIfAborted();
    const why = cause instanceof Error ? cause.message : String(cause);
    const key = secret === null ? 'without a secret' : 'with this secret';
    const text = `no libp2p peer ${key} answers at ${address} (${why})`;
    throw new AgentError('unavailable', text, { cause });
  } finally {
    await host.stop();
  }
}
