/**
 * Probes in flight: one peer after the other in random order, at once where something happened. A
 * probe that is not answered in time, or that finds no link, asks a few others whether they reach
 * that peer; only when none of them does is there something to say against it. Deadlines are this
 * room's own, so that a loop that stood still can postpone them.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { SelfDoubt } from './self-doubt.ts';

const helpersMax = 3;

export type ProbeAction =
  | { readonly type: 'probe'; readonly id: number; readonly peer: PeerId }
  | {
      readonly type: 'ask-help';
      readonly id: number;
      readonly helper: PeerId;
      readonly peer: PeerId;
    };

export type ProbeResult =
  | { readonly type: 'answered'; readonly id: number; readonly peer: PeerId }
  /** There is no link to it; a mere timeout is no result, the deadline here decides. */
  | { readonly type: 'no-link'; readonly id: number; readonly peer: PeerId }
  | {
      readonly type: 'helped';
      readonly id: number;
      readonly helper: PeerId;
      /** `unknown`: the helper keeps no link to that peer. */
      readonly answer: 'reached' | 'not-reached' | 'unknown';
    };

export interface Verdict {
  readonly peer: PeerId;
  readonly reached: boolean;
  readonly why: string;
}

export interface ProbeRules {
  readonly probeEveryMs: Ms;
  readonly answerMs: Ms;
}

/** A peer to probe; `evidence`: that it doesn't answer this node says something by itself. */
export interface Target {
  readonly peer: PeerId;
  readonly evidence: boolean;
}

export interface Probes {
  /** Probes this peer with the first `start` from `atMs` on. */
  hurry(peer: PeerId, atMs: Ms): void;
  result(result: ProbeResult): Verdict | null;
  /** Probes that came to an end by their deadline. */
  overdue(nowMs: Ms): Verdict[];
  start(input: {
    /** Whom the regular round may probe. */
    readonly quiet: readonly PeerId[];
    readonly targetOf: (peer: PeerId) => Target | null;
    readonly helpers: readonly PeerId[];
    readonly nowMs: Ms;
  }): ProbeAction[];
  /** The loop stood still: what is in flight gets that time and that of one answer more. */
  postpone(ms: Ms, nowMs: Ms): void;
  nextWakeMs(): Ms;
}

interface Pending {
  readonly target: Target;
  stage: 'asked' | 'needs-help' | 'helped';
  why: string;
  deadlineMs: Ms;
  readonly silent: Set<PeerId>;
  denied: number;
}

export function createProbes(options: {
  prng: Prng;
  rules: ProbeRules;
  doubt: SelfDoubt;
  nowMs: Ms;
}): Probes {
  const { prng, rules, doubt } = options;
  const pending = new Map<number, Pending>();
  /** When each of them is due. */
  const hurried = new Map<PeerId, Ms>();
  let round: PeerId[] = [];
  let nextId = 1;
  let nextMs = options.nowMs + rules.probeEveryMs;

  function conclude(id: number, one: Pending): Verdict | null {
    pending.delete(id);
    const { peer, evidence } = one.target;
    if (!evidence && one.denied === 0) return null;
    return { peer, reached: false, why: `${one.why}; ${one.denied} others do not reach it either` };
  }

  function open(target: Target, nowMs: Ms): ProbeAction[] {
    for (const { target: other } of pending.values()) if (other.peer === target.peer) return [];
    const id = nextId++;
    const deadlineMs = nowMs + doubt.stretch(rules.answerMs);
    const rest = { silent: new Set<PeerId>(), denied: 0, why: 'it does not answer' };
    pending.set(id, { target, stage: 'asked', deadlineMs, ...rest });
    return [{ type: 'probe', id, peer: target.peer }];
  }

  function askHelp(id: number, one: Pending, helpers: readonly PeerId[], nowMs: Ms): ProbeAction[] {
    const asked = prng
      .shuffle(helpers.filter((helper) => helper !== one.target.peer))
      .slice(0, helpersMax);
    one.stage = 'helped';
    // Without helpers the deadline has come already.
    one.deadlineMs = asked.length === 0 ? nowMs : nowMs + doubt.stretch(rules.answerMs);
    for (const helper of asked) one.silent.add(helper);
    return asked.map((helper) => ({ type: 'ask-help', id, helper, peer: one.target.peer }));
  }

  function nextOfRound(quiet: readonly PeerId[]): PeerId | null {
    round = round.filter((peer) => quiet.includes(peer));
    if (round.length === 0) round = prng.shuffle(quiet);
    return round.pop() ?? null;
  }

  return {
    hurry: (peer, atMs) => {
      hurried.set(peer, Math.min(atMs, hurried.get(peer) ?? atMs));
    },
    result: (result) => {
      const one = pending.get(result.id);
      if (one === undefined) return null;
      if (result.type === 'no-link') {
        if (one.stage === 'asked') one.stage = 'needs-help';
        one.why = 'its link is closed';
        return null;
      }
      if (result.type === 'answered' || result.answer === 'reached') {
        pending.delete(result.id);
        return { peer: one.target.peer, reached: true, why: '' };
      }
      one.silent.delete(result.helper);
      if (result.answer === 'not-reached') one.denied += 1;
      return one.silent.size === 0 ? conclude(result.id, one) : null;
    },
    overdue: (nowMs) => {
      const verdicts: Verdict[] = [];
      for (const [id, one] of pending) {
        if (nowMs < one.deadlineMs) continue;
        if (one.stage === 'asked') one.stage = 'needs-help';
        if (one.stage !== 'helped') continue;
        doubt.grow(one.silent.size, nowMs);
        const verdict = conclude(id, one);
        if (verdict !== null) verdicts.push(verdict);
      }
      return verdicts;
    },
    start: ({ quiet, targetOf, helpers, nowMs }) => {
      const actions: ProbeAction[] = [];
      if (nowMs >= nextMs) {
        nextMs = nowMs + rules.probeEveryMs;
        const peer = nextOfRound(quiet);
        if (peer !== null) hurried.set(peer, nowMs);
      }
      for (const [peer, atMs] of hurried) {
        if (nowMs < atMs) continue;
        hurried.delete(peer);
        const target = targetOf(peer);
        if (target !== null) actions.push(...open(target, nowMs));
      }
      for (const [id, one] of pending)
        if (one.stage === 'needs-help') actions.push(...askHelp(id, one, helpers, nowMs));
      return actions;
    },
    postpone: (ms, nowMs) => {
      for (const one of pending.values())
        one.deadlineMs = Math.max(one.deadlineMs + ms, nowMs + rules.answerMs);
    },
    nextWakeMs: () =>
      Math.min(
        nextMs,
        ...hurried.values(),
        ...[...pending.values()].map(({ deadlineMs }) => deadlineMs),
      ),
  };
}
