/**
 * How far a Filecoin node has come, from whatever it tells: Lotus its active syncs, Forest a status
 * of its own, both the head's age. Synced means: no active sync that is behind, and a head within a
 * few epochs of now.
 */
import type { DaemonPhase } from '../../health/daemon-score.ts';

export type SyncStatus = 'synced' | 'syncing' | 'checking' | 'error';

/** Epochs that a head may be behind and still count as there. */
const epochsMax = 5;

const stageErrored = 5;
const workingStages = new Set([1, 2, 3, 6]);

export interface ActiveSync {
  readonly stage: number;
  /** How far this sync has come. */
  readonly height: number;
  readonly targetHeight: number | null;
}

export interface SyncLook {
  /** null: the head is not known yet. */
  readonly head: { readonly height: number; readonly timestampS: number } | null;
  /** null: the node has no such method. */
  readonly activeSyncs: readonly ActiveSync[] | null;
  /** Forest's word for it; null: it has none. */
  readonly forestStatus: string | null;
  /** Epochs behind by the node's own count; null: unknown. */
  readonly behind: number | null;
  readonly blockDelayS: number;
  readonly nowS: number;
}

export interface SyncView {
  readonly status: SyncStatus;
  readonly phase: DaemonPhase;
  /** Moves while the node gets on in this phase. */
  readonly progress: string | null;
  readonly headAgeS: number | null;
  readonly epochsBehind: number | null;
}

export function syncViewOf(look: SyncLook): SyncView {
  const { head, forestStatus } = look;
  if (head === null)
    return {
      status: 'checking',
      phase: 'idle',
      progress: null,
      headAgeS: null,
      epochsBehind: null,
    };
  const headAgeS = Math.max(0, look.nowS - head.timestampS);
  const epochsBehind = Math.max(look.behind ?? 0, Math.floor(headAgeS / look.blockDelayS));
  const working = (look.activeSyncs ?? []).filter(({ stage }) => workingStages.has(stage));
  const far = working.filter(
    ({ targetHeight }) => targetHeight === null || targetHeight - head.height > epochsMax,
  );
  const there = epochsBehind <= epochsMax;
  const failed =
    forestStatus === 'Error' ||
    (working.length === 0 && (look.activeSyncs?.at(-1)?.stage ?? 0) === stageErrored);
  const loads =
    !there && (far.length > 0 || forestStatus === 'Initializing' || forestStatus === 'Syncing');
  const status = there && far.length === 0 ? 'synced' : failed ? 'error' : 'syncing';
  const steps = far.map(({ stage, height }) => `${stage}:${height}`).join(' ');
  return {
    status,
    phase: loads ? 'downloading' : 'following',
    progress: loads ? `${head.height} ${steps}`.trim() : String(head.height),
    headAgeS,
    epochsBehind,
  };
}
