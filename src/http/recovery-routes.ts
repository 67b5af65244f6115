/**
 * Backups out of a running agent. A backup holds everything that the cluster knows, so it wants the
 * token although it changes nothing.
 */
import { Readable } from 'node:stream';
import type { Agent } from '../agent/api.ts';
import { type Route, route } from './route.ts';

const backupType = 'application/octet-stream';

export function createRecoveryRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/backup',
      summary: 'A backup of catalog, configuration and epoch, consistent and with its checksums',
      access: 'write',
      answers: { 200: { description: 'The backup', types: [backupType] } },
      handle: async (_, { reply }) => {
        const bytes = await agent.recovery.backup();
        const body = Readable.from(bytes, { objectMode: false });
        return reply.header('content-type', backupType).send(body);
      },
    }),
  ];
}
