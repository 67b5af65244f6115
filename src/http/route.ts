/**
 * What a route is: its path, who may call it, what it takes and answers, and its handler. The one
 * table of routes feeds the server, the validation and /openapi.json, so they can't disagree.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProblemError } from './problem.ts';

export type Verb = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface Answer {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Content types; JSON if not given. */
  readonly types?: readonly string[];
}

interface RouteBase {
  readonly method: Verb;
  /** In the notation of OpenAPI: `/v1/pins/{cid}`; a last `{*path}` takes the rest. */
  readonly url: string;
  readonly summary: string;
  /**
   * Writes need the token and are refused by a leecher; reads are free on loopback. A local write
   * concerns this machine only: it needs the token, and a leecher takes it too.
   */
  readonly access: 'read' | 'write' | 'local-write';
  /** Of a read by its access: bodies that make it change something, so that it needs the token. */
  readonly writesIf?: (body: unknown) => boolean;
  /** Content types of a body that the handler reads as a stream. */
  readonly streams?: readonly string[];
  /** Request headers worth telling: name to what it does. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly answers: Readonly<Record<number, Answer>>;
}

export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface Route extends RouteBase {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  handle(exchange: Exchange): unknown;
}

/** A route whose handler gets params, query and body as its schemas say. */
export function route<
  P extends z.ZodType = z.ZodUnknown,
  Q extends z.ZodType = z.ZodUnknown,
  B extends z.ZodType = z.ZodUnknown,
>(
  definition: RouteBase & {
    readonly params?: P;
    readonly query?: Q;
    readonly body?: B;
    readonly handle: (
      input: { params: z.infer<P>; query: z.infer<Q>; body: z.infer<B> },
      exchange: Exchange,
    ) => unknown;
  },
): Route {
  const { handle } = definition;
  return {
    ...definition,
    handle: (exchange) => {
      const { params, query, body } = exchange.request;
      // The validator of the server has replaced them by what the schemas made of them.
      return handle(
        { params: params as z.infer<P>, query: query as z.infer<Q>, body: body as z.infer<B> },
        exchange,
      );
    },
  };
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** One line per mistake: which field, what it got, what it takes. */
function mistakesOf(where: string, issues: readonly z.core.$ZodIssue[], schema: z.ZodType) {
  return issues.map((issue) => {
    const field = [where, ...issue.path.map(String)].join('.');
    if (issue.code === 'unrecognized_keys') {
      const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
      const takes = known.length > 0 ? `; it takes ${known.join(', ')}` : '';
      return { field, got: issue.keys.join(', '), text: `${field}: ${issue.message}${takes}` };
    }
    const got = shown(issue.input);
    return { field, got, text: `${field}: got ${got}. ${issue.message}` };
  });
}

/** Compiles one schema into the function that fastify calls for every request. */
export function validatorOf(schema: z.ZodType, part: string) {
  const where = { querystring: 'query', params: 'path', body: 'body' }[part] ?? part;
  return (input: unknown): { value: unknown } | { error: Error } => {
    const parsed = schema.safeParse(input);
    if (parsed.success) return { value: parsed.data };
    const again = schema.safeParse(input, { reportInput: true });
    const issues = again.success ? [] : again.error.issues;
    const mistakes = mistakesOf(where, issues, schema);
    const text = mistakes.map((mistake) => mistake.text).join('; ');
    return { error: new ProblemError('bad-request', text, { errors: mistakes }) };
  };
}
