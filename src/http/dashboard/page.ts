/** The parts of the node's own status page that the dashboard is made of. */
import { z } from 'zod';

const figure = z.number().nullable().catch(null);

const pageSchema = z.looseObject({
  content: z.looseObject({ engine: z.string() }),
  replication: z
    .looseObject({
      pins: z.number(),
      underReplicated: z.number(),
      overReplicated: z.number(),
      bytesStored: figure,
      bytesFree: figure,
    })
    .nullable(),
  index: z.record(z.string(), z.number()),
  health: z.looseObject({
    score: z.number().nullable(),
    reasons: z.array(z.looseObject({ code: z.string() })),
    components: z.array(z.looseObject({ name: z.string(), score: z.int() })),
  }),
  daemons: z.record(z.string(), z.looseObject({ score: z.int().nullable() })),
});
export type Page = z.infer<typeof pageSchema>;

export const pageOf = (status: unknown): Page => pageSchema.parse(status);
