/**
 * Content in and out by streaming: a single file or a folder as tar goes in, is stored and pinned;
 * bytes or a tar come out. Memory stays bounded, a slow reader slows the source, and a caller who
 * leaves ends the work.
 */
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import type { AddEntry } from '../content/api.ts';
import { appliedOf, cidOf } from './fields.ts';
import { mediaTypeOf } from './media-type.ts';
import { maxCopiesDefault, minCopiesDefault } from './pin-routes.ts';
import { type Exchange, type Route, route } from './route.ts';
import { pathInside, readTar, writeTar } from './tar-folder.ts';

const fileType = 'application/octet-stream';
const tarType = 'application/x-tar';

const copies = z.coerce.number().int().min(1).max(100).optional();
const addQuery = z.object({
  name: z.string().min(1).max(512),
  min: copies,
  max: copies,
  /** Size of all that comes, for the progress; Content-Length is used where it says the same. */
  bytes: z.coerce.number().int().min(0).optional(),
});
const added = z.object({
  cid: z.string(),
  name: z.string(),
  bytes: z.int(),
  blocks: z.int(),
  files: z.int(),
  min: z.int(),
  max: z.int(),
  version: z.int().nullable(),
  index: z.int(),
  task: z.string(),
});
const item = z.object({ path: z.string(), type: z.enum(['file', 'directory']), bytes: z.int() });
const getQuery = z.object({ list: z.enum(['true', 'false']).default('false') });
const getAnswers = {
  200: { description: 'The bytes of a file, or a folder as tar', types: [fileType, tarType] },
  304: { description: 'If-None-Match names this CID: content never changes' },
  404: { description: 'Nothing is there under this path' },
};

async function* oneFile(name: string, content: AsyncIterable<Uint8Array>): AsyncIterable<AddEntry> {
  const path = pathInside(name);
  if (path === null || path.includes('/'))
    throw new AgentError('bad-request', `query.name: got '${name}'. It takes a file's bare name`);
  yield { path, content: whole(content) };
}

/** A body that breaks off is the caller's doing, not a bug of ours. */
async function* whole(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* content;
  } catch (cause) {
    throw new AgentError('bad-request', 'the body broke off before its end', { cause });
  }
}

/** Reads one chunk ahead, so that a failure is still a proper answer and not a broken stream. */
async function started(source: AsyncIterable<Uint8Array>): Promise<Readable> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* rest(): AsyncIterable<Uint8Array> {
    let ended = first.done === true;
    try {
      if (first.done !== true) yield first.value;
      while (!ended) {
        const next = await iterator.next();
        ended = next.done === true;
        if (next.done !== true) yield next.value;
      }
    } finally {
      if (!ended) await iterator.return?.();
    }
  }
  return Readable.from(rest(), { objectMode: false });
}

async function add(agent: Agent, query: z.infer<typeof addQuery>, { request, reply }: Exchange) {
  const isTar = request.headers['content-type']?.startsWith(tarType) === true;
  const length = Number(request.headers['content-length']);
  const source = request.body;
  if (!(source instanceof Readable))
    throw new AgentError('bad-request', `the body is missing: send ${fileType} or ${tarType}`);
  const min = query.min ?? Math.min(minCopiesDefault, query.max ?? minCopiesDefault);
  const max = query.max ?? Math.max(min, maxCopiesDefault);
  if (min > max)
    throw new AgentError('bad-request', `query.min: got ${min}. It takes at most max, here ${max}`);
  const {
    task,
    item: stored,
    result,
  } = await agent.add(isTar ? readTar(source) : oneFile(query.name, source), {
    name: query.name,
    bytesTotal: query.bytes ?? (!isTar && Number.isSafeInteger(length) ? length : null),
    min,
    max,
    labels: {},
  });
  const { version, index } = appliedOf(result);
  reply.code(201).header('location', `/v1/pins/${stored.cid}`);
  return { ...stored, name: query.name, min, max, version, index, task };
}

/** Stored bytes are foreign: a browser must neither guess their type nor run them as our page. */
function guard({ reply }: Exchange): void {
  reply.header('x-content-type-options', 'nosniff');
  reply.header('content-security-policy', "sandbox; default-src 'none'");
}

async function get(
  agent: Agent,
  at: { cid: string; path: string; list: boolean },
  exchange: Exchange,
) {
  const { request, reply } = exchange;
  const cid = cidOf(at.cid);
  const path = pathInside(at.path) ?? '';
  const etag = `"${cid}${path === '' ? '' : `/${encodeURI(path)}`}"`;
  if (!at.list && request.headers['if-none-match'] === etag) return reply.code(304).send();
  const items = await agent.ls(cid, path);
  if (at.list) return { cid, path, items };
  guard(exchange);
  reply.header('etag', etag);
  const [only] = items;
  if (items.length === 1 && only?.path === '' && only.type === 'file') {
    const source = await started(agent.cat(cid, path));
    return reply
      .header('content-length', String(only.bytes))
      .header('content-type', mediaTypeOf(path))
      .send(source);
  }
  const read = (below: string) => agent.cat(cid, path === '' ? below : `${path}/${below}`);
  return reply.header('content-type', tarType).send(writeTar(items, read));
}

export function createContentRoutes(agent: Agent): Route[] {
  const list = (query: z.infer<typeof getQuery>): boolean => query.list === 'true';
  return [
    route({
      method: 'POST',
      url: '/v1/content',
      summary: 'Stores a file, or a folder sent as tar, and pins it',
      access: 'write',
      query: addQuery,
      streams: [fileType, tarType],
      answers: {
        201: { description: 'Stored here and its pin is committed', schema: added },
        507: { description: 'No room on this node' },
      },
      handle: ({ query }, exchange) => add(agent, query, exchange),
    }),
    route({
      method: 'GET',
      url: '/v1/content/{cid}',
      summary: 'A file, or a folder as tar; `?list=true` names what is in it as JSON',
      access: 'read',
      params: z.object({ cid: z.string().min(1).max(200) }),
      query: getQuery,
      answers: { ...getAnswers, 200: { ...getAnswers[200], schema: z.array(item) } },
      handle: ({ params, query }, exchange) =>
        get(agent, { cid: params.cid, path: '', list: list(query) }, exchange),
    }),
    route({
      method: 'GET',
      url: '/v1/content/{cid}/{*path}',
      summary: 'What lies under a path of a folder',
      access: 'read',
      params: z.object({ cid: z.string().min(1).max(200), '*': z.string().max(4096) }),
      query: getQuery,
      answers: getAnswers,
      handle: ({ params, query }, exchange) =>
        get(agent, { cid: params.cid, path: params['*'], list: list(query) }, exchange),
    }),
  ];
}
