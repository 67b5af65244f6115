/**
 * Commands by which people maintain a cluster: a drain empties a node of lead and copies, a pause
 * stops every automatic action of the whole cluster; both name who asked and why. A turn to stop is
 * given to one member at a time. All stand in the log, so that they survive a restart of every node
 * and hold wherever the lead goes.
 */
import { z } from 'zod';

const peer = z.string().min(1).max(128);
const owner = z.string().min(1).max(128);
const reason = z.string().max(500);

const drainSet = z.looseObject({ type: z.literal('drain.set'), peer, owner, reason });
const drainClear = z.looseObject({ type: z.literal('drain.clear'), peer });

const pauseSet = z.looseObject({
  type: z.literal('pause.set'),
  owner,
  reason,
  /** Wall time, ms since the Unix epoch; null: until somebody resumes. */
  expiresAtMs: z.number().nullable(),
});
const pauseClear = z.looseObject({ type: z.literal('pause.clear') });

/** Longest time for which a member may be told that it is its turn to stop. */
export const stopTurnMsMax = 600_000;

/**
 * One member at a time is told that it may stop. The leader judges whether the turn before is over
 * and names the entry that gave it, so that of two at once one is refused.
 */
const stopReserve = z.looseObject({
  type: z.literal('stop.reserve'),
  peer,
  forMs: z.number().min(1).max(stopTurnMsMax),
  /** The entry that gave the turn which this one replaces; 0: nobody had one. */
  expectedVersion: z.int().min(0),
});
const stopRelease = z.looseObject({ type: z.literal('stop.release'), peer });

export const operationCommands = [
  ...[drainSet, drainClear, pauseSet, pauseClear],
  ...[stopReserve, stopRelease],
] as const;
