/**
 * The probes, for load balancers, Kubernetes and systemd: the status code is the answer. `/livez`
 * depends on nothing but this process turning; none of them waits for a peer or a daemon.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { roles } from '../wire/member.ts';
import { type Route, route } from './route.ts';

const leaderNode = z.object({
  name: z.string(),
  peerId: z.string(),
  role: z.enum(roles),
  statusUrl: z.string().nullable(),
});

export const leaderAnswer = z.object({
  acting: z.boolean(),
  leader: leaderNode.nullable(),
  term: z.int(),
  since: z.string().nullable(),
  reason: z.string().nullable(),
});

const readiness = z.object({
  ready: z.boolean(),
  unmet: z.array(z.string()),
  mode: z.enum(['normal', 'degraded']),
  degradedReason: z.string().nullable(),
});

export function createProbeRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/livez',
      summary: 'The process turns; depends on nothing else',
      access: 'read',
      answers: { 200: { description: 'Alive', schema: z.object({ alive: z.literal(true) }) } },
      handle: () => ({ alive: true }),
    }),
    route({
      method: 'GET',
      url: '/readyz',
      summary: 'Joined, catalog replayed, a leader is known',
      access: 'read',
      answers: {
        200: { description: 'Ready', schema: readiness },
        503: { description: 'Not ready: the unmet conditions by name', schema: readiness },
      },
      handle: (_, { reply }) => {
        const answer = agent.readiness();
        if (!answer.ready) reply.code(503);
        return answer;
      },
    }),
    route({
      method: 'GET',
      url: '/leader',
      summary: 'This node leads and acts right now',
      access: 'read',
      answers: {
        200: { description: 'It leads and its lease holds', schema: leaderAnswer },
        503: { description: 'It does not: who does, and why', schema: leaderAnswer },
      },
      handle: (_, { reply }) => {
        const answer = agent.leader();
        if (!answer.acting) reply.code(503);
        return answer;
      },
    }),
  ];
}
