/** What is drained, whether the cluster is paused, and whose turn it is to stop; small tables. */
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { clusterScope, stopScope } from './apply-operations.ts';
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

/** A member that was told that it may stop. */
export interface StopTurn {
  readonly peer: PeerId;
  /** The entry that gave the turn. */
  readonly version: number;
  /** How long it was given for; whoever asks measures that with its own clock. */
  readonly forMs: number;
}

export interface OperationRecords {
  readonly drains: readonly Drain[];
  /** Also when it has expired: whoever asks compares with its clock. */
  readonly pause: Pause | null;
  /** Also when its time is over. */
  readonly stopping: StopTurn | null;
}

function stopTurn(db: DatabaseSync): StopTurn | null {
  const row = statement(db, 'SELECT * FROM pauses WHERE scope = ?').get(stopScope);
  if (row === undefined) return null;
  const forMs = Number(row.expires_at_ms) - Number(row.at_ms);
  return { peer: String(row.owner), version: Number(row.at_index), forMs };
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
  const stopping = stopTurn(db);
  if (row === undefined) return { drains, pause: null, stopping };
  const pause = {
    owner: String(row.owner),
    reason: String(row.reason),
    sinceMs: Number(row.at_ms),
    expiresAtMs: row.expires_at_ms === null ? null : Number(row.expires_at_ms),
  };
  return { drains, pause, stopping };
});
