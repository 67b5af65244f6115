/**
 * Backups out of a running agent, and what is asked of it before and for a new epoch. A backup
 * holds everything that the cluster knows, so it wants the token although it changes nothing.
 */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { type Route, route } from './route.ts';

const backupType = 'application/octet-stream';

const plan = z.looseObject({
  name: z.string(),
  epoch: z.int(),
  epochId: z.string(),
  lastIndex: z.int(),
  commitIndex: z.int(),
  voters: z.array(z.record(z.string(), z.unknown())),
  quorum: z.boolean(),
  lostMembers: z.array(z.string()),
  pinsOnlyOnLost: z.object({ count: z.int(), first: z.array(z.string()) }),
  warnings: z.array(z.string()),
});
const forced = z.object({
  epoch: z.int(),
  epochId: z.string(),
  parentEpochId: z.string(),
});

export function createRecoveryRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/backup',
      summary: 'A backup of catalog, configuration and epoch, consistent and with its checksums',
      access: 'write',
      query: z.object({ blocks: z.enum(['true', 'false']).default('false') }),
      answers: { 200: { description: 'The backup', types: [backupType] } },
      handle: async ({ query }, { reply }) => {
        const bytes = await agent.recovery.backup(query.blocks === 'true');
        const body = Readable.from(bytes, { objectMode: false });
        return reply.header('content-type', backupType).send(body);
      },
    }),
    route({
      method: 'GET',
      url: '/v1/recovery',
      summary: 'Asks every old voter and tells what a new epoch by force may lose',
      access: 'read',
      answers: { 200: { description: 'What is known now', schema: plan } },
      handle: () => agent.recovery.plan(),
    }),
    route({
      method: 'POST',
      url: '/v1/recovery',
      summary: 'Forces a new epoch with this node as its only voter; the agent starts again in it',
      access: 'write',
      body: z.strictObject({ oldEpoch: z.int().min(1) }),
      answers: {
        202: { description: 'Decided: the new epoch', schema: forced },
        409: { description: 'Another epoch, or a majority of the old voters answers' },
      },
      handle: async ({ body }, { reply }) => {
        const made = await agent.recovery.forceNewEpoch(body.oldEpoch);
        reply.code(202);
        return made;
      },
    }),
  ];
}
