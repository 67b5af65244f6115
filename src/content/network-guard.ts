/**
 * The private network's connection protector (pnet, wire compatible with kubo) made safe to use for
 * long and under load. Its cipher lives in one WebAssembly memory of the thread, which grows with
 * the largest piece ciphered at once and with every connection ever made; once it has grown, it
 * grows again at each switch between connections until it throws. So pieces are capped far below
 * the initial memory, and a closed connection gives its cipher state back.
 */
import type { AbortOptions, ConnectionProtector, MultiaddrConnection } from '@libp2p/interface';
import { preSharedKey } from '@libp2p/pnet';
import { assert } from '../base/assert.ts';
import type { HandshakeWatch } from '../wire/handshake-watch.ts';

const pieceBytesMax = 64 * 1024;
/** Data may still arrive for a moment after the close event. */
const finalizeAfterMs = 30_000;

interface Cipher {
  finalize(): void;
}

/** Fields of pnet's BoxMessageStream that its type does not show. */
interface BoxInside {
  maxMessageSize?: number;
  inboundXor: Cipher;
  outboundXor: Cipher;
}

function guard(connection: MultiaddrConnection): MultiaddrConnection {
  const inside = connection as unknown as BoxInside;
  assert(typeof inside.inboundXor?.finalize === 'function', 'pnet keeps its inbound cipher');
  assert(typeof inside.outboundXor?.finalize === 'function', 'pnet keeps its outbound cipher');
  inside.maxMessageSize = pieceBytesMax;
  connection.addEventListener('close', () => {
    const timer = setTimeout(() => {
      inside.inboundXor.finalize();
      inside.outboundXor.finalize();
    }, finalizeAfterMs);
    timer.unref();
  });
  return connection;
}

/** `networkKey` is the swarm key in its file format. */
export function createNetworkGuard(
  networkKey: string,
  watch: HandshakeWatch,
): () => ConnectionProtector {
  const make = preSharedKey({ psk: Buffer.from(networkKey) });
  return () => {
    const protector = make();
    return {
      [Symbol.toStringTag]: 'network-guard',
      protect: async (connection: MultiaddrConnection, options?: AbortOptions) => {
        const boxed = guard((await protector.protect(connection, options)) as MultiaddrConnection);
        watch.began(connection);
        return boxed;
      },
    } as ConnectionProtector;
  };
}
