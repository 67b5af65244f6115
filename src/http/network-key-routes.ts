/**
 * The private network's keys: which are accepted and sent, who has followed, and the three steps of
 * a rotation. Answers name keys by fingerprint; a key itself is in none of them.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { type Route, route } from './route.ts';

const owner = z.string().min(1).max(128).default('unknown');
const someone = 'unknown';
const forced = z.strictObject({ owner, force: z.boolean().default(false) }).nullish();
const unforced = { owner: someone, force: false };

const shown = z.object({
  keys: z.array(
    z.object({
      fingerprint: z.string(),
      state: z.enum(['added', 'sending', 'accepted']),
      since: z.string().nullable(),
      by: z.string().nullable(),
    }),
  ),
  sending: z.string(),
  next: z.string().nullable(),
  members: z.array(
    z.object({
      name: z.string(),
      peerId: z.string(),
      state: z.string(),
      follows: z.boolean(),
      detail: z.string().nullable(),
      accepts: z.array(z.string()).nullable(),
      sends: z.string().nullable(),
      file: z.string().nullable(),
    }),
  ),
});

export const createNetworkKeyRoutes = (agent: Agent): Route[] => [
  route({
    method: 'GET',
    url: '/v1/network-keys',
    summary: 'The network keys by fingerprint, and which member has followed',
    access: 'read',
    answers: { 200: { description: 'Keys and members', schema: shown } },
    handle: () => agent.operations.networkKeys.show(),
  }),
  route({
    method: 'POST',
    url: '/v1/network-keys',
    summary: 'Adds a new network key, which everybody accepts and sends once all accept it',
    access: 'write',
    body: z.strictObject({ owner }).nullish(),
    answers: {
      200: { description: 'Added', schema: shown },
      409: { description: 'One is on its way already, or a member cannot follow' },
    },
    handle: ({ body }) => agent.operations.networkKeys.rotate(body?.owner ?? someone),
  }),
  route({
    method: 'POST',
    url: '/v1/network-keys/switch',
    summary: 'Everybody dials with the added key; the leader does this by itself, too',
    access: 'write',
    body: forced,
    answers: {
      200: { description: 'It is the one that is sent', schema: shown },
      409: { description: 'A running member has not followed, or there is nothing to switch to' },
    },
    handle: ({ body }) => agent.operations.networkKeys.switchOver(body ?? unforced),
  }),
  route({
    method: 'POST',
    url: '/v1/network-keys/retire',
    summary: 'Drops every network key but the one that is sent',
    access: 'write',
    body: forced,
    answers: {
      200: { description: 'Only one is accepted', schema: shown },
      409: { description: 'A member was not seen with the new key, or there is nothing to retire' },
    },
    handle: ({ body }) => agent.operations.networkKeys.retire(body ?? unforced),
  }),
];
