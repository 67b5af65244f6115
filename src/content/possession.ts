/**
 * Proof that this node has what it says: the answer to a challenge on one block, and a re-reading
 * of every block of a pin. A block that is missing or has other bytes is forgotten, and every pin
 * that lists it goes back to be fetched: damage is told, never served and never counted as a copy.
 */
import { createHash } from 'node:crypto';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { PinStatus } from './api.ts';
import type { BlockStore } from './block-store.ts';
import { type BlockKey, cidText, matchesKey, parseCid } from './cid-text.ts';
import { type PinRow, type PinTable, statusOf } from './pin-table.ts';

const pageMax = 500;
const nonceCharsMax = 1024;
const defectsShownMax = 3;

export interface Possession {
  prove(cid: CidText, blockIndex: number, nonce: string): Promise<string>;
  verify(cid: CidText): Promise<{ blocks: number; bytes: number }>;
}

export interface PossessionDeps {
  readonly table: PinTable;
  readonly store: BlockStore;
  /** A pin lost a block and is queued again. */
  readonly onLost: (status: PinStatus) => void;
}

export function createPossession({ table, store, onLost }: PossessionDeps): Possession {
  function pinnedRow(cid: CidText): PinRow {
    const row = table.find(cidText(parseCid(cid, 'cid')));
    if (row?.state === 'pinned') return row;
    const state = row === null ? 'not pinned here' : `${row.state} here, not pinned`;
    throw new AgentError('not-found', `${cid} is ${state}`);
  }

  async function prove(cid: CidText, blockIndex: number, nonce: string): Promise<string> {
    if (!Number.isSafeInteger(blockIndex) || blockIndex < 0)
      throw new AgentError('bad-request', `blockIndex ${blockIndex} is not a whole number from 0`);
    if (typeof nonce !== 'string' || nonce === '' || nonce.length > nonceCharsMax)
      throw new AgentError('bad-request', `nonce is not 1 to ${nonceCharsMax} characters`);
    const key = table.blockAt(pinnedRow(cid).id, blockIndex);
    if (key === null) throw new AgentError('not-found', `${cid} has no block ${blockIndex}`);
    const bytes = await store.get(key);
    return createHash('sha256').update(nonce).update(bytes).digest('hex');
  }

  /** Null when the block is whole, else what is wrong with it. */
  async function defectOf(key: BlockKey): Promise<string | null> {
    if (!store.has(key)) return 'is missing';
    try {
      return (await matchesKey(key, await store.get(key))) ? null : 'has other bytes';
    } catch (thrown) {
      return `can't be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    }
  }

  async function lose(key: BlockKey, defect: string): Promise<void> {
    await store.forget(key);
    const requeued = table.requeueUsers(key, Date.now(), `damaged: block ${key} ${defect}`);
    for (const row of requeued) onLost(statusOf(row));
  }

  async function verify(cid: CidText): Promise<{ blocks: number; bytes: number }> {
    const { id } = pinnedRow(cid);
    const defects: string[] = [];
    let [blocks, bytes, bad] = [0, 0, 0];
    let keys = table.blocksFrom(id, 0, pageMax);
    while (keys.length > 0) {
      for (const key of keys) {
        const defect = await defectOf(key);
        if (defect === null) bytes += store.bytesOf(key) ?? 0;
        else {
          bad += 1;
          if (defects.length < defectsShownMax) defects.push(`block ${blocks} (${key}) ${defect}`);
          await lose(key, defect);
        }
        blocks += 1;
      }
      keys = table.blocksFrom(id, blocks, pageMax);
    }
    if (bad === 0) return { blocks, bytes };
    const rest = bad > defects.length ? ` and ${bad - defects.length} more` : '';
    throw new AgentError('damaged', `${cid}: ${defects.join('; ')}${rest}`);
  }

  return { prove, verify };
}
