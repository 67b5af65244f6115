/**
 * CIDs as text at the border, as objects inside. Blocks are stored and compared by their multihash
 * alone, so that one block under two codecs is kept once; the file name is the multihash in upper
 * case base32, which is what blockstore-fs uses too.
 */
import { base32, base32upper } from 'multiformats/bases/base32';
import { CID } from 'multiformats/cid';
import { sha256, sha512 } from 'multiformats/hashes/sha2';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

/** Name of a stored block: multibase base32upper of its multihash. */
export type BlockKey = string;

const cidCharsMax = 200;
type Sha2 = typeof sha256 | typeof sha512;
const hashers: Readonly<Record<number, Sha2>> = { [sha256.code]: sha256, [sha512.code]: sha512 };

/** Codecs whose links this node can follow. */
export const dagPbCode = 0x70;
export const rawCode = 0x55;
const codecs = new Set([dagPbCode, rawCode]);

function refuse(field: string, text: string, why: string): AgentError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return new AgentError('bad-request', `${field} ${JSON.stringify(shown)} ${why}`);
}

/** Parses a CID of any version; what comes back is version 1. */
export function parseCid(text: string, field: string): CID {
  if (typeof text !== 'string') throw refuse(field, String(text), 'is not a CID');
  if (text.length > cidCharsMax) throw refuse(field, text, `is longer than ${cidCharsMax}`);
  let cid: CID;
  try {
    cid = CID.parse(text).toV1();
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw refuse(field, text, `is not a CID: ${why}`);
  }
  if (!codecs.has(cid.code))
    throw refuse(field, text, `has codec 0x${cid.code.toString(16)}; dag-pb and raw are accepted`);
  if (!(cid.multihash.code in hashers))
    throw refuse(field, text, 'is not hashed with sha2-256 or sha2-512');
  return cid;
}

/** The canonical text: version 1, base32. */
export function cidText(cid: CID): CidText {
  return cid.toV1().toString(base32);
}

export function blockKey(cid: CID): BlockKey {
  return base32upper.encode(cid.multihash.bytes);
}

/** The hasher of a multihash code, or null when we have none. */
export function hasherOf(code: number): Sha2 | null {
  return hashers[code] ?? null;
}

/** Hashes `bytes` anew and tells whether they are what `key` promises. */
export async function matchesKey(key: BlockKey, bytes: Uint8Array): Promise<boolean> {
  const multihash = base32upper.decode(key);
  const hasher = hasherOf(multihash[0] ?? 0);
  if (hasher === null) return false;
  const digest = await hasher.digest(bytes);
  return Buffer.compare(digest.bytes, multihash) === 0;
}
