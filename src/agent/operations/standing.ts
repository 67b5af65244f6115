/**
 * This node's idea of drains and pause, read from its own applied catalog, and what follows from it
 * for this node: told to the step machine whenever it changes. The guard that counts stands where
 * commands are applied; this view keeps the loops from asking for what would be refused.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { isOver } from '../../catalog/apply-operations.ts';
import type { OperationRecords, Pause } from '../../catalog/query-operations.ts';
import { createRounds } from '../replication/rounds.ts';
import type { Standing } from '../runtime.ts';

export interface StandingDeps {
  readonly self: PeerId;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  readonly wallMs: () => Ms;
  /** Why this node can't do a leader's duty now, or null. */
  readonly trouble: () => Promise<string | null>;
  readonly tell: (standing: Standing) => void;
  /** This node has the turn to stop, and runs. */
  readonly onOwnTurn: () => void;
  /** The catalog was looked at. */
  readonly onRound: () => void;
  readonly onFailure: (error: unknown) => void;
}

export interface StandingView {
  start(): void;
  stop(): Promise<void>;
  /** Entries were applied here. */
  poke(): void;
  /** Reads the catalog now. */
  read(): Promise<OperationRecords>;
  isDraining(peer: PeerId): boolean;
  /** The pause in force now, or null. */
  pause(): Pause | null;
}

const periodMs: Ms = 1000;

export function createStanding(deps: StandingDeps): StandingView {
  let records: OperationRecords = { drains: [], pause: null, stopping: null };
  let told = '';

  const isDraining = (peer: PeerId): boolean => records.drains.some((one) => one.peer === peer);
  const pause = (): Pause | null => {
    const { pause: found } = records;
    return found === null || isOver(found.expiresAtMs, deps.wallMs()) ? null : found;
  };

  async function read(): Promise<OperationRecords> {
    records = (await deps.query('operations', {})) as OperationRecords;
    return records;
  }

  async function round(): Promise<Ms> {
    const begunMs = performance.now();
    await read();
    if (records.stopping?.peer === deps.self) deps.onOwnTurn();
    const trouble = await deps.trouble();
    const standing = { draining: isDraining(deps.self), paused: pause() !== null, trouble };
    const text = JSON.stringify(standing);
    if (text !== told) {
      told = text;
      deps.tell(standing);
    }
    deps.onRound();
    return performance.now() - begunMs;
  }

  const rounds = createRounds({
    ...{ periodMs, gatherMs: 5, apartMs: 50, run: round },
    onFailure: deps.onFailure,
  });
  return { start: rounds.start, stop: rounds.stop, poke: rounds.poke, read, isDraining, pause };
}
