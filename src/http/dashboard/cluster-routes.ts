/**
 * The cluster daemons' own status, peers, pins and settings. Status and lists come from the
 * daemon's API with a deadline; settings from its files, never with a secret.
 */
import { z } from 'zod';
import { type Route, route } from '../route.ts';
import { createConfig, readConfig, updateConfig } from './cluster-config.ts';
import { anything, type ClusterReads, typeOf, type Which, which } from './cluster-reads.ts';
import type { DashboardDeps } from './names.ts';
import { enveloped } from './shapes.ts';

const params = z.object({ which });
const errors = z.array(z.string());
const settings = { service_config: anything.nullable(), identity_config: anything.nullable() };
/** `last_check`: when the daemon told this; `error`: why it tells nothing newer. */
const asTold = {
  success: z.boolean(),
  last_check: z.string().nullable(),
  error: z.string().optional(),
};
const fresh = 'What the daemon answers within a moment, else what it told last and when';

function createReadRoutes(reads: ClusterReads): Route[] {
  const list = (kind: 'peers' | 'pins') =>
    route({
      method: 'GET',
      url: `/api/dashboard/cluster/{which}/${kind}`,
      summary: `The ${kind} as the daemon itself lists them`,
      access: 'read',
      params,
      answers: {
        200: {
          description: fresh,
          schema: enveloped(z.object({ ...asTold, [kind]: z.array(anything) })),
        },
      },
      handle: async ({ params: { which: name } }) => {
        const data = await reads[kind](name);
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
          description: fresh,
          schema: enveloped(z.looseObject(asTold)),
        },
      },
      handle: async ({ params: { which: name } }) => {
        const data = await reads.id(name);
        return { success: data.success, data };
      },
    }),
    list('peers'),
    list('pins'),
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
        const data = await readConfig(viewOf(name), deps.daemons.follows());
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
        const data = await updateConfig(viewOf(name), deps.daemons.follows(), body);
        return { success: data.success, data };
      },
    }),
    route({
      method: 'POST',
      url: '/api/dashboard/cluster/config/create',
      summary: 'Makes the settings of a cluster daemon by its own init',
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
        const data = await createConfig(viewOf(body.service_type), deps.daemons.follows(), {
          overwrite: body.overwrite,
          clusterName: body.cluster_name,
          bootstrapPeer: body.bootstrap_peer,
        });
        return { success: data.success, data };
      },
    }),
  ];
}

export function createClusterRoutes(deps: DashboardDeps, reads: ClusterReads): Route[] {
  return [...createReadRoutes(reads), ...createSettings(deps)];
}
