/**
 * Maintenance: who leads by whose will, drains, pauses, leaving and forgetting, whether this node
 * may stop, and why somebody leads. Everything asks the agent; nothing here decides.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { stopTurnMsMax } from '../wire/operation-command.ts';
import { leaderAnswer } from './probe-routes.ts';
import { ProblemError } from './problem.ts';
import { type Route, route } from './route.ts';

const name = z.object({ name: z.string().min(1).max(128) });
const owner = z.string().min(1).max(128).default('unknown');
const why = z.string().max(500).default('');
const by = z.strictObject({ owner, reason: why }).nullish();
const someone = { owner: 'unknown', reason: '' };
const turnMsDefault = 60_000;
const forMsMax = 30 * 86_400_000;

const candidate = z.object({
  name: z.string(),
  peerId: z.string(),
  role: z.string(),
  rank: z.int(),
  electable: z.boolean(),
  reason: z.string().nullable(),
  detail: z.string().nullable(),
});
const switched = leaderAnswer.extend({
  moved: z.boolean(),
  from: z.string(),
  to: z.string().nullable(),
  refused: z.string().nullable(),
  candidates: z.array(candidate),
});
const drain = z.object({
  name: z.string(),
  peerId: z.string(),
  draining: z.boolean(),
  drained: z.boolean(),
  leads: z.boolean(),
  owner: z.string().nullable(),
  reason: z.string().nullable(),
  since: z.string().nullable(),
  pinsAtRisk: z.int(),
  allocated: z.int(),
});
const pause = z.object({
  by: z.string(),
  reason: z.string(),
  since: z.string(),
  until: z.string().nullable(),
});
const reasons = z.array(z.object({ code: z.string(), detail: z.string() }));
const safety = z.object({ safe: z.boolean(), reasons });
const account = z.record(z.string(), z.unknown());
const done = z.object({ done: z.literal(true) });

function leadRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'POST',
      url: '/v1/leader/transfer',
      summary: 'Hands the lead over, after asking the candidates whether they can lead now',
      access: 'write',
      body: z
        .strictObject({
          to: z.string().min(1).max(128).optional(),
          /** Only asks. */
          dryRun: z.boolean().default(false),
        })
        .nullish(),
      answers: {
        200: {
          description: 'Done and confirmed by the new leader, or a dry run',
          schema: switched,
        },
        409: { description: 'It did not happen; `candidates` tells why for each of them' },
        503: { description: 'No leader is known; nothing changed' },
      },
      handle: async ({ body }) => {
        const { to = null, dryRun = false } = body ?? {};
        const answer = await agent.operations.switchover({ to, dryRun });
        const { refused, candidates } = answer;
        if (refused !== null) throw new ProblemError('conflict', refused, { candidates });
        return answer;
      },
    }),
    route({
      method: 'GET',
      url: '/v1/why/leader',
      summary: 'Why the leader leads: its ballot, counted again',
      access: 'read',
      answers: { 200: { description: 'Leader, term and ballot', schema: account } },
      handle: () => agent.operations.whyLeader(),
    }),
    route({
      method: 'GET',
      url: '/v1/why/members/{name}',
      summary: 'Why this member does not lead: one code',
      access: 'read',
      params: name,
      answers: { 200: { description: 'The code', schema: account } },
      handle: ({ params }) => agent.operations.whyNot(params.name),
    }),
    route({
      method: 'GET',
      url: '/v1/why/elections/{term}',
      summary:
        'How the election of a term went: the winner, what came to nothing, all counted again',
      access: 'read',
      params: z.object({ term: z.coerce.number().int().min(0) }),
      answers: {
        200: { description: 'The election', schema: account },
        404: { description: 'Nobody remembers a ballot of that term' },
      },
      handle: ({ params }) => agent.operations.whyElection(params.term),
    }),
  ];
}

function memberRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/drains/{name}',
      summary: 'How far a member is drained',
      access: 'read',
      params: name,
      answers: { 200: { description: 'The drain', schema: drain } },
      handle: ({ params }) => agent.operations.drainState(params.name),
    }),
    route({
      method: 'PUT',
      url: '/v1/drains/{name}',
      summary: 'Drains a member: no lead, no new copies, its copies are made elsewhere',
      access: 'write',
      params: name,
      body: by,
      answers: { 200: { description: 'The drain', schema: drain } },
      handle: ({ params, body }) => agent.operations.drain(params.name, body ?? someone),
    }),
    route({
      method: 'DELETE',
      url: '/v1/drains/{name}',
      summary: 'Ends a drain',
      access: 'write',
      params: name,
      answers: { 200: { description: 'Not draining any more', schema: drain } },
      handle: ({ params }) => agent.operations.undrain(params.name),
    }),
    route({
      method: 'DELETE',
      url: '/v1/members/{name}',
      summary: 'Forgets a member that is gone for good; it stays gone until it joins anew',
      access: 'write',
      params: name,
      query: z.strictObject({ force: z.stringbool().default(false), owner }),
      answers: {
        200: { description: 'Forgotten', schema: done },
        409: { description: 'It is alive, or it is this node' },
        503: { description: 'No quorum for the change of voters; nothing changed' },
      },
      handle: async ({ params, query }) => {
        await agent.operations.forget(params.name, query);
        return { done: true };
      },
    }),
    route({
      method: 'POST',
      url: '/v1/leave',
      summary: 'This node stops being a member; its process ends soon after',
      access: 'write',
      body: z.strictObject({ force: z.boolean().default(false), owner }).nullish(),
      answers: {
        200: { description: 'It has left', schema: done },
        409: { description: 'It would be missed, or nobody else can lead' },
      },
      handle: async ({ body }) => {
        await agent.operations.leave(body ?? { force: false, owner: someone.owner });
        return { done: true };
      },
    }),
  ];
}

function clusterRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/v1/pause',
      summary: 'The pause in force, or null',
      access: 'read',
      answers: { 200: { description: 'Pause', schema: z.object({ pause: pause.nullable() }) } },
      handle: async () => ({ pause: await agent.operations.paused() }),
    }),
    route({
      method: 'PUT',
      url: '/v1/pause',
      summary: 'Pauses every automatic action of the cluster, until resumed or for a time',
      access: 'write',
      body: z
        .strictObject({ owner, reason: why, forMs: z.int().min(1).max(forMsMax).nullish() })
        .nullish(),
      answers: { 200: { description: 'Paused', schema: pause } },
      handle: ({ body }) => agent.operations.pause(body ?? someone, body?.forMs ?? null),
    }),
    route({
      method: 'DELETE',
      url: '/v1/pause',
      summary: 'Ends the pause',
      access: 'write',
      answers: {
        200: { description: 'Automatic actions go on', schema: done },
        404: { description: 'Nothing was paused' },
      },
      handle: async () => {
        await agent.operations.resume();
        return { done: true };
      },
    }),
  ];
}

function stopRoutes(agent: Agent): Route[] {
  return [
    route({
      method: 'GET',
      url: '/safe-to-stop',
      summary: 'Stopping this node keeps the quorum and every pin at its minimum; asks the leader',
      access: 'read',
      answers: {
        200: { description: 'It may stop now', schema: safety },
        503: { description: 'It should not: the reasons', schema: safety },
      },
      handle: async (_, { reply }) => {
        const answer = await agent.operations.safeToStop(null);
        if (!answer.safe) reply.code(503);
        return answer;
      },
    }),
    route({
      method: 'POST',
      url: '/v1/safe-to-stop',
      summary: 'The same, and nobody else is told that it may stop until this node is back',
      access: 'write',
      body: z
        .strictObject({ forMs: z.int().min(1000).max(stopTurnMsMax).default(turnMsDefault) })
        .nullish(),
      answers: {
        200: { description: 'It may stop now, and has the turn for that time', schema: safety },
        503: { description: 'It should not: the reasons', schema: safety },
      },
      handle: async ({ body }, { reply }) => {
        const answer = await agent.operations.safeToStop(body?.forMs ?? turnMsDefault);
        if (!answer.safe) reply.code(503);
        return answer;
      },
    }),
    route({
      method: 'DELETE',
      url: '/v1/safe-to-stop',
      summary: 'Gives the turn back: this node stays',
      access: 'write',
      answers: {
        200: { description: 'Another one may have the turn', schema: done },
        404: { description: 'It had none' },
      },
      handle: async () => {
        await agent.operations.stay();
        return { done: true };
      },
    }),
  ];
}

export const createOperationRoutes = (agent: Agent): Route[] => [
  ...leadRoutes(agent),
  ...memberRoutes(agent),
  ...clusterRoutes(agent),
  ...stopRoutes(agent),
];
