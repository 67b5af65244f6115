/**
 * Take-over by rank. A strictly higher rank that has been able to lead for the hold time asks the
 * leader for its consent, proves by a pre-vote under that consent that it reaches a majority both
 * ways, and is then given the lead by transfer. A take-over that does not last a hold time doubles
 * the cool-down; a leader that lasted ten holds resets it. The cool-down travels in the opening
 * entry of every term, so that each node knows it.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import { decode as decodeCbor } from '../wire/cbor.ts';
import type { Release, Takeover, TakeoverReply } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import type { ConsensusOptions } from './api.ts';
import {
  type Core,
  cannotLead,
  certificateOf,
  header,
  rankOfPeer,
  releaseOf,
  reluctance,
  send,
} from './core.ts';
import { startPreVote } from './election.ts';
import type { Lead } from './lead.ts';
import { leaseValid } from './lease.ts';
import { cooldownMsMax, holdsToReset } from './timing.ts';
import { bestTarget, type EndedHandover, settleHandover, startHandover } from './transfer.ts';

export interface Challenge {
  /** Since when this node has been fit to lead and behind a leader, without a break. */
  steadySinceMs: Ms | null;
  askedMs: Ms;
  /** This node's latest pre-vote under consent was won, and the leader was told. */
  won: boolean;
  /** The leader that this node last heard or was, and since when, by its own clock. */
  current: PeerId | null;
  currentSinceMs: Ms;
  /** The current lead began by a take-over, as its opening entry says. */
  byTakeover: boolean;
  /** When the last take-over was seen here; null: none. */
  lastTakeoverMs: Ms | null;
  cooldownMs: Ms;
  ended: EndedHandover | null;
}

export function createChallenge(options: ConsensusOptions): Challenge {
  const challenge: Challenge = {
    steadySinceMs: null,
    askedMs: Number.NEGATIVE_INFINITY,
    won: false,
    current: null,
    currentSinceMs: 0,
    byTakeover: false,
    lastTakeoverMs: null,
    cooldownMs: options.timing.takeoverCooldownMs,
    ended: null,
  };
  recall(challenge, options);
  return challenge;
}

/**
 * After a restart the log tells whether a take-over ever happened, but not when: it counts as just
 * now, and so does a history that was cut away.
 */
function recall(challenge: Challenge, options: ConsensusOptions): void {
  const { entries, snapshot } = options.restored;
  const nowMs = options.now.monoMs;
  const opening = entries.findLast((entry) => entry.kind === 'empty' && entry.data.length > 0);
  if (opening) readOpening(challenge, opening, nowMs);
  else if (snapshot) challenge.lastTakeoverMs = nowMs;
}

/** A new leader (or this node) is known. */
export function noteLeader(core: Core, leader: PeerId): void {
  const { challenge } = core;
  challenge.won = false;
  if (challenge.ended) settleHandover(core, challenge.ended, leader);
  challenge.ended = null;
  if (challenge.current === leader) return;
  challenge.cooldownMs = cooldownAfter(core);
  challenge.current = leader;
  challenge.currentSinceMs = core.now.monoMs;
  challenge.byTakeover = false;
}

/** The cool-down once the current lead is over. */
function cooldownAfter(core: Core): Ms {
  const { challenge, now } = core;
  const { holdMs, takeoverCooldownMs } = core.options.timing;
  if (!challenge.current) return challenge.cooldownMs;
  const lastedMs = now.monoMs - challenge.currentSinceMs;
  if (lastedMs >= holdsToReset * holdMs) return takeoverCooldownMs;
  if (challenge.byTakeover && lastedMs < holdMs)
    return Math.min(cooldownMsMax, challenge.cooldownMs * 2);
  return challenge.cooldownMs;
}

/** What the opening entry of this node's term says. */
export function cooldownAtStart(core: Core): Ms {
  const cooldownMs = cooldownAfter(core);
  noteLeader(core, core.id);
  core.challenge.cooldownMs = cooldownMs;
  return cooldownMs;
}

export function noteLeadEnded(core: Core, lead: Lead): void {
  const { handover } = lead;
  if (!handover) return;
  const { to, reason, waiting } = handover;
  core.challenge.ended = { to, reason, waiting };
}

/** An opening entry is committed: all nodes learn how this lead began and the cool-down. */
export function noteOpening(core: Core, entry: Entry): void {
  if (entry.kind === 'empty' && entry.data.length > 0)
    readOpening(core.challenge, entry, core.now.monoMs);
}

