/**
 * The shared index: entries by type and key, each with a version. Everyone reads its own copy and
 * sees how fresh it is; writes go through the leader and may be compare-and-set.
 */
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { type Command, indexTypes, type SimpleCommand } from '../wire/command.ts';
import {
  after,
  appliedOf,
  consistency,
  expectedVersion,
  expectedVersionOf,
  freshness,
  limit,
  proposeFor,
  timeoutMs,
  withFreshness,
} from './fields.ts';
import { ProblemError } from './problem.ts';
import { type Exchange, type Route, route } from './route.ts';

export const operationsMax = 1000;
export const keyCharactersMax = 512;

const key = z.string().min(1).max(keyCharactersMax);
const value = z.record(z.string(), z.unknown());
const entry = z.object({ key: z.string(), value, version: z.int() });
const page = z.object({ entries: z.array(entry), next: z.string().nullable() });
const typeParams = z.object({ type: z.enum(indexTypes) });
const keyParams = z.object({ type: z.enum(indexTypes), key });
const writeQuery = z.object({ timeoutMs, expectedVersion });
const written = z.object({ key: z.string(), version: z.int().nullable(), index: z.int() });
const operation = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('put'), key, value, expectedVersion }),
  z.strictObject({ op: z.literal('rm'), key, expectedVersion }),
]);
const writeHeaders = {
  'Idempotency-Key': 'A repeat with the same key answers the result of the first, on any node',
  'If-Match': 'The version in quotes that the entry must have',
  'If-None-Match': '* : the entry must not exist',
};

/** What the catalog answers to `index.get`; checked because it crosses a thread as plain data. */
const found = z.looseObject({ key: z.string(), value: z.unknown(), version: z.int() }).nullable();
const foundPage = z.looseObject({
  entries: z.array(z.looseObject({ key: z.string(), value: z.unknown(), version: z.int() })),
  next: z.string().nullable(),
});

type IndexKey = z.infer<typeof keyParams>;

export function createIndexRoutes(agent: Agent): Route[] {
  async function read(params: IndexKey, wanted: z.infer<typeof consistency>, timeout: number) {
    const args = { index: params.type, key: params.key };
    const options = { consistency: wanted, timeoutMs: timeout };
    const fresh = await agent.query('index.get', args, options);
    return { fresh, entry: found.parse(fresh.value) };
  }

  async function write(params: IndexKey, command: Command, timeout: number, { request }: Exchange) {
    const { index, version } = appliedOf(await proposeFor(agent, request, command, timeout));
    return { key: params.key, version, index };
  }

  return [
    route({
      method: 'GET',
      url: '/v1/index/{type}',
      summary: 'Entries of one index in the order of their keys',
      access: 'read',
      params: typeParams,
      query: z.object({
        prefix: z.string().max(keyCharactersMax).optional(),
        after,
        limit,
        consistency,
        timeoutMs,
      }),
      answers: {
        200: {
          description: 'A page; `next` goes into `after`, null at the end',
          schema: page.extend(freshness),
        },
      },
      handle: async ({ params, query }, { reply }) => {
        const { prefix = null, after: from = null, limit: most } = query;
        const args = { index: params.type, prefix, after: from, limit: most };
        const fresh = await agent.query('index.list', args, query);
        return withFreshness(reply, fresh, foundPage.parse(fresh.value));
      },
    }),
    route({
      method: 'POST',
      url: '/v1/index/{type}',
      summary: `Up to ${operationsMax} operations, all or none`,
      access: 'write',
      params: typeParams,
      query: z.object({ timeoutMs }),
      body: z.strictObject({ operations: z.array(operation).min(1).max(operationsMax) }),
      headers: { 'Idempotency-Key': writeHeaders['Idempotency-Key'] },
      answers: {
        200: {
          description: 'Committed and applied',
          schema: z.object({ operations: z.int(), index: z.int(), results: z.unknown() }),
        },
        409: { description: 'One operation was refused, so none was done' },
      },
      handle: async ({ params, query, body }, { request }) => {
        const commands = body.operations.map((each): SimpleCommand => {
          const at = { index: params.type, key: each.key };
          const expected = each.expectedVersion ?? null;
          return each.op === 'put'
            ? { type: 'index.put', ...at, value: each.value, expectedVersion: expected }
            : { type: 'index.rm', ...at, expectedVersion: expected };
        });
        const command: Command = { type: 'batch', commands };
        const result = appliedOf(await proposeFor(agent, request, command, query.timeoutMs));
        return { operations: commands.length, index: result.index, results: result.value };
      },
    }),
    route({
      method: 'GET',
      url: '/v1/index/{type}/{key}',
      summary: 'One entry with its version',
      access: 'read',
      params: keyParams,
      query: z.object({ consistency, timeoutMs }),
      answers: {
        200: { description: 'The entry', schema: entry.extend(freshness) },
        404: { description: 'No such entry on this node' },
      },
      handle: async ({ params, query }, { reply }) => {
        const { fresh, entry: at } = await read(params, query.consistency, query.timeoutMs);
        if (at === null) {
          const text = `no entry '${params.key}' in ${params.type}`;
          throw new ProblemError('not-found', text, withFreshness(reply, fresh, {}));
        }
        reply.header('etag', `"${at.version}"`);
        return withFreshness(reply, fresh, at);
      },
    }),
    route({
      method: 'PUT',
      url: '/v1/index/{type}/{key}',
      summary: 'Writes one entry; the body is its value, a JSON object',
      access: 'write',
      params: keyParams,
      query: writeQuery,
      body: value,
      headers: writeHeaders,
      answers: {
        200: {
          description: 'Committed on a majority, durable there, applied here',
          schema: written,
        },
        409: { description: 'Another version is there: `currentVersion`' },
      },
      handle: ({ params, query, body }, exchange) => {
        const expected = expectedVersionOf(exchange.request, query.expectedVersion);
        const at = { index: params.type, key: params.key };
        const command: Command = {
          type: 'index.put',
          ...at,
          value: body,
          expectedVersion: expected,
        };
        return write(params, command, query.timeoutMs, exchange);
      },
    }),
    route({
      method: 'DELETE',
      url: '/v1/index/{type}/{key}',
      summary: 'Removes one entry',
      access: 'write',
      params: keyParams,
      query: writeQuery,
      headers: writeHeaders,
      answers: {
        200: { description: 'Committed and applied', schema: written },
        404: { description: 'No such entry' },
        409: { description: 'Another version is there: `currentVersion`' },
      },
      handle: ({ params, query }, exchange) => {
        const expected = expectedVersionOf(exchange.request, query.expectedVersion);
        const at = { index: params.type, key: params.key };
        const command: Command = { type: 'index.rm', ...at, expectedVersion: expected };
        return write(params, command, query.timeoutMs, exchange);
      },
    }),
  ];
}
