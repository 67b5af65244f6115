/**
 * Writes without pause through one node's port and remembers what was acknowledged. Every write
 * has a key of its own and an idempotency key; while its end is unknown it is sent again under the
 * same one. Afterwards a node's copy is compared with the acknowledgements: a missing key is a lost
 * write, a key at another version than the one acknowledged was written twice.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { getJson } from './flock.ts';

const requestTimeoutMs = 4000;
const pageLimit = 500;

export interface Writer {
  readonly acknowledged: ReadonlyMap<string, number>;
  /** Longest time between two acknowledgements so far, ms. */
  gapMsMax(): number;
  /** Monotonic instants of acknowledgements. */
  readonly atMs: readonly number[];
  refusals(): number;
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly target: () => { url: string; token: string };
  readonly prefix: string;
  /** Writes in flight. @default 4 */
  readonly lanes?: number;
}

export function createWriter(options: WriterOptions): Writer {
  const acknowledged = new Map<string, number>();
  const atMs: number[] = [];
  let refusals = 0;
  let running = true;
  let counter = 0;

  async function putOnce(key: string, idempotencyKey: string): Promise<number | null> {
    const { url, token } = options.target();
    try {
      const response = await fetch(`${url}/v1/index/knowledge_graph/${key}?timeoutMs=3000`, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'idempotency-key': idempotencyKey,
        },
        body: JSON.stringify({ key }),
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
      const body = (await response.json()) as { version?: number };
      if (response.ok && typeof body.version === 'number') return body.version;
      refusals += 1;
    } catch {
      // The node is down or slow; whether the write happened is not known, so it is sent again.
      refusals += 1;
    }
    return null;
  }

  async function lane(): Promise<void> {
    while (running) {
      counter += 1;
      const key = `${options.prefix}${counter}`;
      const idempotencyKey = randomUUID();
      for (;;) {
        const version = await putOnce(key, idempotencyKey);
        if (version !== null) {
          acknowledged.set(key, version);
          atMs.push(performance.now());
          break;
        }
        if (!running) return;
        await wait(10);
      }
    }
  }

  const lanes = Array.from({ length: options.lanes ?? 4 }, lane);
  return {
    acknowledged,
    atMs,
    refusals: () => refusals,
    gapMsMax: () => {
      let gap = 0;
      for (let i = 1; i < atMs.length; i++)
        gap = Math.max(gap, (atMs[i] ?? 0) - (atMs[i - 1] ?? 0));
      return gap;
    },
    stop: async () => {
      running = false;
      await Promise.all(lanes);
    },
  };
}

/** All keys below a prefix with their versions, as one node's own copy has them. */
export async function readIndex(
  url: string,
  prefix: string,
  token?: string,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  let after: string | null = null;
  do {
    const query = new URLSearchParams({ prefix, limit: String(pageLimit) });
    if (after !== null) query.set('after', after);
    const page: {
      entries: { key: string; version: number }[];
      next: string | null;
    } | null = await getJson(`${url}/v1/index/knowledge_graph?${query}`, { token });
    if (page === null) throw new Error(`${url} does not list its index`);
    for (const { key, version } of page.entries) found.set(key, version);
    after = page.next;
  } while (after !== null);
  return found;
}

export interface Comparison {
  readonly acknowledged: number;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
}

/** What was acknowledged against what is there. */
export function compare(
  acknowledged: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): Comparison {
  const lost: string[] = [];
  const doubled: string[] = [];
  for (const [key, version] of acknowledged) {
    const there = found.get(key);
    if (there === undefined) lost.push(key);
    else if (there !== version) doubled.push(key);
  }
  return { acknowledged: acknowledged.size, lost, doubled };
}
