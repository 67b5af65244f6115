/**
 * A connection under the cipher of a private network, as @libp2p/pnet makes one. The cipher lives
 * in one WebAssembly memory per thread. That memory grows with the largest piece ciphered at once
 * and with every state ever made, and after its first growth it grows again at each switch between
 * states, until it throws. So pieces are kept far below the memory's first size, and a closed
 * connection gives its two states back.
 */
import type { AbortOptions, Logger, MultiaddrConnection } from '@libp2p/interface';
import { AbstractMultiaddrConnection } from '@libp2p/utils';
import type { Xor } from 'xsalsa20';

/** Ciphered at once; reads of a socket are no larger. */
const pieceBytesMax = 64 * 1024;
/** What was read before the close may still be deciphered after it. */
const releaseAfterMs = 30_000;

export interface Ciphers {
  readonly inbound: Xor;
  readonly outbound: Xor;
}

export class BoxStream extends AbstractMultiaddrConnection {
  private readonly below: MultiaddrConnection;
  private readonly ciphers: Ciphers;

  /** `first` is what was deciphered of the other side already. */
  constructor(below: MultiaddrConnection, ciphers: Ciphers, first: Uint8Array, log: Logger) {
    const { remoteAddr, direction } = below;
    super({ remoteAddr, direction, log, maxMessageSize: pieceBytesMax });
    this.below = below;
    this.ciphers = ciphers;
    this.push(first);
    below.addEventListener('message', ({ data }) => {
      const pieces = data instanceof Uint8Array ? [data] : data;
      for (const piece of pieces) this.onData(ciphers.inbound.update(piece));
    });
    below.addEventListener('drain', () => this.onMuxerDrain());
    below.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed();
      else if (local) this.abort(error);
      else this.onRemoteReset();
    });
    this.addEventListener('close', () => setTimeout(release, releaseAfterMs).unref(), {
      once: true,
    });
    const release = (): void => {
      ciphers.inbound.finalize();
      ciphers.outbound.finalize();
    };
  }

  async sendClose(options?: AbortOptions): Promise<void> {
    await this.below.close(options);
  }

  sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]) {
    return {
      sentBytes: data.byteLength,
      canSendMore: this.below.send(this.ciphers.outbound.update(data.subarray())),
    };
  }

  sendReset(error: Error): void {
    this.below.abort(error);
  }

  sendPause(): void {
    this.below.pause();
  }

  sendResume(): void {
    this.below.resume();
  }
}
