/**
 * Writes index entries through one node without pause and remembers what was acknowledged and when,
 * so that afterwards every acknowledged write can be looked for on every node: there, and once.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { AgentError } from '../base/error.ts';
import type { FlockNode } from './demo-flock.ts';
import { ExitError } from './exit-code.ts';

const indexType = 'knowledge_graph';
/** Writers that each wait for one answer before the next write. */
const lanes = 2;
const retryMs = 5;
/** Rarely enough not to be what is measured: each costs both sides a millisecond or two. */
const probeEveryMs = 20;
const probesMax = 64;
const pageSize = 1000;
const writeTimeoutMs = 5000;

/** Refusals after which the same write, under the same key, is tried again. */
const passing = new Set([
  'not-leader',
  'no-quorum',
  'overloaded',
  'outcome-unknown',
  'timeout',
  'unavailable',
  'session-expired',
]);

export interface Audit {
  readonly lost: number;
  readonly doubled: number;
}

export interface Writer {
  start(): void;
  /** Ends after the writes under way. */
  stop(): Promise<void>;
  acknowledged(): number;
  /** Starts more writes from now on until one of them is acknowledged; answers when that was. */
  firstAckFromNow(): Promise<number>;
  /** The longest time without an acknowledgement between two instants. */
  longestGapMs(fromMs: number, toMs: number): number;
  /** Looks for every acknowledged write on a node's own copy. */
  audit(node: FlockNode): Promise<Audit>;
}

export function createWriter(node: FlockNode, run: string): Writer {
  /** Number of the write to the version that its acknowledgement told. */
  const acknowledged = new Map<number, number>();
  const ackMs: number[] = [];
  let next = 1;
  let running = false;
  const working = new Set<Promise<unknown>>();

  async function write(): Promise<void> {
    const n = next++;
    const path = `/v1/index/${indexType}/${run}-${n}`;
    const headers = { 'idempotency-key': `${run}-${n}` };
    const query = { timeoutMs: writeTimeoutMs };
    for (;;) {
      try {
        const options = { json: { n }, headers, query };
        const { version } = await node.client().call<{ version: number }>('PUT', path, options);
        acknowledged.set(n, version);
        ackMs.push(performance.now());
        return;
      } catch (thrown) {
        if (!(thrown instanceof AgentError) || !passing.has(thrown.code)) throw thrown;
        if (!running) return;
        await wait(retryMs);
      }
    }
  }

  async function lane(): Promise<void> {
    while (running) await write();
  }

  function begin(work: Promise<unknown>): void {
    working.add(work);
    // A failure is told by `stop`, which awaits the same promise.
    const forget = (): void => void working.delete(work);
    work.then(forget, () => undefined);
  }

  async function entriesOn(at: FlockNode) {
    const found = new Map<string, number[]>();
    for (let after: string | undefined, more = true; more; ) {
      const page: { entries: { key: string; version: number }[]; next: string | null } = await at
        .client()
        .call('GET', `/v1/index/${indexType}`, {
          query: { prefix: `${run}-`, limit: pageSize, after },
        });
      for (const { key, version } of page.entries)
        found.set(key, [...(found.get(key) ?? []), version]);
      more = page.next !== null;
      after = page.next ?? undefined;
    }
    return found;
  }

  return {
    start() {
      running = true;
      for (let i = 0; i < lanes; i++) begin(lane());
    },
    async stop() {
      running = false;
      await Promise.all(working);
    },
    acknowledged: () => acknowledged.size,
    async firstAckFromNow() {
      const startedMs = performance.now();
      let firstMs: number | null = null;
      for (let i = 0; firstMs === null; i++) {
        if (i < probesMax)
          begin(
            write().then(() => {
              firstMs ??= performance.now();
            }),
          );
        await wait(probeEveryMs);
        if (performance.now() - startedMs > 30_000)
          throw new ExitError('failure', 'no write was acknowledged for 30 s');
      }
      return firstMs;
    },
    longestGapMs(fromMs, toMs) {
      const inside = ackMs.filter((ms) => ms >= fromMs && ms <= toMs);
      const points = [fromMs, ...inside, toMs];
      return Math.max(...points.slice(1).map((ms, i) => ms - (points[i] ?? ms)));
    },
    async audit(at) {
      const found = await entriesOn(at);
      let lost = 0;
      let doubled = 0;
      for (const [n, version] of acknowledged) {
        const versions = found.get(`${run}-${n}`);
        if (versions === undefined) lost += 1;
        // A write that was done twice would stand at a later version than was acknowledged.
        else if (versions.length > 1 || versions[0] !== version) doubled += 1;
      }
      return { lost, doubled };
    },
  };
}
