/**
 * Clients that read, write and compare-and-set a few registers through all ports while it burns,
 * and record what they asked and were told. A refusal that says nothing was done is believed: if
 * its value turns up later, that is a violation. `plant` makes one of them lie in its record.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Prng } from '../../src/base/prng.ts';
import { type ChaosNode, type Flock, machineMs } from './flock.ts';
import { createHistory, type Invocation, type Operation } from './history.ts';

export type Plant = 'stale-read' | 'lost-write' | null;

const keys = ['r1', 'r2', 'r3', 'r4'];
const clientsMax = 6;
const triesMax = 6;
const answerMsMax = 4000;
const pauseMsMax = 40;
/** The lying client has a register to itself, so that nobody covers its lies up. */
const liarsKey = 'lied';

/** Refusals that promise that nothing was done. */
const nothingDone = new Set(['not-leader', 'no-quorum', 'overloaded', 'unavailable', 'stopped']);

interface Reply {
  readonly status: number;
  readonly body: { version?: number; currentVersion?: number; code?: string; value?: unknown };
}

export interface Clients {
  stop(): Promise<void>;
  history(): readonly Invocation[];
  /** Lies recorded so far. */
  lies(): number;
  /** Answers by what they said. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface ClientDeps {
  readonly flock: Flock;
  readonly prng: Prng;
  readonly plant: Plant;
  /** Half of the questions go there, if anywhere. */
  readonly focus: () => ChaosNode | null;
}

export function createClients({ flock, prng, plant, focus }: ClientDeps): Clients {
  const history = createHistory(machineMs);
  const counts = new Map<string, number>();
  let running = true;
  let made = 0;
  let lied = 0;
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);

  async function ask(
    node: ChaosNode,
    key: string,
    operation: Operation,
    idempotency: string,
  ): Promise<Reply | null> {
    const query = new URLSearchParams({ timeoutMs: '3000' });
    if (operation.type === 'read') query.set('consistency', 'linearizable');
    if (operation.type === 'cas') query.set('expectedVersion', String(operation.expected));
    const headers: Record<string, string> = { authorization: `Bearer ${flock.token(node)}` };
    const init: RequestInit = { headers, signal: AbortSignal.timeout(answerMsMax) };
    if (operation.type !== 'read') {
      headers['content-type'] = 'application/json';
      headers['idempotency-key'] = idempotency;
      init.method = 'PUT';
      init.body = JSON.stringify({ v: operation.value });
    }
    try {
      const response = await fetch(`${node.url}/v1/index/knowledge_graph/${key}?${query}`, init);
      return { status: response.status, body: (await response.json()) as Reply['body'] };
    } catch {
      // Down, stopped, cut or slow: nothing is known.
      return null;
    }
  }

  /** Notes what a reply means; false: it tells nothing. */
  function settle(open: Invocation, reply: Reply): boolean {
    const { status, body } = reply;
    if (open.operation.type === 'read') {
      if (status === 404) history.end(open, { type: 'nothing' });
      else if (status !== 200) return false;
      else {
        const { v } = body.value as { v: string };
        history.end(open, { type: 'found', value: v, version: body.version ?? -1 });
      }
      return true;
    }
    if (status === 200) history.end(open, { type: 'done', version: body.version ?? -1 });
    else if (status === 409 && body.currentVersion !== undefined)
      history.end(open, { type: 'conflict', version: body.currentVersion });
    else return false;
    return true;
  }

  async function perform(client: string, key: string, operation: Operation): Promise<Invocation> {
    const open = history.begin(client, key, operation);
    const idempotency = randomUUID();
    let certain = true;
    for (let attempt = 0; attempt < triesMax; attempt++) {
      const node = (prng.chance(0.5) ? focus() : null) ?? prng.pick(flock.nodes);
      const reply = await ask(node, key, operation, idempotency);
      if (reply !== null && settle(open, reply)) {
        count(open.answer?.type ?? 'unknown');
        return open;
      }
      const refused = reply !== null && nothingDone.has(reply.body.code ?? '');
      const leecher = reply?.status === 403;
      count(reply === null ? 'no answer' : (reply.body.code ?? String(reply.status)));
      certain &&= refused || leecher;
      if (!running || (attempt > 1 && prng.chance(0.3))) break;
      await wait(prng.int(100));
    }
    // A read without an answer says nothing; a write that was only ever refused did not happen.
    if (certain || operation.type === 'read') history.drop(open);
    return open;
  }

  function choose(key: string, seen: Map<string, number>): Operation {
    const choice = prng.int(10);
    made += 1;
    const value = `v${made}`;
    if (choice < 4) return { type: 'read' };
    if (choice < 6) return { type: 'write', value };
    return { type: 'cas', value, expected: seen.get(key) ?? 0 };
  }

  async function client(name: string, lies: Plant): Promise<void> {
    const seen = new Map<string, number>();
    const found = new Map<string, { value: string; version: number }>();
    while (running) {
      const key = lies === null ? prng.pick(keys) : liarsKey;
      const operation = choose(key, seen);
      if (lies === 'lost-write' && operation.type === 'write') {
        const version = (seen.get(key) ?? 0) + 1;
        history.end(history.begin(name, key, operation), { type: 'done', version });
        lied += 1;
        await wait(prng.int(pauseMsMax));
        continue;
      }
      const { answer } = await perform(name, key, operation);
      if (answer === null) continue;
      if (answer.type !== 'nothing') seen.set(key, answer.version);
      if (answer.type === 'found') {
        const old = found.get(key);
        if (lies === 'stale-read' && old !== undefined && old.version < answer.version) {
          history.end(history.begin(name, key, operation), { type: 'found', ...old });
          lied += 1;
        }
        found.set(key, { value: answer.value, version: answer.version });
      }
      await wait(prng.int(pauseMsMax));
    }
  }

  const lanes = Array.from({ length: clientsMax }, (_, i) =>
    client(`client-${i + 1}`, i === 0 ? plant : null),
  );
  return {
    counts,
    history: history.all,
    lies: () => lied,
    stop: async () => {
      running = false;
      await Promise.all(lanes);
    },
  };
}
