/**
 * The daemons of this node: what each is doing, its output, and the wishes of a person. Reads come
 * from the last look and never wait for a daemon; only a given `timeoutMs` runs a new look, with
 * that deadline.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import { daemonTypes } from '../daemons/api.ts';
import { daemonStates } from '../supervise/api.ts';
import { limit } from './fields.ts';
import { type Route, route } from './route.ts';

/** As in /api/: `ipfs_cluster` is the service. */
const typeNames = [...daemonTypes, 'ipfs_cluster'] as const;
const params = z.object({ type: z.enum(typeNames) });

const daemon = z.object({
  type: z.enum(daemonTypes),
  title: z.string(),
  mode: z.enum(['managed', 'external', 'off']),
  desired: z.enum(['started', 'stopped']),
  state: z.enum(daemonStates),
  autoHeal: z.boolean(),
  pid: z.int().nullable(),
  adopted: z.boolean(),
  ports: z.record(z.string(), z.int()),
  url: z.string().nullable(),
  folder: z.string().nullable(),
  binary: z.string().nullable(),
  restarts: z.int(),
  failures: z.int(),
  cooldownMsRemaining: z.int(),
  held: z.string().nullable(),
  steady: z.boolean(),
  lastFailure: z.object({ cause: z.string(), detail: z.string(), at: z.string() }).nullable(),
  lastHealAt: z.string().nullable(),
  alertSince: z.string().nullable(),
  finding: z
    .object({
      ready: z.boolean(),
      version: z.string().nullable(),
      detail: z.string(),
      progress: z.string().nullable(),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
      problems: z.array(z.object({ code: z.string(), text: z.string() })),
    })
    .nullable(),
  findingAt: z.string().nullable(),
  lastCheckAt: z.string().nullable(),
  checkError: z.string().nullable(),
  unenforced: z.array(z.string()),
  notes: z.array(z.string()),
});

const actTimeoutMs = z.coerce.number().int().min(1).max(120_000).default(60_000);
const actBody = z
  .strictObject({ force: z.boolean().optional(), timeoutMs: actTimeoutMs.optional() })
  .nullish();

const refusals = {
  404: { description: 'No such kind of daemon' },
  409: { description: '`daemon-external`, `daemon-off` or `cooling-down`; nothing was done' },
};

const acts = {
  start: 'Starts the daemon; `force` does not wait for a cool-down and restarts what runs',
  stop: 'Stops the daemon; remembered and not healed until a start',
  restart: 'Restarts the daemon; `force` does not wait for a cool-down',
} as const;

export function createDaemonRoutes(agent: Agent): Route[] {
  const one = (type: (typeof typeNames)[number]) =>
    agent.daemons.one(type === 'ipfs_cluster' ? 'ipfs_cluster_service' : type);

  const actRoutes = (['start', 'stop', 'restart'] as const).map((what) =>
    route({
      method: 'POST',
      url: `/v1/daemons/{type}/${what}`,
      summary: acts[what],
      access: 'local-write',
      params,
      body: actBody,
      answers: {
        200: {
          description: 'How it stands once that came about, failed, or the time was over',
          schema: daemon,
        },
        ...refusals,
      },
      handle: ({ params: { type }, body }) =>
        one(type).ask(what, {
          force: body?.force ?? false,
          timeoutMs: body?.timeoutMs ?? 60_000,
        }),
    }),
  );

  return [
    route({
      method: 'GET',
      url: '/v1/daemons',
      summary: 'The daemons of this node, from the last look at each',
      access: 'read',
      answers: {
        200: { description: 'Daemons', schema: z.object({ daemons: z.array(daemon) }) },
      },
      handle: () => ({ daemons: agent.daemons.views() }),
    }),
    route({
      method: 'GET',
      url: '/v1/daemons/{type}',
      summary: 'One daemon; with `timeoutMs` after a new look that may take so long',
      access: 'read',
      params,
      query: z.object({ timeoutMs: z.coerce.number().int().min(1).max(60_000).optional() }),
      answers: { 200: { description: 'The daemon', schema: daemon }, ...refusals },
      handle: ({ params: { type }, query }) =>
        query.timeoutMs === undefined ? one(type).view() : one(type).check(query.timeoutMs),
    }),
    route({
      method: 'PUT',
      url: '/v1/daemons/{type}',
      summary: 'Switches healing on or off; kept over restarts',
      access: 'local-write',
      params,
      body: z.strictObject({ auto_heal: z.boolean() }),
      answers: { 200: { description: 'The daemon', schema: daemon }, ...refusals },
      handle: ({ params: { type }, body }) => one(type).setAutoHeal(body.auto_heal),
    }),
    route({
      method: 'GET',
      url: '/v1/daemons/{type}/logs',
      summary: 'What the daemon printed: the newest lines, or those after a cursor',
      access: 'read',
      params,
      query: z.object({
        lines: limit,
        after: z
          .string()
          .regex(/^\d+:\d+$/)
          .optional(),
      }),
      answers: {
        200: {
          description: 'Lines, oldest first; `cursor` goes into `after`',
          schema: z.object({ lines: z.array(z.string()), cursor: z.string() }),
        },
        ...refusals,
      },
      handle: ({ params: { type }, query }) => {
        const { output } = one(type);
        if (output === null)
          throw new AgentError(
            'not-found',
            `${type}: its output is only here when this agent runs it (mode managed)`,
          );
        const { lines, after } = query;
        return after === undefined ? output.tail(lines) : output.after(after, lines);
      },
    }),
    ...actRoutes,
  ];
}
