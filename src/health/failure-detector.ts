/**
 * Who is alive, suspect, failed or left: SWIM probes along the links that exist, Lifeguard's self
 * doubt, and accusations that travel in the signed health record of the accuser, so that nodes
 * without a link learn of a death too. A suspicion becomes a failure after `suspectMsMin` if enough
 * others confirm it, and after `suspectMsMax`, stretched by self doubt, if not. The accused clears
 * itself with a newer record. Time during which the own loop stood still counts against nobody.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import {
  type Accusation,
  accusationsMax,
  type Beat,
  createAccusations,
  isOlder,
} from './accusations.ts';
import { type DetectorRules, detectorRules } from './detector-rules.ts';
import { createProbes, type ProbeAction, type ProbeResult } from './probes.ts';
import { createSelfDoubt, lagMsMin } from './self-doubt.ts';

export type MemberState = 'alive' | 'suspect' | 'failed' | 'left';

/** The part of a health record that the detector reads. */
export interface HealthWord extends Beat {
  readonly leaving: boolean;
  readonly accused: readonly Accusation[];
}

export type DetectorAction =
  | ProbeAction
  /** Say the own health record anew: an accusation came or went, or this node is accused. */
  | { readonly type: 'say' }
  | {
      readonly type: 'changed';
      readonly peer: PeerId;
      readonly from: MemberState;
      readonly to: MemberState;
      /** Who says so besides this node, and why this node does. */
      readonly accusers: readonly PeerId[];
      readonly why: string;
      /** The most this node doubted itself since it began to suspect. */
      readonly doubt: number;
    };

export interface MemberView {
  readonly state: MemberState;
  readonly sinceMs: Ms;
  /** Last direct or gossiped word; null: never. */
  readonly heardMs: Ms | null;
}

export interface FailureDetector {
  setMembers(peers: readonly PeerId[], nowMs: Ms): void;
  link(peer: PeerId, open: boolean, nowMs: Ms): void;
  /** Anything came from this peer itself, over its own link. */
  heard(peer: PeerId, nowMs: Ms): void;
  result(result: ProbeResult, nowMs: Ms): void;
  record(peer: PeerId, word: HealthWord, nowMs: Ms): void;
  /** Does what is due and hands out what is to be done; called after every input but `heard`. */
  step(nowMs: Ms): DetectorAction[];
  nextWakeMs(): Ms;
  view(peer: PeerId): MemberView | null;
  /** Whether this node has had a link to that peer and can say whether it reaches it. */
  knowsLink(peer: PeerId): boolean;
  /** For the own record. */
  accusations(): Accusation[];
  doubt(): number;
}

interface Member {
  state: MemberState;
  sinceMs: Ms;
  linked: boolean;
  wasLinked: boolean;
  heardMs: Ms | null;
  incarnation: number;
  beat: number;
  /** This node itself could not reach it, directly or through others. */
  accused: boolean;
  why: string;
  doubt: number;
}

export interface DetectorOptions {
  readonly self: PeerId;
  /** This node's own newest record. */
  readonly own: () => Beat;
  readonly prng: Prng;
  readonly rules?: DetectorRules;
  readonly nowMs: Ms;
}

const newcomer = (nowMs: Ms): Member => ({
  state: 'suspect',
  sinceMs: nowMs,
  linked: false,
  wasLinked: false,
  heardMs: null,
  incarnation: 0,
  beat: 0,
  accused: false,
  why: 'not heard of yet',
  doubt: 0,
});

