/**
 * The cluster daemons' own status, peers, pins and settings. Status and lists come from the
 * daemon's API with a deadline; settings from its files, never with a secret.
 */
import { z } from 'zod';
import { asAgentError } from '../../base/error.ts';
import { createDaemonClient, type DaemonClient } from '../../daemons/daemon-client.ts';
import { type Route, route } from '../route.ts';
import { createConfig, readConfig, updateConfig } from './cluster-config.ts';
import type { DashboardDeps } from './names.ts';
import { enveloped } from './shapes.ts';

const askMsMax = 5000;

const which = z.enum(['service', 'follow']);
type Which = z.infer<typeof which>;
const params = z.object({ which });
const anything = z.record(z.string(), z.unknown());
const errors = z.array(z.string());
const settings = { service_config: anything.nullable(), identity_config: anything.nullable() };

const typeOf = (name: Which) =>
  name === 'service' ? 'ipfs_cluster_service' : 'ipfs_cluster_follow';

/** Runs `ask` against the daemon's API; what keeps it from answering is told, not thrown. */
async function asked<T extends object>(
  deps: DashboardDeps,
  name: Which,
  silent: T,
  ask: (client: DaemonClient, signal: AbortSignal) => Promise<T>,
): Promise<T & { success: boolean; error?: string }> {
  const daemon = deps.daemons.one(typeOf(name));
  const { mode, state } = daemon.view();
  const endpoint = daemon.endpoint();
  if (endpoint === null || mode === 'off' || state === 'stopped')
    return { success: false, ...silent, error: `${typeOf(name)} is ${state} (${mode})` };
  const client = createDaemonClient(endpoint);
  try {
    return { success: true, ...(await ask(client, AbortSignal.timeout(askMsMax))) };
  } catch (thrown) {
    return { success: false, ...silent, error: asAgentError(thrown).message };
  } finally {
    await client.close();
  }
}

export const peersOf = (deps: DashboardDeps, name: Which) =>
  asked(deps, name, { peers: [] as unknown[] }, async (client, signal) => ({
    peers: await client.lines(anything, { path: '/peers', signal }),
  }));

const pinsOf = (deps: DashboardDeps, name: Which) =>
  asked(deps, name, { pins: [] as unknown[] }, async (client, signal) => ({
    pins: await client.lines(anything, { path: '/pins', query: { local: true }, signal }),
  }));

const idOf = (deps: DashboardDeps, name: Which) =>
  asked<Record<string, unknown>>(deps, name, {}, (client, signal) =>
    client.json(anything, { path: '/id', signal }),
  );

function createReads(deps: DashboardDeps): Route[] {
  const list = (kind: 'peers' | 'pins', read: typeof peersOf | typeof pinsOf) =>
    route({
      method: 'GET',
      url: `/api/dashboard/cluster/{which}/${kind}`,
      summary: `The ${kind} as the daemon itself lists them`,
      access: 'read',
      params,
      answers: {
        200: {
          description: 'Asked of the daemon now, for at most five seconds',
          schema: enveloped(
            z.object({
              success: z.boolean(),
              [kind]: z.array(anything),
              error: z.string().optional(),
            }),
          ),
        },
      },
      handle: async ({ params: { which: name } }) => {
        const data = await read(deps, name);
        return { success: data.success, data };
      },
    });
  return [
    route({
      method: 'GET',
      url: '/api/dashboard/cluster/{which}/status',
      summary: "The daemon's own /id",
      access: 'read',
      params,
      answers: {
        200: {
          description: 'Asked of the daemon now, for at most five seconds',
          schema: enveloped(z.looseObject({ success: z.boolean() })),
        },
      },
      handle: async ({ params: { which: name } }) => {
        const data = await idOf(deps, name);
        return { success: data.success, data };
      },
    }),
    list('peers', peersOf),
    list('pins', pinsOf),
  ];
}

function createSettings(deps: DashboardDeps): Route[] {
  const viewOf = (name: Which) => deps.daemons.one(typeOf(name)).view();
  return [
    route({
      method: 'GET',
      url: '/api/dashboard/cluster/config/{which}',
      summary: 'The settings of a cluster daemon, without its secrets',
      access: 'read',
      params,
      answers: {
        200: {
          description: 'Settings',
          schema: enveloped(
            z.object({ success: z.boolean(), config_exists: z.boolean(), ...settings, errors }),
          ),
        },
      },
      handle: async ({ params: { which: name } }) => {
        const data = await readConfig(viewOf(name));
        return { success: data.success, data };
      },
    }),
    route({
      method: 'PUT',
      url: '/api/dashboard/cluster/config/{which}',
      summary: 'Merges a part of the settings in; a copy of the old ones is kept',
      access: 'local-write',
      params,
      body: anything,
      answers: {
        200: {
          description: 'Changed; they count from the next start',
          schema: enveloped(
            z.object({
              success: z.boolean(),
              config_updated: z.boolean(),
              updated_config: anything,
              restart_required: z.boolean(),
              errors,
            }),
          ),
        },
      },
      handle: async ({ params: { which: name }, body }) => {
        const data = await updateConfig(viewOf(name), body);
        return { success: data.success, data };
      },
    }),
    route({
      method: 'POST',
      url: '/api/dashboard/cluster/config/create',
      summary: "Makes the service's settings by its own init",
      access: 'local-write',
      body: z.strictObject({
        service_type: which,
        cluster_name: z.string().max(63).optional(),
        bootstrap_peer: z.string().max(512).optional(),
        overwrite: z.boolean().default(false),
      }),
      answers: {
        200: {
          description: 'Made',
          schema: enveloped(
            z.object({
              success: z.boolean(),
              config_created: z.boolean(),
              identity_created: z.boolean(),
              ...settings,
              errors,
            }),
          ),
        },
      },
      handle: async ({ body }) => {
        const data = await createConfig(viewOf(body.service_type), body.overwrite);
        return { success: data.success, data };
      },
    }),
  ];
}

export function createClusterRoutes(deps: DashboardDeps): Route[] {
  return [...createReads(deps), ...createSettings(deps)];
}
