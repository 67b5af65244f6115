/**
 * What the cluster daemons' own APIs tell for the dashboard: `/id`, `/peers` and `/pins`. A read
 * never waits on a hung daemon: it takes what the daemon answers within a moment, and otherwise
 * shows what it told last, with the time of that and what is wrong; the question goes on aside. One
 * question of a kind is under way at a time, whoever asks.
 */
import { z } from 'zod';
import type { Ms } from '../../base/brand.ts';
import { asAgentError } from '../../base/error.ts';
import { createDaemonClient, type DaemonClient } from '../../daemons/daemon-client.ts';
import { type DashboardDeps, nowText } from './names.ts';

/** A daemon that has not answered by then has failed this question. */
const askMsMax: Ms = 5000;
/** A read takes 50 ms at most, this and what it costs itself. */
const waitMsMax: Ms = 35;

export const which = z.enum(['service', 'follow']);
export type Which = z.infer<typeof which>;
export const anything = z.record(z.string(), z.unknown());

export const typeOf = (name: Which) =>
  name === 'service' ? 'ipfs_cluster_service' : 'ipfs_cluster_follow';

export type Read<T> = T & {
  readonly success: boolean;
  /** When the daemon told what is shown; null: it never did. */
  readonly last_check: string | null;
  readonly error?: string;
};

type Told = { peers: unknown[] } | { pins: unknown[] } | Record<string, unknown>;

interface Last<T> {
  readonly url: string;
  value: T | null;
  at: string | null;
  error: string | null;
  underWay: Promise<void> | null;
}

export interface ClusterReads {
  id(name: Which): Promise<Read<Record<string, unknown>>>;
  peers(name: Which): Promise<Read<{ peers: unknown[] }>>;
  pins(name: Which): Promise<Read<{ pins: unknown[] }>>;
}

/** Resolves after `ms`, or when `done` does. */
async function atMost(ms: Ms, done: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([done, promise]);
  clearTimeout(timer);
}

export function createClusterReads(deps: DashboardDeps): ClusterReads {
  const lasts = new Map<string, Last<Told>>();

  async function read<T extends Told>(
    kind: 'id' | 'peers' | 'pins',
    name: Which,
    silent: T,
    ask: (client: DaemonClient, signal: AbortSignal) => Promise<T>,
  ): Promise<Read<T>> {
    const daemon = deps.daemons.one(typeOf(name));
    const { mode, state } = daemon.view();
    const endpoint = daemon.endpoint();
    const key = `${kind} ${name}`;
    if (endpoint === null || mode === 'off' || state === 'stopped') {
      lasts.delete(key);
      const error = `${typeOf(name)} is ${state} (${mode})`;
      return { success: false, last_check: null, ...silent, error };
    }
    const known = lasts.get(key) as Last<T> | undefined;
    const last: Last<T> =
      known?.url === endpoint.url
        ? known
        : { url: endpoint.url, value: null, at: null, error: null, underWay: null };
    lasts.set(key, last as Last<Told>);
    last.underWay ??= (async () => {
      const client = createDaemonClient(endpoint);
      try {
        last.value = await ask(client, AbortSignal.timeout(askMsMax));
        last.at = nowText();
        last.error = null;
      } catch (thrown) {
        last.error = asAgentError(thrown).message;
      } finally {
        last.underWay = null;
        await client.close();
      }
    })();
    await atMost(waitMsMax, last.underWay);
    const error = last.error ?? (last.value === null ? 'it has not answered yet' : null);
    const told = { success: error === null, last_check: last.at, ...(last.value ?? silent) };
    return error === null ? told : { ...told, error };
  }

  return {
    id: (name) =>
      read<Record<string, unknown>>('id', name, {}, (client, signal) =>
        client.json(anything, { path: '/id', signal }),
      ),
    peers: (name) =>
      read<{ peers: unknown[] }>('peers', name, { peers: [] }, async (client, signal) => ({
        peers: await client.lines(anything, { path: '/peers', signal }),
      })),
    pins: (name) =>
      read<{ pins: unknown[] }>('pins', name, { pins: [] }, async (client, signal) => ({
        pins: await client.lines(anything, { path: '/pins', query: { local: true }, signal }),
      })),
  };
}