export function createFailureDetector(options: DetectorOptions): FailureDetector {
  const { self, prng, rules = detectorRules } = options;
  const members = new Map<PeerId, Member>();
  const doubt = createSelfDoubt(options.nowMs);
  const accusations = createAccusations();
  const probes = createProbes({ prng, rules, doubt, nowMs: options.nowMs });
  let actions: DetectorAction[] = [];
  let wakeMs = options.nowMs + rules.probeEveryMs;

  const sinceHeardMs = (member: Member, nowMs: Ms): Ms =>
    nowMs - (member.heardMs ?? Number.NEGATIVE_INFINITY);

  function move(peer: PeerId, member: Member, to: MemberState, nowMs: Ms): void {
    const accusers = accusations.of(peer, member);
    const { state: from, why } = member;
    if (to === 'suspect') member.doubt = doubt.level();
    actions.push({ type: 'changed', peer, from, to, accusers, why, doubt: member.doubt });
    member.state = to;
    member.sinceMs = nowMs;
  }

  function acquit(member: Member): void {
    if (member.accused) actions.push({ type: 'say' });
    member.accused = false;
  }

  function accuse(member: Member, why: string): void {
    if (member.state === 'left' || member.accused) return;
    member.accused = true;
    member.why = why;
    actions.push({ type: 'say' });
  }

  function failsAtMs(peer: PeerId, member: Member): Ms {
    const accusers = accusations.of(peer, member).length;
    if (member.heardMs === null && !member.accused && accusers === 0)
      return member.sinceMs + rules.unheardMs;
    // All who could confirm are enough where they are fewer than the rules want.
    const witnesses = [...members].filter(([of, one]) => of !== peer && one.state === 'alive');
    const settled = accusers > 0 && accusers >= Math.min(rules.confirmations, witnesses.length);
    // What enough others say does not rest on this node: its doubt of itself has no part in it.
    return member.sinceMs + (settled ? rules.suspectMsMin : doubt.stretch(rules.suspectMsMax));
  }

  /** What others say counts where this node does not hear the accused itself. */
  function weigh(peer: PeerId, member: Member, nowMs: Ms): void {
    if (member.state === 'left') return;
    member.doubt = Math.max(member.doubt, doubt.level());
    const hears =
      member.linked && sinceHeardMs(member, nowMs) < 2 * rules.probeEveryMs + rules.answerMs;
    const byOthers = !hears && accusations.of(peer, member).length > 0;
    const blamed = member.accused || byOthers;
    if (blamed && member.state === 'alive') {
      if (!member.accused) {
        member.why = 'others do not reach it';
        probes.hurry(peer, nowMs);
      }
      move(peer, member, 'suspect', nowMs);
    } else if (!blamed && member.state !== 'alive' && member.heardMs !== null) {
      member.why = '';
      move(peer, member, 'alive', nowMs);
    } else if (member.state === 'suspect' && nowMs >= failsAtMs(peer, member))
      move(peer, member, 'failed', nowMs);
  }

  function forgiveStandstill(nowMs: Ms): void {
    const lateMs = nowMs - wakeMs;
    if (lateMs < lagMsMin) return;
    doubt.stoodStill(lateMs, nowMs);
    probes.postpone(lateMs, nowMs);
    for (const member of members.values()) if (member.state === 'suspect') member.sinceMs += lateMs;
  }

  function heard(peer: PeerId, nowMs: Ms): void {
    const member = members.get(peer);
    if (member === undefined) return;
    member.heardMs = nowMs;
    acquit(member);
  }

  function record(peer: PeerId, word: HealthWord, nowMs: Ms): void {
    const member = members.get(peer);
    if (member === undefined || !isOlder(member, word)) return;
    const restarted = word.incarnation > member.incarnation;
    member.incarnation = word.incarnation;
    member.beat = word.beat;
    member.heardMs = nowMs;
    acquit(member);
    accusations.say(peer, word.accused);
    if (word.accused.some((one) => one.peer === self && !isOlder(one, options.own()))) {
      doubt.grow(1, nowMs);
      actions.push({ type: 'say' });
    }
    if (word.leaving) {
      member.why = 'it said that it leaves';
      if (member.state !== 'left') move(peer, member, 'left', nowMs);
    } else if (member.state === 'left' && restarted) move(peer, member, 'suspect', nowMs);
    // Its word came by others: whether this node reaches it is another question.
    else if (member.wasLinked && !member.linked) probes.hurry(peer, nowMs);
  }

  function startProbes(nowMs: Ms): void {
    const probed = (member: Member): boolean => member.wasLinked && member.state !== 'left';
    const quiet = [...members]
      .filter(([, one]) => probed(one) && sinceHeardMs(one, nowMs) >= rules.probeEveryMs)
      .map(([peer]) => peer);
    const helpers = [...members]
      .filter(([, one]) => one.linked && one.state === 'alive')
      .map(([peer]) => peer);
    const targetOf = (peer: PeerId) => {
      const member = members.get(peer);
      if (member === undefined || member.state === 'left') return null;
      return { peer, evidence: member.wasLinked };
    };
    actions.push(...probes.start({ quiet, targetOf, helpers, nowMs }));
  }

  function step(nowMs: Ms): DetectorAction[] {
    forgiveStandstill(nowMs);
    doubt.fade(nowMs);
    for (const { peer, why } of probes.overdue(nowMs)) {
      const member = members.get(peer);
      if (member !== undefined) accuse(member, why);
    }
    for (const [peer, member] of members) weigh(peer, member, nowMs);
    startProbes(nowMs);
    const pending = [...members]
      .filter(([, one]) => one.state === 'suspect')
      .map(([peer, one]) => failsAtMs(peer, one));
    wakeMs = Math.max(nowMs + 1, Math.min(probes.nextWakeMs(), ...pending));
    const out = actions;
    actions = [];
    return out;
  }

  return {
    heard,
    record,
    step,
    setMembers: (peers, nowMs) => {
      const wanted = new Set(peers.filter((peer) => peer !== self));
      for (const peer of members.keys())
        if (!wanted.has(peer)) {
          members.delete(peer);
          accusations.forget(peer);
        }
      for (const peer of wanted) if (!members.has(peer)) members.set(peer, newcomer(nowMs));
    },
    link: (peer, open, nowMs) => {
      const member = members.get(peer);
      if (member === undefined) return;
      member.linked = open;
      if (open) {
        member.wasLinked = true;
        heard(peer, nowMs);
      } else probes.hurry(peer, nowMs + rules.linkLostMs);
    },
    result: (result, nowMs) => {
      const verdict = probes.result(result);
      if (result.type === 'answered') heard(result.peer, nowMs);
      const member = verdict === null ? undefined : members.get(verdict.peer);
      if (verdict === null || member === undefined) return;
      if (verdict.reached) acquit(member);
      else accuse(member, verdict.why);
    },
    nextWakeMs: () => wakeMs,
    view: (peer) => members.get(peer) ?? null,
    knowsLink: (peer) => members.get(peer)?.wasLinked ?? false,
    accusations: () =>
      [...members]
        .filter(([, one]) => one.accused)
        .slice(-accusationsMax)
        .map(([peer, { incarnation, beat }]) => ({ peer, incarnation, beat })),
    doubt: () => doubt.level(),
  };
}
