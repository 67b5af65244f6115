/**
 * The configuration that ipfs-cluster-follow starts from, as every agent serves it. It holds the
 * secret of the cluster, so it asks for the node's token, also as the password of a URL.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { type Route, route } from './route.ts';

export function createFederationRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/federation/service.json',
      summary: 'What `ipfs-cluster-follow NAME init URL` takes: peers, trusted peers, secret',
      access: 'local-write',
      answers: {
        200: { description: 'service.json', schema: z.record(z.string(), z.unknown()) },
        503: { description: 'No node runs an ipfs-cluster daemon yet' },
      },
      handle: () => agent.daemons.followTemplate(),
    }),
  ];
}
