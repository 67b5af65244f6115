/**
 * What a holder of records has, in a size that does not grow with their number: records fall into
 * buckets by topic and speaker, and of each bucket one hash is told. Two holders compare the hashes
 * and list only the buckets that differ. The hash need not resist an adversary: all that a clash
 * does is to leave a record to the next change of its bucket, and records are signed.
 */
import type { PeerId } from '../base/brand.ts';
import { bucketHashBytes, type Digest, summaryBuckets, summaryBytes } from '../wire/gossip.ts';

/** FNV-1a, 32 bits. */
function hash(text: string, seed: number): number {
  let sum = seed;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return sum >>> 0;
}

export const bucketOf = (topic: string, from: PeerId): number =>
  hash(`${topic}|${from}`, 0x811c9dc5) % summaryBuckets;

/** The hashes of all buckets, one after the other; the order of lines doesn't matter. */
export function summarize(digest: Digest): Uint8Array {
  const bytes = Buffer.alloc(summaryBytes);
  for (const [topic, from, incarnation, seq] of digest) {
    const at = bucketOf(topic, from) * bucketHashBytes;
    const line = `${topic}|${from}|${incarnation}|${seq}`;
    bytes.writeUInt32LE((bytes.readUInt32LE(at) ^ hash(line, 0x811c9dc5)) >>> 0, at);
    bytes.writeUInt32LE((bytes.readUInt32LE(at + 4) ^ hash(line, 0x2c1b3c6d)) >>> 0, at + 4);
  }
  return bytes;
}

/** Numbers of the buckets whose hashes differ. */
export function differing(a: Uint8Array, b: Uint8Array): number[] {
  return Array.from({ length: summaryBuckets }, (_, bucket) => bucket).filter((bucket) => {
    const at = bucket * bucketHashBytes;
    const end = at + bucketHashBytes;
    return Buffer.compare(a.subarray(at, end), b.subarray(at, end)) !== 0;
  });
}
