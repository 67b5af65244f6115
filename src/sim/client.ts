/**
 * A client of the cluster: one session whose sequences it repeats, on whatever node answers, until
 * they are acknowledged. It writes registers, blindly or by compare-and-set, changes policies of
 * pins, and reads through any node.
 */
import type { LogIndex, Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { type Command, decodeResult, encodeEnvelope, type SimpleCommand } from '../wire/command.ts';
import { type Answered, type ClientChecks, requestMs } from './client-checks.ts';
import type { EventQueue } from './event-queue.ts';
import type { SimNode } from './sim-node.ts';

export interface ClientDeps {
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly checks: ClientChecks;
  readonly nodes: () => readonly SimNode[];
  readonly acknowledged: () => LogIndex;
  readonly thinkMs: Ms;
}

export interface Client {
  start(): void;
  /** No new operations; what is under way goes on until it is acknowledged. */
  finish(): void;
  idle(): boolean;
}

const registers = 12;
const pins = 4;
const retryMsMin = 10;
const retryMsMax = 250;
/** How long after the deadline a client still waits. */
const patienceMs: Ms = 700;
/** Content is searched by its text, which costs more than all the rest: it comes seldom. */
const indexTypes = [
  ...(['peer_lists', 'peer_lists', 'peer_lists', 'peer_lists', 'peer_lists'] as const),
  ...(['embeddings', 'embeddings', 'content_metadata'] as const),
];

export function createClient(deps: ClientDeps): Client {
  const { queue, prng, checks } = deps;
  const session = prng.hex(16);
  const versions = new Map<string, number>();
  let seq = 0;
  let opened = false;
  let finishing = false;
  let busy = false;

  const later = (run: () => void): void => {
    queue.in(prng.range(retryMsMin, retryMsMax), run);
  };

  /** The first answer, or none in time: a client does not wait for a stopped process. */
  function once(done: (answer: Answered) => void): (answer: Answered) => void {
    let over = false;
    const end = (answer: Answered): void => {
      if (!over) done(answer);
      over = true;
    };
    queue.in(requestMs + patienceMs, () => end({ type: 'lost' }));
    return end;
  }

  function running(): SimNode | null {
    const up = deps.nodes().filter((node) => node.state() !== 'absent');
    return up.length === 0 ? null : prng.pick(up);
  }

  function next(): void {
    if (finishing) {
      busy = false;
      return;
    }
    busy = true;
    if (!opened) propose({ type: 'session.open', node: 'client' });
    else if (prng.chance(0.25)) read();
    else propose(prng.chance(0.12) ? pinCommand() : putCommand());
  }

  function think(): void {
    busy = !finishing;
    if (!finishing) queue.in(prng.range(0, deps.thinkMs * 2), next);
  }

  function putCommand(): SimpleCommand {
    const index = prng.pick(indexTypes);
    const key = `k${prng.int(registers)}`;
    const known = versions.get(key);
    const expectedVersion = prng.chance(0.4) ? (known ?? 0) : null;
    const value = { name: `${session.slice(0, 4)}-${seq}`, n: seq };
    return { type: 'index.put', index, key, value, expectedVersion };
  }

  /** A pin whose policy changes with every put. */
  function pinCommand(): SimpleCommand {
    const cid = `bafysimulated${prng.int(pins)}`;
    if (prng.chance(0.2)) return { type: 'pin.rm', cid, expectedVersion: null };
    const min = 1 + prng.int(3);
    return {
      ...{ type: 'pin.put', cid, name: '', bytes: 10, blocks: 1, min, max: min + prng.int(3) },
      ...{ labels: {}, expiresAtMs: null, expectedVersion: null },
    };
  }

  function propose(command: Command): void {
    if (command.type !== 'session.open') seq += 1;
    const data = encodeEnvelope({
      ...{ v: 1, session, seq: command.type === 'session.open' ? 0 : seq },
      ...{ atMs: 1_700_000_000_000 + Math.floor(queue.nowMs()), idempotency: null, command },
    });
    attempt(command, data, deps.acknowledged());
  }

  function attempt(command: Command, data: Uint8Array, floor: LogIndex): void {
    const again = (): void => later(() => attempt(command, data, floor));
    const node = running();
    if (node === null) {
      again();
      return;
    }
    const done = once((answer: Answered): void => {
      if (answer.type !== 'applied') again();
      else acknowledged(command, answer.result);
    });
    const sentMs = queue.nowMs();
    const ref = checks.open({ kind: 'propose', node, sentMs, floor, row: null, done });
    const deadlineMs = node.now().monoMs + requestMs;
    node.post({ type: 'propose', ref, data, deadlineMs });
  }

  function acknowledged(command: Command, bytes: Uint8Array): void {
    const result = decodeResult(bytes);
    if (command.type === 'session.open') opened = true;
    if (command.type === 'index.put') {
      if (result.ok) versions.set(command.key, result.version ?? 0);
      else versions.delete(command.key);
    }
    think();
  }

  function read(): void {
    const node = running();
    if (node === null) {
      later(next);
      return;
    }
    const key = `k${prng.int(registers)}`;
    const row = { type: prng.pick(indexTypes), key };
    const floor = deps.acknowledged();
    const done = once((answer: Answered): void => {
      if (answer.type === 'ready') versions.set(key, node.catalog.versionOf(row.type, key));
      think();
    });
    const ref = checks.open({ kind: 'read', node, sentMs: queue.nowMs(), floor, row, done });
    node.post({ type: 'read', ref, deadlineMs: node.now().monoMs + requestMs });
  }

  return {
    start: () => {
      busy = true;
      think();
    },
    finish: () => {
      finishing = true;
    },
    idle: () => finishing && !busy,
  };
}
