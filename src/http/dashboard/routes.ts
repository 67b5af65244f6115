/**
 * `/api/...`: the paths that existing callers use, with their names, fields and verbs. Reads answer
 * from the last look at each daemon; only `force_check` and a given `timeout` run a new one.
 */
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';
import { type Route, route } from '../route.ts';
import { daemonAction, meshRestart } from './actions.ts';
import { type ClusterReads, createClusterReads } from './cluster-reads.ts';
import { createClusterRoutes } from './cluster-routes.ts';
import { daemonStatusOf } from './daemon-status.ts';
import { logsOf } from './logs.ts';
import {
  type BackendName,
  backendName,
  backendNames,
  type DashboardDeps,
  daemonName,
  daemonOf,
  nowText,
} from './names.ts';
import { isConfigured, overviewOf, realtimeOf, takeSnapshot } from './overview.ts';
import {
  actionAnswer,
  backend,
  daemonStatusAnswer,
  enveloped,
  healthCheck,
  logs,
  overview,
  realtime,
} from './shapes.ts';

/** A new look at all backends may take so long. */
const checkMsMax = 10_000;

const refusals = {
  409: { description: '`daemon-external`, `daemon-off` or `cooling-down`; nothing was done' },
  422: { description: 'A wrong field: `{detail:[{loc,msg,type}]}`' },
};
const answer = <T extends z.ZodType>(description: string, schema: T) => ({
  200: { description, schema: enveloped(schema) },
  ...refusals,
});

const actionBody = z.strictObject({
  daemon_name: daemonName,
  action: z.enum(['start', 'stop', 'restart', 'status']),
  force: z.boolean().default(false),
  auto_heal: z.boolean().optional(),
});
const clusterActionBody = z.strictObject({
  action: z.enum(['start', 'stop', 'restart', 'status', 'peers']),
  force_restart: z.boolean().default(false),
});
const acts = (body: unknown): boolean =>
  !['status', 'peers'].includes((body as { action: string }).action);

const statusBody = z.strictObject({
  daemon_type: daemonName.nullish(),
  correlation_id: z.string().max(200).optional(),
  timeout: z.number().min(1).max(60).optional(),
});

async function checkBackends(
  deps: DashboardDeps,
  asked: { name: BackendName | undefined; force: boolean; withMetrics: boolean },
) {
  const startedMs = performance.now();
  const names = asked.name === undefined ? backendNames : [asked.name];
  if (asked.force)
    await Promise.all(
      names.map(async (name) => {
        const type = daemonOf[name];
        if (type === null) return;
        const daemon = deps.daemons.one(type);
        if (daemon.view().mode !== 'off') await daemon.check(checkMsMax);
      }),
    );
  const { backends } = await takeSnapshot(deps);
  const results = Object.fromEntries(names.map((name) => [name, backends[name]]));
  const checked = names.map((name) => backends[name]).filter(isConfigured);
  const metrics = {
    check_duration: (performance.now() - startedMs) / 1000,
    backends_checked: checked.length,
    healthy_count: checked.filter(({ health }) => health === 'healthy').length,
    timestamp: nowText(),
  };
  const data = { success: true, timestamp: nowText(), results };
  return { success: true, data: asked.withMetrics ? { ...data, metrics } : data };
}

async function restartBackend(deps: DashboardDeps, name: BackendName) {
  if (name === 'libp2p') return meshRestart(deps);
  const type = daemonOf[name];
  if (type === null)
    throw new AgentError(
      'conflict',
      `name: got '${name}', which is this agent's own store and has no process; it takes ` +
        'ipfs, ipfs_cluster, ipfs_cluster_follow, lotus, libp2p',
    );
  return daemonAction(deps, { name, type, action: 'restart', force: false });
}

