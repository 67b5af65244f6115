/**
 * Pins: what is to be kept, in how many copies, and where the copies are. Desired state is changed
 * by proposals; where copies are is what the answering node knows, with the age of each report.
 */
import { z } from 'zod';
import type { Agent, PinReport } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import type { Command } from '../wire/command.ts';
import {
  after,
  appliedOf,
  cidOf,
  expectedVersion,
  expectedVersionOf,
  freshness,
  limit,
  proposeFor,
  timeoutMs,
  withFreshness,
} from './fields.ts';
import { type Exchange, type Route, route } from './route.ts';

export const minCopiesDefault = 2;
export const maxCopiesDefault = 3;

const copies = z.int().min(1).max(100);
const wish = {
  name: z.string().max(512).optional(),
  min: copies.optional(),
  max: copies.optional(),
  labels: z.record(z.string().max(63), z.string().max(255)).optional(),
  /** RFC 3339; the pin ends then. */
  expiresAt: z.iso.datetime({ offset: true }).nullable().optional(),
};
const pinWish = z.strictObject(wish);
type PinWish = z.infer<typeof pinWish>;

const pinReport = z.object({
  cid: z.string(),
  name: z.string(),
  bytes: z.int().nullable(),
  min: z.int(),
  max: z.int(),
  version: z.int(),
  allocations: z.array(z.string()),
  verified: z.int(),
  copies: z.array(z.record(z.string(), z.unknown())),
});
const written = z.object({ cid: z.string(), version: z.int().nullable(), index: z.int() });
const cidParams = z.object({ cid: z.string().min(1).max(200) });
const writeQuery = z.object({ timeoutMs, expectedVersion });
const writeHeaders = {
  'Idempotency-Key': 'A repeat with the same key answers the result of the first, on any node',
  'If-Match': 'The version in quotes that the pin must have',
};

/** The pin as it is, or null; what a wish leaves out stays as it is. */
async function pinNow(agent: Agent, cid: string): Promise<PinReport | null> {
  try {
    return await agent.pin(cid);
  } catch (thrown) {
    if (thrown instanceof AgentError && thrown.code === 'not-found') return null;
    throw thrown;
  }
}

function pinCommand(cid: string, wanted: PinWish, now: PinReport | null, expected: number | null) {
  const min = wanted.min ?? now?.min ?? Math.min(minCopiesDefault, wanted.max ?? 100);
  const max = wanted.max ?? Math.max(min, now?.max ?? maxCopiesDefault);
  if (min > max)
    throw new AgentError('bad-request', `body.min: got ${min}. It takes at most max, here ${max}`);
  return {
    type: 'pin.put',
    cid,
    name: wanted.name ?? now?.name ?? '',
    bytes: now?.bytes ?? null,
    blocks: null,
    min,
    max,
    labels: wanted.labels ?? {},
    expiresAtMs: typeof wanted.expiresAt === 'string' ? Date.parse(wanted.expiresAt) : null,
    expectedVersion: expected,
  } satisfies Command;
}

export function createPinRoutes(agent: Agent): Route[] {
  async function put(
    text: string,
    wanted: PinWish,
    query: z.infer<typeof writeQuery>,
    { request }: Exchange,
  ) {
    const cid = cidOf(text);
    const expected = expectedVersionOf(request, query.expectedVersion);
    const command = pinCommand(cid, wanted, await pinNow(agent, cid), expected);
    const result = appliedOf(await proposeFor(agent, request, command, query.timeoutMs));
    return { cid, version: result.version, index: result.index };
  }

  return [
    route({
      method: 'GET',
      url: '/v1/pins',
      summary: 'Pins in the order of their CIDs, with their copies',
      access: 'read',
      query: z.object({ after, limit }),
      answers: {
        200: {
          description: 'A page; `next` goes into `after`, null at the end',
          schema: z.object({ pins: z.array(pinReport), next: z.string().nullable(), ...freshness }),
        },
      },
      handle: async ({ query }, { reply }) => {
        const page = await agent.pins(query.after ?? null, query.limit);
        return withFreshness(reply, agent.freshness(), page);
      },
    }),
    route({
      method: 'GET',
      url: '/v1/pins/{cid}',
      summary: 'One pin with its copies per node',
      access: 'read',
      params: cidParams,
      answers: {
        200: { description: 'The pin', schema: pinReport.extend(freshness) },
        404: { description: 'Not pinned' },
      },
      handle: async ({ params }, { reply }) => {
        const pin = await agent.pin(cidOf(params.cid));
        reply.header('etag', `"${pin.version}"`);
        return withFreshness(reply, agent.freshness(), pin);
      },
    }),
    route({
      method: 'PUT',
      url: '/v1/pins/{cid}',
      summary: 'Pins a CID, or changes what is wanted of it',
      access: 'write',
      params: cidParams,
      query: writeQuery,
      body: pinWish.nullish(),
      headers: { ...writeHeaders, 'If-None-Match': '* : it must not be pinned yet' },
      answers: { 200: { description: 'Committed and applied', schema: written } },
      handle: ({ params, query, body }, exchange) => put(params.cid, body ?? {}, query, exchange),
    }),
    route({
      method: 'POST',
      url: '/v1/pins',
      summary: 'Pins a CID named in the body',
      access: 'write',
      query: writeQuery,
      body: z.strictObject({ cid: z.string().min(1).max(200), ...wish }),
      headers: writeHeaders,
      answers: { 200: { description: 'Committed and applied', schema: written } },
      handle: ({ query, body: { cid, ...wanted } }, exchange) => put(cid, wanted, query, exchange),
    }),
    route({
      method: 'DELETE',
      url: '/v1/pins/{cid}',
      summary: 'Unpins; nodes delete the blocks once they have applied it',
      access: 'write',
      params: cidParams,
      query: writeQuery,
      headers: writeHeaders,
      answers: {
        200: { description: 'Committed and applied', schema: written },
        404: { description: 'Not pinned' },
      },
      handle: async ({ params, query }, { request }) => {
        const cid = cidOf(params.cid);
        const expected = expectedVersionOf(request, query.expectedVersion);
        const command: Command = { type: 'pin.rm', cid, expectedVersion: expected };
        const result = appliedOf(await proposeFor(agent, request, command, query.timeoutMs));
        return { cid, version: result.version, index: result.index };
      },
    }),
  ];
}
