/**
 * Commands by which people maintain a cluster: a drain empties a node of lead and copies, a pause
 * stops every automatic action of the whole cluster. Both name who asked and why; both stand in the
 * log, so that they survive a restart of every node and hold wherever the lead goes.
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

export const operationCommands = [drainSet, drainClear, pauseSet, pauseClear] as const;
