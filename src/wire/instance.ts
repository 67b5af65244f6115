/**
 * How one run of a node proves that it runs: a signed word that names its own instance (a random
 * id, drawn anew at every start) and the other one that it was told of. A word that names an id was
 * signed after that id was drawn, so two words of one key that name each other prove that two runs
 * overlapped: two machines with one key. No clock takes part, and a restart can't look like it.
 */
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { encode as encodeCbor } from './cbor.ts';
import { checked, fromCbor } from './checked.ts';

/** Ask the run at the other end of this connection who it is. */
export const instanceRequest = 'mesh.instance';
/** Tell a run that another one has its key. */
export const clashRequest = 'mesh.clash';

const instance = z.string().regex(/^[0-9a-f]{32}$/);

const questionSchema = z.looseObject({ met: instance.nullable() });
export type InstanceQuestion = z.infer<typeof questionSchema>;

const wordSchema = z.looseObject({
  instance,
  /** The other run that it was told of; null: of none. */
  met: instance.nullable(),
  signature: z.instanceof(Uint8Array).refine(({ length }) => length === 64, '64 bytes'),
});
/** What a run says of itself, signed by its node's key. */
export type InstanceWord = z.infer<typeof wordSchema>;

const noticeSchema = z.looseObject({
  other: wordSchema,
  /** Where the other run's connection comes from, as the teller sees it. */
  address: z.string().max(256).nullable(),
});
export type ClashNotice = z.infer<typeof noticeSchema>;

/** The bytes to sign; the first field keeps them from passing for any other signed statement. */
export function instanceStatement(peer: PeerId, word: Omit<InstanceWord, 'signature'>): Uint8Array {
  return encodeCbor(['bellwether-instance', 1, peer, word.instance, word.met]);
}

/** Whether two words, signatures aside, prove that two runs of one key overlapped. */
export function provesClash(
  a: Pick<InstanceWord, 'instance' | 'met'>,
  b: Pick<InstanceWord, 'instance' | 'met'>,
): boolean {
  return a.instance !== b.instance && a.met === b.instance && b.met === a.instance;
}

export const encodeInstance = (
  value: InstanceQuestion | InstanceWord | ClashNotice | Record<string, never>,
): Uint8Array => encodeCbor(value);

/** Each throws `bad-request` that names message and field. */
export const decodeInstanceQuestion = (bytes: Uint8Array): InstanceQuestion =>
  checked('instance question', questionSchema, fromCbor('instance question', bytes));
export const decodeInstanceWord = (bytes: Uint8Array): InstanceWord =>
  checked('instance word', wordSchema, fromCbor('instance word', bytes));
export const decodeClashNotice = (bytes: Uint8Array): ClashNotice =>
  checked('clash notice', noticeSchema, fromCbor('clash notice', bytes));
