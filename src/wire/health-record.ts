/**
 * How a node says it is, as gossip: its score with reasons and components, its machine, its
 * daemons, and whom it cannot reach. Its size does not grow with the cluster. Fields that an older
 * speaker leaves out get values that say nothing.
 */
import { z } from 'zod';
import { fingerprintSchema, networkKeysMax } from './network-key.ts';

const percent = z.number().min(0).max(100);
const score = z.int().min(0).max(100);
const bytes = z.number().min(0);
const short = z.string().max(64);

export const gpuSchema = z.looseObject({
  gpu_count: z.int().min(0).max(64),
  gpu_devices: z
    .array(
      z.looseObject({
        name: z.string().max(128),
        memory_total: bytes,
        memory_free: bytes,
        memory_used: bytes,
      }),
    )
    .max(16),
});
export type Gpu = z.infer<typeof gpuSchema>;

/** How a machine is used now. */
export const resourcesSchema = z.looseObject({
  /** null before the second look. */
  cpuPercent: percent.nullable(),
  memoryPercent: percent,
  diskPercent: percent.nullable(),
  diskFreeBytes: bytes.nullable(),
  load: z.array(z.number()).length(3),
  /** null where no driver tells. */
  gpu: gpuSchema.nullable(),
});
export type Resources = z.infer<typeof resourcesSchema>;

/** What a speaker says at most, so that the whole record fits into its message. */
export const reasonsSaidMax = 8;
export const detailCharactersMax = 160;

export const healthGossipSchema = z.looseObject({
  type: z.literal('health'),
  incarnation: z.int().min(0).default(0),
  /** Counts the records of this incarnation. */
  beat: z.int().min(0).default(0),
  score: score.nullable(),
  /** After hysteresis, so that everybody shows the same word. */
  grade: z.enum(['healthy', 'degraded', 'unhealthy']).nullable().default(null),
  reasons: z
    .array(
      z.looseObject({
        component: short.default(''),
        code: short,
        deduction: score.default(0),
        detail: z.string().max(256),
      }),
    )
    .max(16),
  components: z
    .array(z.looseObject({ name: short, score, weight: z.number().min(0).max(1000) }))
    .max(16)
    .default([]),
  resources: resourcesSchema.nullable().default(null),
  daemons: z
    .array(
      z.looseObject({
        type: short,
        mode: short,
        state: short,
        score: score.nullable(),
        version: short.nullable(),
      }),
    )
    .max(8)
    .default([]),
  /** Whether others can dial it, and who could not; null: not known. */
  dialable: z.boolean().nullable().optional(),
  notDialledBy: z.array(z.string().min(1).max(128)).max(8).optional(),
  /** The private network's keys in force, by fingerprint; an older program doesn't say. */
  networkKeys: z
    .looseObject({
      accepts: z.array(fingerprintSchema).max(networkKeysMax),
      sends: fingerprintSchema,
      /** The configured file that the first key came from. */
      file: z.string().max(256).nullable(),
    })
    .optional(),
  /** It stops on purpose and says so with its last word. */
  leaving: z.boolean().default(false),
  /** Whom it cannot reach, up to which of their own records. */
  accused: z
    .array(
      z.looseObject({
        peer: z.string().min(1).max(128),
        incarnation: z.int().min(0),
        beat: z.int().min(0),
      }),
    )
    .max(32)
    .default([]),
});
export type HealthGossip = z.infer<typeof healthGossipSchema>;