function createReads(deps: DashboardDeps): Route[] {
  return [
    route({
      method: 'GET',
      url: '/api/dashboard/status',
      summary: 'Everything the dashboard shows',
      access: 'read',
      answers: answer('The overview', overview),
      handle: async () => ({ success: true, data: overviewOf(await takeSnapshot(deps)) }),
    }),
    route({
      method: 'GET',
      url: '/api/dashboard/metrics/realtime',
      summary: 'The figures that are asked for most often',
      access: 'read',
      answers: answer('Figures', realtime),
      handle: async () => ({ success: true, data: realtimeOf(await takeSnapshot(deps), deps) }),
    }),
    route({
      method: 'GET',
      url: '/api/dashboard/backends/{name}/status',
      summary: 'One backend',
      access: 'read',
      params: z.object({ name: backendName }),
      answers: answer('The backend', backend),
      handle: async ({ params: { name } }) => ({
        success: true,
        data: (await takeSnapshot(deps)).backends[name],
      }),
    }),
    route({
      method: 'GET',
      url: '/api/dashboard/logs/{backend}',
      summary: 'The newest lines that a backend logged, newest first',
      access: 'read',
      params: z.object({ backend: backendName }),
      query: z.object({
        lines: z.coerce.number().int().min(1).max(1000).default(100),
        level: z
          .string()
          .regex(/^[a-zA-Z]{1,16}$/)
          .optional(),
      }),
      answers: answer('Lines', logs),
      handle: async ({ params, query }) => ({
        success: true,
        data: { logs: await logsOf(deps, params.backend, query) },
      }),
    }),
    route({
      method: 'POST',
      url: '/api/dashboard/health/check',
      summary: 'The health of the backends; with `force_check` after a new look',
      access: 'read',
      body: z
        .strictObject({
          backend_name: backendName.nullish(),
          force_check: z.boolean().default(false),
          include_metrics: z.boolean().default(true),
        })
        .default({ force_check: false, include_metrics: true }),
      answers: answer('Results by backend', healthCheck),
      handle: ({ body }) =>
        checkBackends(deps, {
          name: body.backend_name ?? undefined,
          force: body.force_check,
          withMetrics: body.include_metrics,
        }),
    }),
    route({
      method: 'POST',
      url: '/api/v0/ipfs/daemon/status',
      summary: 'Whether the daemons run, looked up at the call',
      access: 'read',
      body: statusBody.nullish(),
      answers: {
        200: { description: 'Also of stopped and failed ones', schema: daemonStatusAnswer },
        422: refusals[422],
      },
      handle: ({ body }) =>
        daemonStatusOf(deps, {
          type: body?.daemon_type ?? null,
          correlationId: body?.correlation_id,
          timeoutS: body?.timeout,
        }),
    }),
  ];
}

function createActs(deps: DashboardDeps, reads: ClusterReads): Route[] {
  return [
    route({
      method: 'POST',
      url: '/api/dashboard/daemon/action',
      summary: 'Starts, stops or restarts a daemon, or tells how it stands',
      access: 'read',
      writesIf: acts,
      body: actionBody,
      answers: answer('What came of it', actionAnswer),
      handle: async ({ body }) => {
        const { daemon_name: type, action, force, auto_heal: autoHeal } = body;
        const more = autoHeal === undefined ? {} : { autoHeal };
        const data = await daemonAction(deps, { name: type, type, action, force, ...more });
        return { success: data.success, data };
      },
    }),
    route({
      method: 'POST',
      url: '/api/dashboard/cluster/action',
      summary: 'The same for the cluster service; `peers` lists its peers',
      access: 'read',
      writesIf: acts,
      body: clusterActionBody,
      answers: answer('What came of it', actionAnswer),
      handle: async ({ body: { action, force_restart: force } }) => {
        const type = 'ipfs_cluster_service';
        if (action === 'peers') {
          const { success, peers, error } = await reads.peers('service');
          const told = { success, action, timestamp: nowText(), details: { peers } };
          return { success, data: error === undefined ? told : { ...told, error } };
        }
        const data = await daemonAction(deps, { name: type, type, action, force });
        const { daemon_name: _, ...rest } = data;
        return { success: data.success, data: rest };
      },
    }),
    route({
      method: 'POST',
      url: '/api/dashboard/backends/{name}/restart',
      summary: 'Restarts a backend; libp2p redials, rediscovers and rejoins gossip',
      access: 'local-write',
      params: z.object({ name: backendName }),
      answers: answer('What came of it', actionAnswer),
      handle: async ({ params: { name } }) => {
        const data = await restartBackend(deps, name);
        return { success: data.success, data };
      },
    }),
  ];
}

export function createDashboardRoutes(deps: DashboardDeps): Route[] {
  const reads = createClusterReads(deps);
  return [...createReads(deps), ...createActs(deps, reads), ...createClusterRoutes(deps, reads)];
}
