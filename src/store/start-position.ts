/**
 * Where the log starts: the snapshot or catalog state before its first entry, and the first segment
 * that is still needed. Durable in two copies before any segment is removed.
 */
import { z } from 'zod';
import type { SnapshotMeta } from '../consensus/api.ts';
import { configurationSchema } from '../wire/configuration.ts';

export interface StoredStart {
  /** Null while the log starts at entry 1. */
  readonly meta: SnapshotMeta | null;
  readonly firstSegment: number;
}

/** A snapshot's meta as it is stored. */
export const storedMetaSchema = z.looseObject({
  clusterId: z.string(),
  epoch: z.string(),
  index: z.int().min(0),
  term: z.int().min(0),
  hash: z.string().length(64),
  configuration: configurationSchema,
  configurationIndex: z.int().min(0),
});

const schema = z.object({
  meta: storedMetaSchema.nullable(),
  firstSegment: z.int().min(1),
});

export function parseStart(value: unknown): StoredStart {
  return schema.parse(value);
}
