/**
 * Whose log this is: cluster, epoch and the peer id of the identity key. Key and log live and die
 * together, so a log that was made for another identity, cluster or epoch is refused by name. The
 * header is written last when a log is made: without it there is no log yet.
 */
import { z } from 'zod';
import type { ClusterId, EpochId, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

export interface StoreHeader {
  readonly format: 1;
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  readonly identity: PeerId;
}

export const headerName = 'header';

const schema = z.object({
  format: z.literal(1),
  clusterId: z.string(),
  epoch: z.string(),
  identity: z.string(),
});

export function parseHeader(value: unknown): StoreHeader {
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new AgentError('damaged', `the log's header: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Refuses a log of another identity, cluster or epoch; the text names both sides. */
export function checkHeader(
  found: StoreHeader,
  own: Omit<StoreHeader, 'format'>,
  dir: string,
): void {
  if (found.identity !== own.identity)
    throw new AgentError(
      'damaged',
      `the log in ${dir} belongs to the identity ${found.identity}, but this node's key is ` +
        `${own.identity}: key and log live and die together`,
    );
  if (found.clusterId !== own.clusterId)
    throw new AgentError(
      'cluster-mismatch',
      `the log in ${dir} belongs to the cluster ${found.clusterId}, not ${own.clusterId}`,
    );
  if (found.epoch !== own.epoch)
    throw new AgentError(
      'epoch-mismatch',
      `the log in ${dir} belongs to the epoch ${found.epoch}, not ${own.epoch}`,
    );
}
