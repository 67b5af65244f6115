/**
 * The shape of a DAG: the links of a block, and the order of its blocks (depth first, each block
 * once, at its first place). The order depends on the root alone, so two nodes mean the same block
 * by the same number. Only dag-pb blocks are read for it; raw leaves are known from their links.
 */
import { decode } from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { AgentError } from '../base/error.ts';
import type { BlockStore } from './block-store.ts';
import { type BlockKey, blockKey, cidText, dagPbCode, rawCode } from './cid-text.ts';

export interface DagLink {
  readonly cid: CID;
  /** Bytes of everything below, as the parent claims, or null. */
  readonly bytes: number | null;
}

export function linksOf(cid: CID, bytes: Uint8Array): DagLink[] {
  if (cid.code === rawCode) return [];
  if (cid.code !== dagPbCode) {
    const why = `block ${cidText(cid)} has codec 0x${cid.code.toString(16)}`;
    throw new AgentError('bad-request', `${why}; dag-pb and raw are accepted`);
  }
  return decode(bytes).Links.map((link) => ({
    cid: link.Hash.toV1(),
    bytes: link.Tsize ?? null,
  }));
}

export interface DagList {
  readonly keys: BlockKey[];
  readonly bytes: number;
}

/** The DAG's blocks in order; throws `not-found` when one is missing here. */
export async function listDag(root: CID, store: BlockStore): Promise<DagList> {
  const seen = new Set<BlockKey>();
  const stack: CID[] = [root];
  let bytes = 0;
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const key = blockKey(cid);
    if (seen.has(key)) continue;
    const size = store.bytesOf(key);
    if (size === null) throw new AgentError('not-found', `block ${cidText(cid)} is not here`);
    seen.add(key);
    bytes += size;
    if (cid.code === rawCode) continue;
    const links = linksOf(cid, await store.get(key));
    for (let i = links.length - 1; i >= 0; i--) {
      const link = links[i];
      if (link !== undefined) stack.push(link.cid);
    }
  }
  return { keys: [...seen], bytes };
}
