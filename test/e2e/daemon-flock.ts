/**
 * Agents that look after daemons, for tests: asks `/v1/daemons`, reads the events, and in the end
 * leaves no daemon behind, whatever became of its agent. All requests are counted, so that a test
 * can say that reads and probes were answered throughout.
 */
import { join } from 'node:path';
import { type DaemonType, type DaemonView, daemonTypes } from '../../src/daemons/api.ts';
import { adopt } from '../../src/daemons/process.ts';
import { createFlock, type Flock, getJson, until } from './flock.ts';

export interface Told {
  readonly seq: number;
  readonly at: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

export interface DaemonFlock extends Flock {
  view(name: string, type?: DaemonType): Promise<DaemonView | null>;
  /** Waits until the daemon's view is as wanted. */
  viewUntil(
    what: string,
    name: string,
    wanted: (view: DaemonView) => boolean,
    deadlineMs?: number,
  ): Promise<DaemonView>;
  events(name: string): Promise<readonly Told[]>;
  /** Status and body of a write. */
  act(
    name: string,
    method: 'POST' | 'PUT',
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: DaemonView & { code?: string } }>;
}

export async function createDaemonFlock(
  names: readonly string[],
  daemons: Readonly<Record<string, unknown>>,
): Promise<DaemonFlock> {
  const flock = await createFlock({ names, daemons });
  const urlOf = (name: string): string => flock.node(name).url;
  const view = (name: string, type: DaemonType = 'ipfs'): Promise<DaemonView | null> =>
    getJson<DaemonView>(`${urlOf(name)}/v1/daemons/${type}`);
  const events = async (name: string): Promise<readonly Told[]> =>
    (await getJson<{ events: Told[] }>(`${urlOf(name)}/v1/events?limit=1000`))?.events ?? [];

  return {
    ...flock,
    view,
    events,
    viewUntil: (what, name, wanted, deadlineMs = 60_000) =>
      until(
        what,
        async () => {
          const seen = await view(name);
          return seen !== null && wanted(seen) ? seen : null;
        },
        {
          deadlineMs,
          seen: async () => ({ view: await view(name), events: (await events(name)).slice(-12) }),
        },
      ),
    act: async (name, method, path, body) => {
      const response = await fetch(`${urlOf(name)}/v1/daemons/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${flock.token(name)}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify(body ?? {}),
      });
      return { status: response.status, body: (await response.json()) as DaemonView };
    },
    stop: async () => {
      for (const node of flock.nodes) if (node.running()) await flock.signal(node.name, 'SIGKILL');
      for (const node of flock.nodes)
        for (const type of daemonTypes) {
          const { process } = await adopt(join(node.data, 'daemons', type));
          await process?.end(3000);
        }
      await flock.stop();
    },
  };
}

/** Asks a path again and again; how many answers there were, which statuses, how long they took. */
export function createReader(url: string, everyMs = 100) {
  const tookMs: number[] = [];
  const statuses = new Set<number | string>();
  let last: Promise<void> = Promise.resolve();
  const ask = async (): Promise<void> => {
    const from = performance.now();
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
      await response.text();
      statuses.add(response.status);
    } catch (thrown) {
      statuses.add(thrown instanceof Error ? thrown.message : String(thrown));
    }
    tookMs.push(performance.now() - from);
  };
  const timer = setInterval(() => {
    last = last.then(ask);
  }, everyMs);
  return {
    stop: async () => {
      clearInterval(timer);
      await last;
      const sorted = tookMs.sort((a, b) => a - b);
      const medianMs = sorted[Math.floor(sorted.length / 2)] ?? Number.POSITIVE_INFINITY;
      return { answers: sorted.length, statuses: [...statuses], medianMs };
    },
  };
}
