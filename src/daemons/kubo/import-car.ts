/** Puts the blocks of a CAR stream into kubo; pinning them is somebody else's decision. */
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';
import type { Endpoint } from '../api.ts';
import { createDaemonClient } from '../daemon-client.ts';

const lineSchema = z.looseObject({
  Stats: z.looseObject({ BlockCount: z.int() }).nullish(),
  Root: z.looseObject({ PinErrorMsg: z.string().optional() }).nullish(),
});

/** Resolves with the number of blocks when kubo has all of them. */
export async function importCar(
  kubo: Endpoint,
  car: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<number> {
  const client = createDaemonClient(kubo);
  try {
    const lines = await client.lines(lineSchema, {
      method: 'POST',
      path: '/api/v0/dag/import',
      query: { 'pin-roots': false, stats: true, 'allow-big-block': true },
      upload: car,
      signal,
    });
    const stats = lines.find((line) => line.Stats != null)?.Stats;
    if (stats == null) throw new AgentError('unavailable', 'kubo did not tell what it imported');
    return stats.BlockCount;
  } finally {
    await client.close();
  }
}
