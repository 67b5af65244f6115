/**
 * A DAG as a CAR (version 1) stream: the root in the header, then every block once, depth first. It
 * is how content gets from this store into another engine, such as kubo, under the same CIDs.
 */
import type { CID } from 'multiformats/cid';
import { blockKey } from './cid-text.ts';
import { linksOf } from './dag.ts';

/** Keys remembered so that a block goes out once; above it a block may be sent again. */
const seenMax = 1_000_000;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

/** DAG-CBOR of `{roots: [root], version: 1}`, with its length in front. */
function headerOf(root: CID): Uint8Array {
  const text = (name: string): number[] => [0x60 | name.length, ...Buffer.from(name)];
  const link = [0xd8, 0x2a, 0x58, root.bytes.length + 1, 0x00, ...root.bytes];
  const header = [0xa2, ...text('roots'), 0x81, ...link, ...text('version'), 0x01];
  return Uint8Array.from([...varint(header.length), ...header]);
}

export async function* carOf(
  root: CID,
  load: (cid: CID) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield headerOf(root);
  const seen = new Set<string>();
  const stack: CID[] = [root];
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const key = blockKey(cid);
    if (seen.has(key)) continue;
    if (seen.size < seenMax) seen.add(key);
    const bytes = await load(cid);
    yield Buffer.concat([Buffer.from(varint(cid.bytes.length + bytes.length)), cid.bytes, bytes]);
    stack.push(
      ...linksOf(cid, bytes)
        .map((link) => link.cid)
        .reverse(),
    );
  }
}
