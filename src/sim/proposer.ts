/**
 * Somebody with a session who wants commands applied: each is repeated under its own sequence, on
 * whatever node answers, until it is applied or the tries are used up.
 */
import type { LogIndex, Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { type Command, type CommandResult, decodeResult, encodeEnvelope } from '../wire/command.ts';
import { type Answered, type ClientChecks, requestMs } from './client-checks.ts';
import type { EventQueue } from './event-queue.ts';
import type { SimNode } from './sim-node.ts';

export interface ProposerDeps {
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly checks: ClientChecks;
  /** Whom it may ask now. */
  readonly nodes: () => readonly SimNode[];
  readonly acknowledged: () => LogIndex;
}

export interface Proposer {
  readonly session: string;
  /** The next sequence. */
  seq(): number;
  /** Somebody who is up, or null. */
  pick(): SimNode | null;
  later(run: () => void): void;
  /** The first answer, or none in time. */
  once(done: (answer: Answered) => void): (answer: Answered) => void;
  /** `done` hears the result, or null after so many attempts that none was applied of. */
  run(command: Command, tries: number, done: (result: CommandResult | null) => void): void;
}

const retryMsMin = 10;
const retryMsMax = 250;
/** How long after the deadline it still waits: nobody waits for a stopped process. */
const patienceMs: Ms = 700;
/** Wall time of a simulation's beginning. */
export const epochStartMs: Ms = 1_700_000_000_000;

export function createProposer(deps: ProposerDeps): Proposer {
  const { queue, prng, checks } = deps;
  const session = prng.hex(16);
  let seq = 0;
  let opened = false;

  const later = (run: () => void): void => {
    queue.in(prng.range(retryMsMin, retryMsMax), run);
  };

  function once(done: (answer: Answered) => void): (answer: Answered) => void {
    let over = false;
    const end = (answer: Answered): void => {
      if (!over) done(answer);
      over = true;
    };
    queue.in(requestMs + patienceMs, () => end({ type: 'lost' }));
    return end;
  }

  function pick(): SimNode | null {
    const up = deps.nodes().filter((node) => node.state() !== 'absent');
    return up.length === 0 ? null : prng.pick(up);
  }

  interface Wish {
    readonly command: Command;
    readonly data: Uint8Array;
    readonly floor: LogIndex;
    readonly done: (result: CommandResult | null) => void;
  }

  function attempt(wish: Wish, tries: number): void {
    if (tries <= 0) {
      wish.done(null);
      return;
    }
    const node = pick();
    if (node === null) {
      later(() => attempt(wish, tries - 1));
      return;
    }
    const done = once((answer) => {
      if (answer.type === 'applied') wish.done(decodeResult(answer.result));
      else later(() => attempt(wish, tries - 1));
    });
    const sentMs = queue.nowMs();
    const { data, floor } = wish;
    const ref = checks.open({ kind: 'propose', node, sentMs, floor, row: null, done });
    node.post({ type: 'propose', ref, data, deadlineMs: node.now().monoMs + requestMs });
  }

  function propose(command: Command, number: number, tries: number, done: Wish['done']): void {
    const atMs = epochStartMs + Math.floor(queue.nowMs());
    const envelope = { v: 1 as const, session, seq: number, atMs, idempotency: null, command };
    const floor = deps.acknowledged();
    attempt({ command, data: encodeEnvelope(envelope), floor, done }, tries);
  }

  return {
    session,
    seq: () => seq + 1,
    pick,
    later,
    once,
    run: (command, tries, done) => {
      const next = (): void => {
        seq += 1;
        propose(command, seq, tries, done);
      };
      if (opened) next();
      else
        propose({ type: 'session.open', node: 'client' }, 0, tries, (result) => {
          opened ||= result?.ok === true;
          if (result === null) done(null);
          else next();
        });
    },
  };
}
