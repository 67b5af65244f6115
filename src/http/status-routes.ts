/**
 * What the node knows of itself and the cluster: the status page, members, metrics and
 * tasks. All answer from snapshots that the agent keeps.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import { freshness, withFreshness } from './fields.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { type Route, route } from './route.ts';

const anyObject = z.record(z.string(), z.unknown());

const task = z.object({
  id: z.string(),
  kind: z.enum(['add', 'get']),
  state: z.enum(['running', 'done', 'failed']),
  bytesDone: z.int(),
  bytesTotal: z.int().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  error: z.string().nullable(),
  result: z.unknown(),
});

export function createStatusRoutes(agent: Agent, metrics: HttpMetrics): Route[] {
  return [
    route({
      method: 'GET',
      url: '/status',
      summary: 'The page every peer asks for: cluster, election, members, log, replication',
      access: 'read',
      answers: { 200: { description: 'The status page', schema: anyObject } },
      handle: () => agent.status(),
    }),
    route({
      method: 'GET',
      url: '/metrics',
      summary: 'Prometheus metrics of the agent and of this port',
      access: 'read',
      answers: { 200: { description: 'Metrics', types: ['text/plain; version=0.0.4'] } },
      handle: async (_, { reply }) => {
        const text = `${await agent.metrics()}\n${metrics.render()}`;
        return reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(text);
      },
    }),
    route({
      method: 'GET',
      url: '/v1/members',
      summary: 'Every member with role, addresses, state and age of the last word from it',
      access: 'read',
      answers: {
        200: {
          description: 'Members',
          schema: z.object({ members: z.array(anyObject), ...freshness }),
        },
      },
      handle: async (_, { reply }) => {
        const { members } = await agent.status();
        const list = { members: Array.isArray(members) ? members : [] };
        return withFreshness(reply, agent.freshness(), list);
      },
    }),
    route({
      method: 'GET',
      url: '/v1/members/{name}',
      summary: 'One member with its resources and the age of each',
      access: 'read',
      params: z.object({ name: z.string().min(1).max(128) }),
      answers: {
        200: { description: 'The member', schema: anyObject },
        404: { description: 'No such member' },
      },
      handle: async ({ params }) => {
        const member = await agent.member(params.name);
        if (member === null)
          throw new AgentError(
            'not-found',
            `no member is called '${params.name}'; see /v1/members`,
          );
        return member;
      },
    }),
    route({
      method: 'GET',
      url: '/v1/tasks',
      summary: 'Long work of this node: what runs and what ended lately',
      access: 'read',
      answers: { 200: { description: 'Tasks', schema: z.object({ tasks: z.array(task) }) } },
      handle: () => ({ tasks: agent.tasks() }),
    }),
    route({
      method: 'GET',
      url: '/v1/tasks/{id}',
      summary: 'One task with its progress',
      access: 'read',
      params: z.object({ id: z.string().min(1).max(128) }),
      answers: {
        200: { description: 'The task', schema: task },
        404: { description: 'No such task' },
      },
      handle: ({ params }) => {
        const found = agent.tasks().find(({ id }) => id === params.id);
        if (!found) throw new AgentError('not-found', `no task '${params.id}'; see /v1/tasks`);
        return found;
      },
    }),
  ];
}
