/**
 * /openapi.json from the table of routes and their schemas: what validates a request is what
 * describes it.
 */
import { z } from 'zod';
import type { Route } from './route.ts';

const problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
});

type Json = Record<string, unknown>;

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

/** `{*path}` is our notation for "the rest"; OpenAPI knows only `{path}`. */
export const openApiPath = (url: string): string => url.replace('{*', '{');

function parametersOf({ url, params, query, headers }: Route): Json[] {
  const properties = (schema: z.ZodType | undefined): Record<string, Json> =>
    schema ? ((jsonSchema(schema, 'input').properties ?? {}) as Record<string, Json>) : {};
  const inPath = properties(params);
  const names = [...openApiPath(url).matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const required = new Set(
    query ? ((jsonSchema(query, 'input').required ?? []) as readonly string[]) : [],
  );
  return [
    ...names.map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: inPath[name] ?? { type: 'string' },
    })),
    ...Object.entries(properties(query)).map(([name, schema]) => ({
      name,
      in: 'query',
      required: required.has(name),
      schema,
    })),
    ...Object.entries(headers ?? {}).map(([name, description]) => ({
      name,
      in: 'header',
      required: false,
      description,
      schema: { type: 'string' },
    })),
  ];
}

function bodyOf({ body, streams }: Route): Json | undefined {
  if (streams)
    return {
      required: true,
      content: Object.fromEntries(
        streams.map((type) => [type, { schema: { type: 'string', format: 'binary' } }]),
      ),
    };
  if (!body) return undefined;
  return {
    required: !body.safeParse(undefined).success,
    content: { 'application/json': { schema: jsonSchema(body, 'input') } },
  };
}

function answersOf({ answers }: Route): Json {
  const problems = {
    description: 'Refused: a problem document',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  const told = Object.entries(answers).map(([status, { description, schema, types }]) => {
    const described = schema ? { schema: jsonSchema(schema, 'output') } : {};
    const wanted = types ?? (schema ? ['application/json'] : []);
    const content = Object.fromEntries(wanted.map((type) => [type, described]));
    return [status, wanted.length > 0 ? { description, content } : { description }];
  });
  return { ...Object.fromEntries(told), default: problems };
}

/** The document for these routes. */
export function openApiOf(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const at = openApiPath(route.url);
    const operation: Json = {
      summary: route.summary,
      parameters: parametersOf(route),
      responses: answersOf(route),
      security: route.access !== 'read' ? [{ token: [] }] : [],
    };
    const requestBody = bodyOf(route);
    if (requestBody) operation.requestBody = requestBody;
    paths[at] = { ...paths[at], [route.method.toLowerCase()]: operation };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Bellwether status port', version },
    paths,
    components: {
      schemas: { Problem: jsonSchema(problem, 'output') },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}
