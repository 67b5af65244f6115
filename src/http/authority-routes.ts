/**
 * The cluster's authority: which keys count, who is certified by which, another one, and the end of
 * the former ones. Keys are named by fingerprint, the beginning of the public key.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { roles } from '../wire/member.ts';
import { type Route, route } from './route.ts';

const fingerprint = z.string();
const names = z.array(z.string());

export function createAuthorityRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/authority',
      summary: 'Which authority keys count, and by which one each member is certified',
      access: 'read',
      answers: {
        200: {
          description: 'Oldest key first; members as far as this node saw their certificates',
          schema: z.object({
            authorities: z.array(
              z.object({ fingerprint, state: z.enum(['signing', 'accepted', 'retired']) }),
            ),
            members: z.array(
              z.object({
                ...{ name: z.string(), peerId: z.string(), role: z.enum(roles) },
                authority: fingerprint.nullable(),
                followed: z.boolean(),
              }),
            ),
            statementsIgnored: z.number(),
          }),
        },
      },
      handle: async () => agent.identity().authorities(),
    }),
    route({
      method: 'POST',
      url: '/v1/authority/rotate',
      summary: 'Makes a new authority key that signs from here on; only a master can',
      access: 'write',
      answers: {
        200: {
          description: 'It signs; members take a certificate of it within seconds',
          schema: z.object({ fingerprint, was: fingerprint, heldBy: names, waiting: names }),
        },
        403: { description: 'This node is no master' },
        409: { description: 'Another master was first, or too many keys count' },
      },
      handle: () => agent.identity().rotateAuthority(),
    }),
    route({
      method: 'POST',
      url: '/v1/authority/retire',
      summary: 'Former authority keys count no more; only a master can',
      access: 'write',
      body: z.strictObject({ force: z.boolean().default(false) }).nullish(),
      answers: {
        200: {
          description: 'What the former keys signed gives no rights any more',
          schema: z.object({
            ...{ fingerprint, retired: z.array(fingerprint), behind: names },
            tokensEnded: z.number(),
          }),
        },
        403: { description: 'This node is no master' },
        409: { description: 'There is no former key, or members are certified by one' },
      },
      handle: ({ body }) => agent.identity().retireAuthority(body?.force ?? false),
    }),
  ];
}