function readOpening(challenge: Challenge, entry: Entry, nowMs: Ms): void {
  const opening: unknown = decodeCbor(entry.data);
  if (opening === null || typeof opening !== 'object') return;
  if ('cooldownMs' in opening && typeof opening.cooldownMs === 'number')
    challenge.cooldownMs = opening.cooldownMs;
  challenge.byTakeover = 'byTakeover' in opening && opening.byTakeover === true;
  const ever = 'takeoverEver' in opening && opening.takeoverEver === true;
  if (challenge.byTakeover || (ever && challenge.lastTakeoverMs === null))
    challenge.lastTakeoverMs = nowMs;
}

/** The challenger's side, at every tick and heartbeat. */
export function driveChallenge(core: Core): void {
  const { challenge, leader } = core;
  const nowMs = core.now.monoMs;
  const { holdMs, heartbeatMs } = core.options.timing;
  const fit =
    leader !== null &&
    leader !== core.id &&
    !core.lead &&
    rankOfPeer(core, core.id) > rankOfPeer(core, leader) &&
    certificateOf(core, leader) !== null &&
    !cannotLead(core) &&
    !reluctance(core) &&
    core.applied >= core.commit - 1024;
  if (!fit || !leader) {
    challenge.steadySinceMs = null;
    return;
  }
  challenge.steadySinceMs ??= nowMs;
  if (nowMs < challenge.steadySinceMs + holdMs) return;
  if (nowMs < challenge.askedMs + 5 * heartbeatMs) return;
  challenge.askedMs = nowMs;
  send(core, leader, { type: 'takeover', ...header(core), phase: 'ask' });
}

/** Why the leader does not consent, or null. */
function whyNot(core: Core, lead: Lead, from: PeerId): string | null {
  const nowMs = core.now.monoMs;
  const { holdMs, leaseMs } = core.options.timing;
  const progress = lead.progress.get(from);
  if (core.local.paused) return 'paused';
  if (!lead.committedOwn || !leaseValid(core, core.now)) return 'no-lease';
  if (lead.handover || lead.leaseDropped) return 'handing-over';
  if (!core.log.configuration.voters.includes(from)) return 'not-a-voter';
  if (core.log.configuration.outgoing) return 'joint';
  if (rankOfPeer(core, from) <= rankOfPeer(core, core.id)) return 'rank';
  if (!progress || progress.cannotLead !== null) return progress?.cannotLead ?? 'unheard';
  if (nowMs - progress.lastAckMs > leaseMs) return 'silent';
  if (progress.steadySinceMs === null || nowMs - progress.steadySinceMs < holdMs) return 'hold';
  const { lastTakeoverMs, cooldownMs } = core.challenge;
  const lastedMs = nowMs - lead.sinceMs;
  const cooldown =
    lastedMs >= holdsToReset * holdMs ? core.options.timing.takeoverCooldownMs : cooldownMs;
  if (lastTakeoverMs !== null && nowMs - lastTakeoverMs < cooldown) return 'cool-down';
  const best = bestTarget(core, lead);
  if (best && rankOfPeer(core, best) > rankOfPeer(core, from)) return 'higher-rank';
  return null;
}

export function onTakeover(core: Core, from: PeerId, message: Takeover): void {
  const { lead } = core;
  if (!lead || message.term !== core.hard.term) return;
  const code = whyNot(core, lead, from);
  if (message.phase === 'ask')
    send(core, from, {
      type: 'takeover-reply',
      ...header(core),
      consent: code === null,
      code: code ?? 'consent',
    });
  else if (code === null) startHandover(core, lead, from, 'takeover', []);
}

export function onTakeoverReply(core: Core, from: PeerId, message: TakeoverReply): void {
  if (core.leader !== from || message.term !== core.hard.term || !message.consent) return;
  startPreVote(core, 'takeover', releaseOf(from, message.term));
}

/** A majority would follow: now the leader may hand over. */
export function onConsentedPreVoteWon(core: Core, consent: Release): void {
  if (core.leader !== consent.leader || core.hard.term !== consent.term) return;
  core.challenge.won = true;
  send(core, consent.leader, { type: 'takeover', ...header(core), phase: 'ready' });
}

/** When the challenger should look again. */
export function challengeWakeMs(core: Core): Ms {
  const { steadySinceMs, askedMs } = core.challenge;
  if (steadySinceMs === null) return Number.POSITIVE_INFINITY;
  const { holdMs, heartbeatMs } = core.options.timing;
  return Math.max(steadySinceMs + holdMs, askedMs + 5 * heartbeatMs);
}
