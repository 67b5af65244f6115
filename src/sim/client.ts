/**
 * A client of the cluster: one session whose sequences it repeats, on whatever node answers, until
 * they are acknowledged. It writes registers, blindly or by compare-and-set, changes policies of
 * pins, and reads through any node.
 */
import type { Ms } from '../base/brand.ts';
import type { SimpleCommand } from '../wire/command.ts';
import { requestMs } from './client-checks.ts';
import { createProposer, type ProposerDeps } from './proposer.ts';

export interface ClientDeps extends ProposerDeps {
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
/** Content is searched by its text, which costs more than all the rest: it comes seldom. */
const indexTypes = [
  ...(['peer_lists', 'peer_lists', 'peer_lists', 'peer_lists', 'peer_lists'] as const),
  ...(['embeddings', 'embeddings', 'content_metadata'] as const),
];

export function createClient(deps: ClientDeps): Client {
  const { queue, prng, checks } = deps;
  const proposer = createProposer(deps);
  const versions = new Map<string, number>();
  let finishing = false;
  let busy = false;

  function next(): void {
    if (finishing) {
      busy = false;
      return;
    }
    busy = true;
    if (prng.chance(0.25)) read();
    else propose(prng.chance(0.12) ? pinCommand() : putCommand());
  }

  function think(): void {
    busy = !finishing;
    if (!finishing) queue.in(prng.range(0, deps.thinkMs * 2), next);
  }

  function putCommand(): SimpleCommand {
    const index = prng.pick(indexTypes);
    const seq = proposer.seq();
    const key = `k${prng.int(registers)}`;
    const known = versions.get(key);
    const expectedVersion = prng.chance(0.4) ? (known ?? 0) : null;
    const value = { name: `${proposer.session.slice(0, 4)}-${seq}`, n: seq };
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

  function propose(command: SimpleCommand): void {
    proposer.run(command, Number.POSITIVE_INFINITY, (result) => {
      if (command.type === 'index.put') {
        if (result?.ok) versions.set(command.key, result.version ?? 0);
        else versions.delete(command.key);
      }
      think();
    });
  }

  function read(): void {
    const node = proposer.pick();
    if (node === null) {
      proposer.later(next);
      return;
    }
    const key = `k${prng.int(registers)}`;
    const row = { type: prng.pick(indexTypes), key };
    const floor = deps.acknowledged();
    const done = proposer.once((answer): void => {
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
