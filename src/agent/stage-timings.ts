/**
 * Where the time of a write goes: from its append to fsynced, committed and applied. One sample per
 * batch, kept by the batch's last index, so that the cost is a few additions per batch and not per
 * write. At most `batchesMax` batches are followed at once; beyond that the oldest is dropped.
 */
import type { LogIndex } from '../base/brand.ts';
import type { AgentMetrics } from './metrics.ts';

const batchesMax = 4096;

interface Batch {
  readonly lastIndex: LogIndex;
  readonly appendedMs: number;
  committedMs: number | null;
}

export interface StageTimings {
  appended(lastIndex: LogIndex, nowMs: number): void;
  persisted(lastIndex: LogIndex, nowMs: number): void;
  committed(lastIndex: LogIndex, nowMs: number): void;
  applied(lastIndex: LogIndex, nowMs: number): void;
}

export function createStageTimings(metrics: AgentMetrics): StageTimings {
  let batches: Batch[] = [];
  return {
    appended: (lastIndex, nowMs) => {
      if (batches.length >= batchesMax) batches.shift();
      batches.push({ lastIndex, appendedMs: nowMs, committedMs: null });
    },
    persisted: (lastIndex, nowMs) => {
      for (const batch of batches)
        if (batch.lastIndex === lastIndex) metrics.stage('fsync', nowMs - batch.appendedMs);
    },
    committed: (lastIndex, nowMs) => {
      for (const batch of batches) {
        if (batch.lastIndex > lastIndex) break;
        if (batch.committedMs !== null) continue;
        batch.committedMs = nowMs;
        metrics.stage('commit', nowMs - batch.appendedMs);
      }
    },
    applied: (lastIndex, nowMs) => {
      const done = batches.filter((batch) => batch.lastIndex <= lastIndex);
      if (done.length === 0) return;
      batches = batches.slice(done.length);
      for (const batch of done)
        if (batch.committedMs !== null) metrics.stage('apply', nowMs - batch.committedMs);
    },
  };
}
