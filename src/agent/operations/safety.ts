/**
 * Whether a member may stop, answered by the acting leader from what it hears now, and asked by the
 * member itself or by whoever drains it. Older answers are worth nothing: another member may have
 * stopped since. So a member that is about to stop asks for the turn as well: one has it at a time,
 * in the log, and nobody else is told that it may stop until it is back or its time is over.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { StopTurn } from '../../catalog/query-operations.ts';
import { promiseLengthMs } from '../../consensus/timing.ts';
import { atRisk, whyUnsafe } from '../../plan/safety.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import {
  type SafetyAnswer,
  safetyAnswerSchema,
  safetySchema,
} from '../../wire/operation-message.ts';
import type { Node } from '../node.ts';
import type { Holding } from '../replication/api.ts';

const askTimeoutMs: Ms = 2000;
/** Entries that a voter may lack and still count as caught up. */
const behindMax = 1024;
/** Beyond its time a turn holds for as long as a death may go unnoticed. */
const turnGraceMs: Ms = 10_000;
const proposeTimeoutMs: Ms = 5000;

export interface SafetyDeps {
  readonly node: Node;
  readonly leaseMs: Ms;
  readonly nowMs: () => Ms;
  readonly holding: (peer: PeerId) => Promise<Holding>;
  /** Whose turn it is to stop, by this node's catalog. */
  readonly turn: () => Promise<StopTurn | null>;
  readonly propose: (command: Command, timeoutMs: Ms) => Promise<CommandResult>;
}

/**
 * How long a turn holds, by this node's monotonic clock from when it first saw it: a new leader
 * counts anew, so that no wall clock of another machine can shorten it.
 */
export function createTurnClock(nowMs: () => Ms, graceMs: Ms) {
  let seen = { version: 0, sinceMs: 0 };
  return {
    inForce: (turn: StopTurn | null): StopTurn | null => {
      if (turn === null) return null;
      if (turn.version !== seen.version) seen = { version: turn.version, sinceMs: nowMs() };
      return nowMs() - seen.sinceMs < turn.forMs + graceMs ? turn : null;
    },
  };
}

const nobody = (term: number): SafetyAnswer => ({
  ...{ acting: false, term, reasons: [], pinsAtRisk: 0, allocated: 0, leads: false },
});

export interface Safety {
  /**
   * The leader's answer; throws when no leader can be asked. With `reserveMs` the member gets the
   * turn to stop if it may.
   */
  ask(peer: PeerId, reserveMs?: Ms): Promise<SafetyAnswer>;
}

export function createSafety(deps: SafetyDeps): Safety {
  const { node, leaseMs, nowMs, holding } = deps;
  const { directory, leadership, mesh, runtime, self } = node;
  const turns = createTurnClock(nowMs, turnGraceMs);
  let reserving: Promise<unknown> = Promise.resolve();

  /** Somebody else's turn as a reason, or null. */
  function taken(turn: StopTurn | null, peer: PeerId): SafetyAnswer['reasons'][number] | null {
    if (turn === null || turn.peer === peer) return null;
    const detail = `${directory.nameOf(turn.peer)} was told that it may stop and is not back yet`;
    return { code: 'reserved', detail };
  }

  async function answer(peer: PeerId): Promise<SafetyAnswer> {
    const reserved = taken(turns.inForce(await deps.turn()), peer);
    const { held, allocated } = await holding(peer);
    const { term, configuration, progress, commitIndex } = runtime.status();
    if (runtime.mayAct() === null) return nobody(term);
    const { members, voters, outgoing } = configuration;
    const heard = progress.filter(
      ({ cannotLead, lastAckMs }) => cannotLead !== 'unheard' && nowMs() - lastAckMs <= leaseMs,
    );
    const sound = heard.filter(({ match, cannotLead, steadySinceMs }) => {
      // One that has just restarted is bound by a promise that it does not remember.
      const steadyMs = steadySinceMs === null ? 0 : nowMs() - steadySinceMs;
      const settled = cannotLead !== null || steadyMs >= promiseLengthMs(leaseMs);
      return settled && commitIndex - match <= behindMax;
    });
    const heirs = sound.filter(({ cannotLead }) => cannotLead === null);
    const reasons = whyUnsafe({
      ...{ peer, voters, outgoing, held, leads: peer === self },
      isMember: members.some((member) => member.peerId === peer),
      sound: new Set([self, ...sound.map((one) => one.peer)]),
      heirs: heirs.filter((one) => one.peer !== peer && voters.includes(one.peer)).length,
    });
    return {
      ...{ acting: true, term, allocated, leads: peer === self },
      reasons: [...(reserved ? [reserved] : []), ...reasons].map(({ code, detail }) => ({
        ...{ code, detail: detail.slice(0, 512) },
      })),
      pinsAtRisk: atRisk(held ?? []).length,
    };
  }

  async function reserve(peer: PeerId, forMs: Ms): Promise<SafetyAnswer> {
    const before = await deps.turn();
    const found = await answer(peer);
    if (!found.acting || found.reasons.length > 0) return found;
    const expectedVersion = before?.version ?? 0;
    const command = { type: 'stop.reserve', peer, forMs, expectedVersion } as const;
    const result = await deps.propose(command, proposeTimeoutMs);
    if (result.ok) return { ...found, reserved: true };
    if (result.code !== 'conflict') throw new AgentError(result.code, result.detail);
    return { ...found, reasons: [{ code: 'reserved', detail: result.detail }] };
  }

  /** One at a time: the second one sees the turn of the first. */
  function decide(peer: PeerId, reserveMs: Ms | undefined): Promise<SafetyAnswer> {
    if (reserveMs === undefined) return answer(peer);
    const decision = reserving.then(() => reserve(peer, reserveMs));
    reserving = decision.then(
      () => undefined,
      () => undefined,
    );
    return decision;
  }

  node.peers.serve('safety', 'member', async (from, body) => {
    const { peer, reserveMs } = decodeNodeMessage('safety', safetySchema, body);
    if (reserveMs !== undefined && from !== peer)
      throw new AgentError('forbidden', `${from} asks for the turn of ${peer}`);
    return encodeNodeMessage(await decide(peer, reserveMs));
  });

  return {
    ask: async (peer, reserveMs) => {
      const { leader, term } = leadership.view();
      if (leader === null) return nobody(term);
      if (leader === self) return decide(peer, reserveMs);
      const body = encodeNodeMessage({ peer, ...(reserveMs === undefined ? {} : { reserveMs }) });
      const timeoutMs = reserveMs === undefined ? askTimeoutMs : askTimeoutMs + proposeTimeoutMs;
      const told = await mesh.request(leader, 'safety', body, { timeoutMs });
      return decodeNodeMessage('safety answer', safetyAnswerSchema, told);
    },
  };
}

/** Why this node should not stop, for `/safe-to-stop`; whatever can't be found out counts as no. */
export async function reasonsAgainst(
  safety: Safety,
  peer: PeerId,
  reserveMs?: Ms,
): Promise<readonly { code: string; detail: string }[]> {
  try {
    const { acting, reasons, reserved = false } = await safety.ask(peer, reserveMs);
    if (!acting) return [{ code: 'no-leader', detail: 'no leader acts now' }];
    if (reasons.length > 0 || reserveMs === undefined || reserved) return reasons;
    return [{ code: 'not-reserved', detail: 'the leader is of a version that gives no turns' }];
  } catch (thrown) {
    const { code, message } = asAgentError(thrown);
    return [{ code: 'leader-unreachable', detail: `${code}: ${message}` }];
  }
}
