/**
 * The status port: one HTTP server over the agent's facade. It owns the order in which a request is
 * judged (access, then role, then its fields) and how every failure is told. Handlers only ask the
 * agent; a failure of one request never ends the process.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import Fastify from 'fastify';
import { z } from 'zod';
import type { Agent } from '../agent/api.ts';
import { AgentError } from '../base/error.ts';
import { createAccess } from './access.ts';
import { createAuthorityRoutes } from './authority-routes.ts';
import { createContentRoutes } from './content-routes.ts';
import { createDaemonRoutes } from './daemon-routes.ts';
import { createDashboardRoutes } from './dashboard/routes.ts';
import { createEventRoutes } from './event-routes.ts';
import { createFastLane } from './fast-lane.ts';
import { createFederationRoutes } from './federation-routes.ts';
import { createHttpMetrics } from './http-metrics.ts';
import { createIdentityRoutes } from './identity-routes.ts';
import { createIndexRoutes } from './index-routes.ts';
import { createNetworkKeyRoutes } from './network-key-routes.ts';
import { openApiOf } from './openapi.ts';
import { createOperationRoutes } from './operation-routes.ts';
import { createPinRoutes } from './pin-routes.ts';
import { createProbeRoutes } from './probe-routes.ts';
import { problemOf, sendProblem } from './problem.ts';
import { createRecoveryRoutes } from './recovery-routes.ts';
import { type Route, route, validatorOf } from './route.ts';
import { createStatusRoutes } from './status-routes.ts';

/** Largest JSON body: what fits into one log entry. */
const bodyBytesMax = 1024 * 1024;
const connectionsMax = 4096;
const paramCharactersMax = 6000;

export interface StatusPortOptions {
  /** Address to listen on; beyond loopback every path asks for the token. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** More names that `Host` may carry. */
  readonly names: readonly string[];
  readonly version: string;
  /** Told of every error that is a bug of ours; the caller of the port gets a neutral text. */
  readonly onBug: (error: unknown, request: string) => void;
}

export interface StatusPort {
  /** Throws `port-in-use`. */
  listen(): Promise<{ port: number }>;
  close(): Promise<void>;
  /** For tests without a socket. */
  readonly server: FastifyInstance;
  readonly routes: readonly Route[];
}

const pathOf = (request: FastifyRequest): string => request.url.split('?')[0] ?? '';

/** A leecher only reads; the text says where writes are taken. */
function refuseByRole(agent: Agent): void {
  const at = agent.leader().leader?.statusUrl;
  const where = at ? `send it to the leader at ${at}` : 'send it to a master or worker';
  throw new AgentError(
    'forbidden',
    `this node is a leecher: it reads and keeps no say in the cluster; ${where}`,
  );
}

function routesOf(agent: Agent, metrics: ReturnType<typeof createHttpMetrics>, version: string) {
  const routes: Route[] = [
    ...createProbeRoutes(agent),
    ...createStatusRoutes(agent, metrics),
    ...createContentRoutes(agent),
    ...createPinRoutes(agent),
    ...createIndexRoutes(agent),
    ...createIdentityRoutes(agent),
    ...createNetworkKeyRoutes(agent),
    ...createAuthorityRoutes(agent),
    ...createEventRoutes(agent),
    ...createOperationRoutes(agent),
    ...createRecoveryRoutes(agent),
    ...createDaemonRoutes(agent),
    ...createDashboardRoutes(agent),
    ...createFederationRoutes(agent),
  ];
  let document: unknown = null;
  routes.push(
    route({
      method: 'GET',
      url: '/openapi.json',
      summary: 'This description',
      access: 'read',
      answers: { 200: { description: 'OpenAPI 3.1', schema: z.record(z.string(), z.unknown()) } },
      handle: () => {
        document ??= openApiOf(routes, version);
        return document;
      },
    }),
  );
  return routes;
}

const fastifyPath = (url: string): string =>
  url.replace(/\{\*\w+\}/, '*').replace(/\{(\w+)\}/g, ':$1');

function schemaOf({ params, query, body }: Route): Record<string, z.ZodType> {
  return {
    ...(params ? { params } : {}),
    ...(query ? { querystring: query } : {}),
    ...(body ? { body } : {}),
  };
}

export function createStatusPort(agent: Agent, options: StatusPortOptions): StatusPort {
  const { host, names, version, onBug } = options;
  const metrics = createHttpMetrics();
  const access = createAccess({ host, names, token: agent.token });
  const routes = routesOf(agent, metrics, version);
  const app = Fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: paramCharactersMax },
  });
  app.server.maxConnections = connectionsMax;
  app.removeContentTypeParser('text/plain');
  const streams = new Set(routes.flatMap((each) => each.streams ?? []));
  for (const type of streams)
    app.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) =>
    validatorOf(schema, httpPart ?? 'body'),
  );

  app.setErrorHandler((thrown, request, reply) => {
    const problem = problemOf(thrown);
    if (problem.code === 'internal') onBug(thrown, `${request.method} ${pathOf(request)}`);
    return sendProblem(reply, problem);
  });
  const unknownPath = metrics.observer('unknown');
  app.setNotFoundHandler((request, reply) => {
    // Who may not call learns nothing about what there is.
    access.check(request, false);
    unknownPath(404, reply.elapsedTime / 1000);
    const asked = `${request.method} ${pathOf(request)}`;
    const detail = `there is no ${asked}; /openapi.json names what there is`;
    return sendProblem(reply, problemOf(new AgentError('not-found', detail)));
  });
  const observers = new Map<string, ReturnType<typeof metrics.observer>>();
  for (const each of routes) {
    const write = each.access !== 'read';
    const name = `${each.method} ${each.url}`;
    const observe = metrics.observer(name);
    observers.set(name, observe);
    app.route({
      method: each.method === 'GET' ? ['GET', 'HEAD'] : each.method,
      url: fastifyPath(each.url),
      schema: schemaOf(each),
      onRequest: (request, _reply, done) => {
        access.check(request, write);
        if (each.access === 'write' && agent.role === 'leecher') refuseByRole(agent);
        done();
      },
      onResponse: (_request, reply, done) => {
        observe(reply.statusCode, reply.elapsedTime / 1000);
        done();
      },
      handler: (request, reply) => {
        if (each.writesIf?.(request.body) === true) access.check(request, true);
        return each.handle({ request, reply });
      },
    });
  }

  const lane = createFastLane(app.server, {
    agent,
    access,
    bodyBytesMax,
    observe: (name, status, seconds) => observers.get(name)?.(status, seconds),
    onBug,
  });
  app.addHook('preClose', (done) => {
    lane.close();
    done();
  });

  return {
    server: app,
    routes,
    async listen() {
      try {
        await app.listen({ host, port: options.port });
      } catch (thrown) {
        if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EADDRINUSE')
          throw new AgentError(
            'port-in-use',
            `port ${options.port} of ${host} is in use; give another one with --http-port`,
            { cause: thrown },
          );
        throw thrown;
      }
      const address = app.server.address();
      return { port: typeof address === 'object' && address ? address.port : options.port };
    },
    close: () => app.close(),
  };
}
