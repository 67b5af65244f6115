/**
 * The private network's protector: on the wire the same as @libp2p/pnet and kubo (a nonce from each
 * side, then each direction under the network's key and its nonce), with several keys at once. Who
 * dials uses the key that is sent now, both ways. Who is dialled says nothing before it has seen by
 * the other side's first words which of its accepted keys was used, and answers in that one: so a
 * node that knows only an older key is let in as long as that key is accepted. The keys are asked
 * for at every connection; those that are open go on as they began.
 */
import type { AbortOptions, ConnectionProtector, MultiaddrConnection } from '@libp2p/interface';
import { byteStream } from '@libp2p/utils';
import xsalsa20 from 'xsalsa20';
import { AgentError } from '../base/error.ts';
import type { HandshakeWatch } from '../wire/handshake-watch.ts';
import type { NetworkKeys } from '../wire/network-key.ts';
import { BoxStream } from './box-stream.ts';

const nonceBytes = 24;
/** With what every dialler begins (multistream-select): its length, then the line. */
const firstWords = Buffer.from('\x13/multistream/1.0.0\n', 'latin1');
/** Of a whole exchange, where the caller sets no limit of its own. */
const exchangeMsMax = 10_000;

/** Bytes on the wire, all connections of a host together, since it was made. */
export interface Traffic {
  sent: number;
  received: number;
}

export interface Watched {
  /** Counted up. */
  readonly traffic?: Traffic | undefined;
  readonly watch?: HandshakeWatch | undefined;
}

type Bytes = ReturnType<typeof byteStream<MultiaddrConnection>>;

const cipherOf = (nonce: Uint8Array, key: string) => xsalsa20(nonce, Buffer.from(key, 'hex'));

export function createNetworkGuard(
  keys: () => NetworkKeys,
  { traffic, watch }: Watched = {},
): () => ConnectionProtector {
  async function protect(
    connection: MultiaddrConnection,
    options: AbortOptions = { signal: AbortSignal.timeout(exchangeMsMax) },
  ): Promise<MultiaddrConnection> {
    if (traffic !== undefined) count(connection, traffic);
    const log = connection.log.newScope('pnet');
    const bytes = byteStream(connection);
    const local = crypto.getRandomValues(new Uint8Array(nonceBytes));
    const [remote] = await Promise.all([
      read(bytes, nonceBytes, options),
      bytes.write(local, options),
    ]);
    watch?.began(connection);
    if (connection.direction === 'outbound') {
      const { sending } = keys();
      const ciphers = { inbound: cipherOf(remote, sending), outbound: cipherOf(local, sending) };
      return new BoxStream(bytes.unwrap(), ciphers, new Uint8Array(0), log);
    }
    const words = await read(bytes, firstWords.length, options);
    const { accepted } = keys();
    const used = accepted.find((key) => isOpenedBy(key, remote, words));
    if (used === undefined)
      throw new AgentError(
        'network-key-mismatch',
        `${connection.remoteAddr} used none of the ${accepted.length} network keys accepted here`,
      );
    const ciphers = { inbound: cipherOf(remote, used), outbound: cipherOf(local, used) };
    return new BoxStream(bytes.unwrap(), ciphers, ciphers.inbound.update(words), log);
  }
  return () => ({ protect }) as ConnectionProtector;
}

async function read(bytes: Bytes, length: number, options: AbortOptions): Promise<Uint8Array> {
  return (await bytes.read({ bytes: length, ...options })).subarray();
}

/** A state is given back at once: a stranger costs nothing that stays. */
function isOpenedBy(key: string, nonce: Uint8Array, words: Uint8Array): boolean {
  const cipher = cipherOf(nonce, key);
  const opened = firstWords.equals(cipher.update(words));
  cipher.finalize();
  return opened;
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
