/**
 * The private network's protector (pnet), made safe to use for long and under load. The cipher of
 * pnet 3 lives in one WebAssembly memory per thread. That memory grows with the largest piece
 * ciphered at once and with every connection ever made, and after its first growth it grows again
 * at each switch between connections, until it throws. So pieces are kept far below the memory's
 * first size, and a closed connection gives its two cipher states back.
 */
import type { AbortOptions, ConnectionProtector, MultiaddrConnection } from '@libp2p/interface';
import { preSharedKey } from '@libp2p/pnet';
import { assert } from '../base/assert.ts';
import type { HandshakeWatch } from '../wire/handshake-watch.ts';

/** Ciphered at once; reads of a socket are no larger. */
const pieceBytesMax = 64 * 1024;
/** What was read before the close may still be deciphered after it. */
const releaseAfterMs = 30_000;

/** Fields of pnet's connection that its type does not show. */
interface Boxed {
  maxMessageSize?: number;
  readonly inboundXor: { finalize(): void };
  readonly outboundXor: { finalize(): void };
}

/** Bytes on the wire, all connections of a host together, since it was made. */
export interface Traffic {
  sent: number;
  received: number;
}

/** `networkKey` is the text of a swarm key file; `traffic` is counted up. */
export function createNetworkGuard(
  networkKey: string,
  watched: {
    readonly traffic?: Traffic | undefined;
    readonly watch?: HandshakeWatch | undefined;
  } = {},
): () => ConnectionProtector {
  const { traffic = { sent: 0, received: 0 }, watch } = watched;
  const make = preSharedKey({ psk: Buffer.from(networkKey, 'utf8') });
  return () => {
    const protector = make();
    const guarded: ConnectionProtector = {
      protect: (async (connection: MultiaddrConnection, options?: AbortOptions) => {
        count(connection, traffic);
        const boxed = await protector.protect(connection, options);
        guard(boxed);
        watch?.began(connection);
        return boxed;
      }) as ConnectionProtector['protect'],
    };
    return guarded;
  };
}

/** Below the cipher, so handshakes count too. */
function count(connection: MultiaddrConnection, traffic: Traffic): void {
  connection.addEventListener('message', ({ data }) => {
    traffic.received += data.byteLength;
  });
  const send = connection.send.bind(connection);
  connection.send = (data) => {
    traffic.sent += data.byteLength;
    return send(data);
  };
}

function guard(connection: object): void {
  const boxed = connection as Boxed & EventTarget;
  assert(typeof boxed.inboundXor?.finalize === 'function', 'pnet keeps its inbound cipher');
  assert(typeof boxed.outboundXor?.finalize === 'function', 'pnet keeps its outbound cipher');
  boxed.maxMessageSize = pieceBytesMax;
  const release = (): void => {
    boxed.inboundXor.finalize();
    boxed.outboundXor.finalize();
  };
  boxed.addEventListener('close', () => setTimeout(release, releaseAfterMs).unref(), {
    once: true,
  });
}
