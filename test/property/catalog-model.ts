/**
 * A dumb second implementation of the catalog's commands on plain maps, to compare answers with.
 * Small on purpose: no digest, no eviction, a batch copies everything.
 */
import type { Command, CommandResult, Envelope, SimpleCommand } from '../../src/wire/command.ts';

interface ModelPin {
  min: number;
  max: number;
  version: number;
  peers: string[];
  allocationVersion: number;
}

interface ModelState {
  index: Map<string, { version: number; value: unknown }>;
  pins: Map<string, ModelPin>;
  ballots: Map<number, number>;
}

/** What of an answer is compared: everything but the sentence. */
export type Answer = { ok: boolean; index: number; code?: string; version?: number | null };

export const answerOf = (result: CommandResult): Answer =>
  result.ok
    ? { ok: true, index: result.index, version: result.version }
    : {
        ok: false,
        index: result.index,
        code: result.code,
        ...(result.version === undefined ? {} : { version: result.version }),
      };

export function createModel(window: number) {
  let state: ModelState = { index: new Map(), pins: new Map(), ballots: new Map() };
  const sessions = new Map<string, { max: number; answers: Map<number, Answer> }>();
  const keys = new Map<string, { hash: string; answer: Answer }>();

  const simple = (at: number, command: SimpleCommand): Answer => {
    const ok = (version: number | null): Answer => ({ ok: true, index: at, version });
    const no = (code: string): Answer => ({ ok: false, index: at, code });
    const clash = (version: number): Answer => ({
      ok: false,
      index: at,
      code: 'conflict',
      version,
    });
    switch (command.type) {
      case 'index.put':
      case 'index.rm': {
        if (command.index === 'replication_state') return no('bad-request');
        const key = `${command.index}|${command.key}`;
        const version = state.index.get(key)?.version ?? 0;
        if (command.expectedVersion !== null && command.expectedVersion !== version)
          return clash(version);
        if (command.type === 'index.put') {
          state.index.set(key, { version: at, value: command.value });
          return ok(at);
        }
        return state.index.delete(key) ? ok(null) : no('not-found');
      }
      case 'pin.put': {
        if (command.min > command.max) return no('bad-request');
        const old = state.pins.get(command.cid);
        const version = old?.version ?? 0;
        if (command.expectedVersion !== null && command.expectedVersion !== version)
          return clash(version);
        const { min, max } = command;
        const { peers, allocationVersion } = old ?? { peers: [], allocationVersion: 0 };
        state.pins.set(command.cid, { min, max, version: at, peers, allocationVersion });
        return ok(at);
      }
      case 'pin.rm': {
        const version = state.pins.get(command.cid)?.version ?? 0;
        if (command.expectedVersion !== null && command.expectedVersion !== version)
          return clash(version);
        return state.pins.delete(command.cid) ? ok(null) : no('not-found');
      }
      case 'allocation.set': {
        const pin = state.pins.get(command.cid);
        if (pin === undefined) return clash(0);
        if (pin.allocationVersion !== command.expectedVersion) return clash(pin.allocationVersion);
        const removes = pin.peers.some((peer) => !command.peers.includes(peer));
        const relied = new Set(command.reliesOn);
        const stay = [...relied].every((p) => pin.peers.includes(p) && command.peers.includes(p));
        if (!stay || (removes && relied.size < pin.min)) return no('bad-request');
        const peers = [...new Set(command.peers)].sort();
        state.pins.set(command.cid, { ...pin, peers, allocationVersion: at });
        return ok(at);
      }
      case 'ballot.put': {
        const term = Number(command.ballot.term);
        const known = state.ballots.get(term);
        if (known !== undefined) return clash(known);
        state.ballots.set(term, at);
        return ok(at);
      }
      default:
        return no('bad-request');
    }
  };

  const apply = (at: number, command: Command): Answer => {
    if (command.type !== 'batch') return simple(at, command);
    const before = state;
    state = {
      index: new Map(before.index),
      pins: new Map(before.pins),
      ballots: new Map(before.ballots),
    };
    for (const member of command.commands) {
      const answer = simple(at, member);
      if (answer.ok) continue;
      state = before;
      return answer;
    }
    return { ok: true, index: at, version: at };
  };

  const keyed = (at: number, envelope: Envelope): Answer => {
    const wanted = envelope.idempotency;
    if (wanted === null) return apply(at, envelope.command);
    const known = keys.get(wanted.key);
    if (known !== undefined)
      return known.hash === wanted.requestHash
        ? known.answer
        : { ok: false, index: at, code: 'conflict' };
    const answer = apply(at, envelope.command);
    keys.set(wanted.key, { hash: wanted.requestHash, answer });
    return answer;
  };

  return {
    state: () => state,
    apply: (at: number, envelope: Envelope): Answer => {
      const session = sessions.get(envelope.session);
      if (envelope.command.type === 'session.open') {
        if (session === undefined) sessions.set(envelope.session, { max: 0, answers: new Map() });
        return { ok: true, index: at, version: null };
      }
      const expired: Answer = { ok: false, index: at, code: 'session-expired' };
      if (session === undefined || envelope.seq <= session.max - window) return expired;
      const kept = session.answers.get(envelope.seq);
      if (kept !== undefined) return kept;
      const answer = keyed(at, envelope);
      session.answers.set(envelope.seq, answer);
      session.max = Math.max(session.max, envelope.seq);
      return answer;
    },
  };
}
