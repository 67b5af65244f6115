/**
 * This process as a proposer. It opens a session by an entry, numbers its commands and never has
 * more of them unfinished than the catalog remembers results for, so that a command which is sent
 * again to a new leader is applied once. When a session was evicted, the command that met it fails
 * and is never run anew; only later commands go out under a new session.
 */
import { randomBytes } from 'node:crypto';
import type { Ms, PeerId, SessionId } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import type { Event, Outcome } from '../consensus/api.ts';
import {
  type Command,
  type CommandResult,
  decodeResult,
  type Envelope,
  encodeEnvelope,
} from '../wire/command.ts';
import { within } from './deadline.ts';
import type { AgentMetrics } from './metrics.ts';
import { createWaiters } from './waiters.ts';

/** Commands that wait for a free sequence or for their answer; beyond it: `overloaded`. */
const proposalsMax = 16_384;
const sessionOpenMsMax = 10_000;

export interface ProposeOptions {
  readonly idempotency: Envelope['idempotency'];
  readonly timeoutMs: Ms;
}

export interface Proposer {
  propose(command: Command, options: ProposeOptions): Promise<CommandResult>;
  outcome(ref: number, outcome: Outcome): void;
  stop(error: AgentError): void;
  inFlight(): number;
}

export interface ProposerDeps {
  readonly self: PeerId;
  readonly firstSession: SessionId;
  /** How many results per session the catalog keeps. */
  readonly windowMax: number;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly post: (event: Event) => void;
}

/** The numbers of one session: a command is sent only while its number is within the window. */
interface Session {
  readonly id: SessionId;
  lastSeq: number;
  readonly unfinished: Set<number>;
  expired: boolean;
}

interface Numbered {
  readonly session: Session;
  readonly seq: number;
}

export function createProposer(deps: ProposerDeps): Proposer {
  const { clock, metrics } = deps;
  const waiters = createWaiters<Outcome>('proposals', proposalsMax);
  let opening: Promise<Session> | null = null;
  let stopped: AgentError | null = null;
  let nextId: SessionId = deps.firstSession;
  const blocked: { deadlineMs: Ms; resolve: (number: Numbered | null) => void }[] = [];

  const send = (envelope: Envelope, deadlineMs: Ms): Promise<Outcome> => {
    const data = encodeEnvelope(envelope);
    return waiters.open((ref) => deps.post({ type: 'propose', ref, data, deadlineMs }));
  };

  async function openSession(): Promise<Session> {
    const id = nextId;
    nextId = randomBytes(16).toString('hex');
    const outcome = await send(
      {
        v: 1,
        session: id,
        seq: 0,
        atMs: clock.wallMs(),
        idempotency: null,
        command: { type: 'session.open', node: deps.self },
      },
      clock.now().monoMs + sessionOpenMsMax,
    );
    resultOf(outcome);
    return { id, lastSeq: 0, unfinished: new Set(), expired: false };
  }

  /** The open session, or one that is being opened; a failure is forgotten with its attempt. */
  async function session(deadlineMs: Ms): Promise<Session> {
    for (;;) {
      opening ??= openSession();
      const attempt = opening;
      try {
        const leftMs = deadlineMs - clock.now().monoMs;
        const current = await within(leftMs, 'opening a session', attempt);
        if (!current.expired) return current;
        if (opening === attempt) opening = null;
      } catch (error) {
        // The caller's time is over, the attempt's may not be: nothing of this command was sent.
        if (error instanceof AgentError && error.code === 'timeout')
          throw new AgentError('no-quorum', 'no session could be opened before the deadline');
        if (opening === attempt) opening = null;
        if (!(error instanceof AgentError) || error.code !== 'outcome-unknown') throw error;
      }
    }
  }

  const hasRoom = (of: Session): boolean => {
    const oldest: number | undefined = of.unfinished.values().next().value;
    return oldest === undefined || of.lastSeq + 1 - oldest < deps.windowMax;
  };

  function take(from: Session): Numbered {
    from.lastSeq += 1;
    from.unfinished.add(from.lastSeq);
    return { session: from, seq: from.lastSeq };
  }

  async function takeNumber(deadlineMs: Ms): Promise<Numbered> {
    for (;;) {
      if (stopped !== null) throw stopped;
      const current = await session(deadlineMs);
      if (blocked.length === 0 && hasRoom(current)) return take(current);
      if (blocked.length >= proposalsMax)
        throw new AgentError('overloaded', `${proposalsMax} commands wait already; try later`);
      const number = await new Promise<Numbered | null>((resolve) =>
        blocked.push({ deadlineMs, resolve }),
      );
      if (number !== null) return number;
      if (clock.now().monoMs >= deadlineMs)
        throw new AgentError('overloaded', 'the command waited for its turn until its deadline');
    }
  }

  /** Gives the free numbers to those who waited longest; an expired session has none to give. */
  function serveBlocked(from: Session): void {
    const nowMs = clock.now().monoMs;
    if (from.expired) {
      for (const { resolve } of blocked.splice(0)) resolve(null);
      return;
    }
    while (blocked.length > 0 && hasRoom(from)) {
      const next = blocked.shift();
      next?.resolve(nowMs >= next.deadlineMs ? null : take(from));
    }
  }

  async function propose(command: Command, options: ProposeOptions): Promise<CommandResult> {
    const startedMs = performance.now();
    const deadlineMs = clock.now().monoMs + options.timeoutMs;
    metrics.count('proposals');
    try {
      const number = await takeNumber(deadlineMs);
      const { id, unfinished } = number.session;
      try {
        const { idempotency } = options;
        const atMs = clock.wallMs();
        const envelope = {
          v: 1 as const,
          session: id,
          seq: number.seq,
          atMs,
          idempotency,
          command,
        };
        const result = resultOf(await send(envelope, deadlineMs));
        if (!result.ok && result.code === 'session-expired') {
          number.session.expired = true;
          throw new AgentError('session-expired', result.detail);
        }
        metrics.stage('answer', performance.now() - startedMs);
        return result;
      } finally {
        unfinished.delete(number.seq);
        serveBlocked(number.session);
      }
    } catch (error) {
      metrics.count('proposals_failed');
      throw error;
    }
  }

  return {
    propose,
    outcome: (ref, outcome) => waiters.settle(ref, outcome),
    stop: (error) => {
      stopped = error;
      waiters.rejectAll(error);
      for (const { resolve } of blocked.splice(0)) resolve(null);
    },
    inFlight: () => waiters.size(),
  };
}

/** The result of an outcome; a refusal or an unknown end is thrown. */
function resultOf(outcome: Outcome): CommandResult {
  switch (outcome.type) {
    case 'applied':
      return decodeResult(outcome.result);
    case 'refused':
      throw new AgentError(outcome.code, outcome.detail);
    case 'unknown':
      throw new AgentError(
        'outcome-unknown',
        'no answer before the deadline: it may have been committed, or may yet be',
      );
  }
}
