/**
 * Join tokens and revocations. A token's text is in the answer that makes it and nowhere else; the
 * list shows what each allows and whether it is used.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { roles } from '../wire/member.ts';
import { type Route, route } from './route.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, {
  error: 'It takes 1 to 63 of a-z, 0-9, dot and hyphen, starting with a letter or digit',
});
const role = z.enum(roles);
const ttlSecondsMax = 30 * 86_400;

const tokenFields = {
  id: z.string(),
  role,
  name: z.string().nullable(),
  expiresAt: z.string(),
};

export function createIdentityRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'POST',
      url: '/v1/tokens',
      summary: 'Makes a one-time token for `bellwether join`; only a master can',
      access: 'write',
      body: z.strictObject({
        role,
        name: name.optional(),
        zone: z.string().min(1).max(63).optional(),
        ttlSeconds: z.number().min(1).max(ttlSecondsMax).default(3600),
      }),
      answers: {
        201: {
          description: 'The token; it is shown once',
          schema: z.object({ token: z.string(), ...tokenFields }),
        },
        403: { description: 'This node is no master' },
      },
      handle: async ({ body }, { reply }) => {
        const { token, id, role, name, expiresAtMs } = await agent.identity().createToken({
          role: body.role,
          name: body.name ?? null,
          zone: body.zone ?? null,
          ttlMs: body.ttlSeconds * 1000,
        });
        const expiresAt = new Date(expiresAtMs).toISOString();
        return reply.code(201).send({ token, id, role, name, expiresAt });
      },
    }),
    route({
      method: 'GET',
      url: '/v1/tokens',
      summary: 'The tokens that were made, newest first, without their texts',
      access: 'read',
      answers: {
        200: {
          description: 'Tokens',
          schema: z.object({
            tokens: z.array(
              z.object({
                ...tokenFields,
                zone: z.string().nullable(),
                state: z.enum(['open', 'used', 'expired']),
                usedBy: z.string().nullable(),
              }),
            ),
          }),
        },
      },
      handle: async () => ({
        tokens: (await agent.identity().tokens()).map(({ expiresAtMs, ...rest }) => ({
          ...rest,
          expiresAt: new Date(expiresAtMs).toISOString(),
        })),
      }),
    }),
    route({
      method: 'POST',
      url: '/v1/members/{name}/role',
      summary: 'Certifies a member in another role, in place; only a master can',
      access: 'write',
      params: z.object({ name: z.string().min(1).max(128) }),
      body: z.strictObject({ role }),
      answers: {
        200: {
          description: 'It has the role; the member itself follows within a second of hearing it',
          schema: z.object({
            ...{ name: z.string(), peerId: z.string(), role, was: role },
            changed: z.boolean(),
            handedOver: z.boolean(),
          }),
        },
        403: { description: 'This node is no master' },
        404: { description: 'No such member' },
        409: { description: 'It would leave no master, or nobody who may lead' },
      },
      handle: ({ params, body }) => agent.identity().setRole(params.name, body.role),
    }),
    route({
      method: 'POST',
      url: '/v1/members/{name}/revoke',
      summary: 'Forgets a member and refuses its key for good; only a master can',
      access: 'write',
      params: z.object({ name: z.string().min(1).max(128) }),
      body: z.strictObject({ reason: z.string().max(200).optional() }).nullish(),
      answers: {
        200: {
          description: 'Revoked',
          schema: z.object({ revoked: z.string(), peerId: z.string() }),
        },
        404: { description: 'No such member' },
        409: { description: 'It leads: hand the lead over first' },
      },
      handle: async ({ params, body }) => {
        const { peerId } = await agent.identity().revoke(params.name, body?.reason ?? '');
        return { revoked: params.name, peerId };
      },
    }),
  ];
}
