/**
 * Members of this cluster that are in another epoch, as their hellos said: neither side listens to
 * the other, so a person has to see them. The newest few are kept.
 */
import type { EpochId, Ms } from '../../base/brand.ts';
import type { Certificate } from '../../wire/member.ts';
import type { Hello } from '../../wire/node-message.ts';

const straysMax = 64;
/** A stray that said nothing for this long has left, or has come back. */
const forgetMs: Ms = 120_000;

export interface Stray {
  readonly name: string;
  readonly epochId: EpochId;
  readonly epoch: number;
  readonly parentEpochId: EpochId | null;
}

export interface Strays {
  note(hello: Hello, certificate: Certificate, nowMs: Ms): void;
  list(nowMs: Ms): Stray[];
}

export function createStrays(): Strays {
  const seen = new Map<string, { readonly stray: Stray; readonly atMs: Ms }>();
  return {
    note: (hello, certificate, nowMs) => {
      const { peerId, name } = certificate;
      const { epoch, epochNumber, parentEpoch } = hello;
      seen.delete(peerId);
      if (epoch === null) return;
      const oldest = seen.keys().next();
      if (seen.size >= straysMax && oldest.done === false) seen.delete(oldest.value);
      const stray = { name, epochId: epoch, epoch: epochNumber, parentEpochId: parentEpoch };
      seen.set(peerId, { stray, atMs: nowMs });
    },
    list: (nowMs) => {
      for (const [peer, { atMs }] of seen) if (nowMs - atMs > forgetMs) seen.delete(peer);
      return [...seen.values()].map(({ stray }) => stray);
    },
  };
}
