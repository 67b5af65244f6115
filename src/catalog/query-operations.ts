/** What is drained and whether the cluster is paused; both tables are small. */
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { clusterScope } from './apply-operations.ts';
import { defineQuery, statement } from './query.ts';

export interface Drain {
  readonly peer: PeerId;
  readonly owner: string;
  readonly reason: string;
  /** Wall time of whoever asked. */
  readonly sinceMs: number;
}

export interface Pause {
  readonly owner: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** null: until somebody resumes. */
  readonly expiresAtMs: number | null;
}

export interface OperationRecords {
  readonly drains: readonly Drain[];
  /** Also when it has expired: whoever asks compares with its clock. */
  readonly pause: Pause | null;
}

export const operations = defineQuery(z.object({}), (db): OperationRecords => {
  const drains = statement(db, 'SELECT * FROM drains ORDER BY peer')
    .all()
    .map((row) => ({
      peer: String(row.peer),
      owner: String(row.owner),
      reason: String(row.reason),
      sinceMs: Number(row.at_ms),
    }));
  const row = statement(db, 'SELECT * FROM pauses WHERE scope = ?').get(clusterScope);
  if (row === undefined) return { drains, pause: null };
  const pause = {
    owner: String(row.owner),
    reason: String(row.reason),
    sinceMs: Number(row.at_ms),
    expiresAtMs: row.expires_at_ms === null ? null : Number(row.expires_at_ms),
  };
  return { drains, pause };
});
