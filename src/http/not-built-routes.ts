/**
 * Paths that are promised and not there yet. They say so with 501 instead of a 404 that looks like
 * a typing mistake; those under /api/ in the form that their existing callers read.
 */
import { z } from 'zod';
import { type Route, route, type Verb } from './route.ts';

const detail = z.object({ detail: z.string() });

const apiRoute = (method: Verb, url: string, summary: string): Route =>
  route({
    method,
    url,
    summary: `${summary} (not built yet)`,
    access: 'read',
    answers: { 501: { description: 'Not built yet', schema: detail } },
    handle: (_, { request, reply }) =>
      reply.code(501).send({
        detail: `${request.method} ${request.url.split('?')[0]} is not built yet`,
      }),
  });

export function createNotBuiltRoutes(): Route[] {
  return [
    apiRoute('POST', '/api/v0/ipfs/daemon/status', 'Status of the daemons by type'),
    apiRoute('GET', '/api/dashboard/{*path}', 'Reads of the dashboard'),
    apiRoute('POST', '/api/dashboard/{*path}', 'Actions of the dashboard'),
    apiRoute('PUT', '/api/dashboard/{*path}', 'Settings of the dashboard'),
  ];
}
