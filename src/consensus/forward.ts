/**
 * The desk: proposals made on this node, from acceptance to their one outcome. On the leader they
 * become entries; elsewhere they go one hop to the leader, and again to the next leader until the
 * deadline, which is safe because a session runs a sequence only once. What was sent and not
 * answered ends as unknown, never as failed.
 */
import type { LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { Propose, ProposeReply } from '../wire/consensus-message.ts';
import type { Outcome, Refusal } from './api.ts';
import { type Core, header, send } from './core.ts';
import type { Origin } from './lead.ts';
import { takeProposal } from './proposals.ts';

export type ProposalKind = 'command' | 'reconfigure' | 'transfer';

interface Pending {
  readonly id: number;
  readonly ref: number;
  readonly kind: ProposalKind;
  readonly data: Uint8Array;
  readonly deadlineMs: Ms;
  /** It may be in a log: it was appended here or sent to a leader. */
  attempts: number;
  sentMs: Ms;
  /** The leader and term it was last given to. */
  givenTo: PeerId | null;
  givenTerm: Term;
}

export interface Desk {
  readonly pending: Map<number, Pending>;
  /** Answers to forwarded proposals that wait for the next flush. */
  readonly answers: Map<PeerId, ProposeReply['answers'][number][]>;
  nextId: number;
  bytes: number;
  /** Ids that wait for the next flush to the leader. */
  unsent: number[];
  nextDeadlineMs: Ms;
  resendAtMs: Ms;
}

/** Proposals of this node that wait for their outcome, and their bytes. */
export const proposalsMax = 8192;
export const proposalBytesMax = 64 * 1024 * 1024;
const itemsPerMessage = 512;
const bytesPerMessage = 1024 * 1024;

/** Ids start at random, so that a restarted node's are not taken for those of its past. */
export function createDesk(prng: Prng): Desk {
  const never = Number.POSITIVE_INFINITY;
  return {
    pending: new Map(),
    answers: new Map(),
    nextId: 1 + prng.int(2 ** 31) * 2 ** 20,
    bytes: 0,
    unsent: [],
    nextDeadlineMs: never,
    resendAtMs: never,
  };
}

export interface Proposal {
  readonly ref: number;
  readonly kind: ProposalKind;
  readonly data: Uint8Array;
  readonly deadlineMs: Ms;
}

export function propose(core: Core, proposal: Proposal): void {
  const { desk } = core;
  if (desk.pending.size >= proposalsMax || desk.bytes >= proposalBytesMax) {
    const detail = `${desk.pending.size} proposals wait on this node`;
    answer(core, proposal.ref, { type: 'refused', code: 'overloaded', detail });
    return;
  }
  const id = desk.nextId;
  desk.nextId += 1;
  desk.bytes += proposal.data.length;
  desk.nextDeadlineMs = Math.min(desk.nextDeadlineMs, proposal.deadlineMs);
  const pending = { ...proposal, id, attempts: 0, sentMs: 0, givenTo: null, givenTerm: 0 };
  desk.pending.set(id, pending);
  dispatch(core, pending);
}

function answer(core: Core, ref: number, outcome: Outcome): void {
  core.out.outcomes.push({ ref, outcome });
}

function dispatch(core: Core, pending: Pending): void {
  const { leader } = core;
  if (!leader) return;
  // A hand-over asked for twice would move the lead twice.
  if (pending.kind === 'transfer' && pending.attempts > 0) return;
  if (leader === core.id && pending.givenTo === leader && pending.givenTerm === core.hard.term)
    return;
  if (leader !== core.id) {
    core.desk.unsent.push(pending.id);
    return;
  }
  const before = pending.attempts;
  pending.givenTo = leader;
  pending.givenTerm = core.hard.term;
  const refused = takeProposal(core, { from: null, id: pending.id }, pending);
  if (refused === 'later') pending.givenTo = null;
  else if (refused) settleRefused(core, pending, refused.code, refused.detail);
  else pending.attempts = before + 1;
}

/** A refusal means "nothing was done" only if nothing could have been done before it either. */
function settleRefused(core: Core, pending: Pending, code: Refusal, detail: string): void {
  if (pending.attempts > 0) settle(core, pending, { type: 'unknown' });
  else settle(core, pending, { type: 'refused', code, detail });
}

function settle(core: Core, pending: Pending, outcome: Outcome): void {
  core.desk.pending.delete(pending.id);
  core.desk.bytes -= pending.data.length;
  answer(core, pending.ref, outcome);
}

/** The outcome of a proposal, to wherever it came from. */
export function settleOrigin(
  core: Core,
  origin: Origin,
  outcome:
    | { type: 'applied'; index: LogIndex; term: Term; result: Uint8Array }
    | { type: 'refused'; code: Refusal; detail: string },
): void {
  if (origin.from === null) {
    const pending = core.desk.pending.get(origin.id);
    if (!pending) return;
    if (outcome.type === 'refused') {
      // What is refused here after it was taken left nothing behind.
      pending.attempts -= 1;
      settleRefused(core, pending, outcome.code, outcome.detail);
    } else settle(core, pending, outcome);
    return;
  }
  core.lead?.remote.get(origin.from)?.delete(origin.id);
  const { id } = origin;
  const nothing = { index: 0, term: 0, result: new Uint8Array(), code: '', detail: '' };
  const item =
    outcome.type === 'applied'
      ? {
          ...nothing,
          id,
          status: outcome.type,
          index: outcome.index,
          term: outcome.term,
          result: outcome.result,
        }
      : { ...nothing, id, status: outcome.type, code: outcome.code, detail: outcome.detail };
  const list = core.desk.answers.get(origin.from);
  if (list) list.push(item);
  else core.desk.answers.set(origin.from, [item]);
}

function flushAnswers(core: Core): void {
  const { answers } = core.desk;
  if (answers.size === 0) return;
  for (const [to, list] of answers)
    for (let i = 0; i < list.length; i += itemsPerMessage)
      send(core, to, {
        type: 'propose-reply',
        ...header(core),
        answers: list.slice(i, i + itemsPerMessage),
      });
  answers.clear();
}

/** Called whenever a leader becomes known, this node included. */
export function onLeaderKnown(core: Core): void {
  core.desk.unsent = [];
  for (const pending of [...core.desk.pending.values()]) dispatch(core, pending);
  for (const read of core.readDesk.pending.values())
    if (read.index === null && read.sentTo !== core.leader) read.sentTo = null;
  core.readDesk.dirty = true;
}

export function onLeaderLost(core: Core): void {
  core.desk.unsent = [];
  for (const read of core.readDesk.pending.values()) if (read.index === null) read.sentTo = null;
}

/** This node no longer leads: what it took itself waits for the next leader. */
export function abandonOwn(core: Core): void {
  for (const pending of core.desk.pending.values()) pending.givenTo = null;
}

/** Sends what waits, many to a message. */
export function flushProposals(core: Core): void {
  flushAnswers(core);
  const { desk, leader } = core;
  if (desk.unsent.length === 0 || !leader || leader === core.id) return;
  let items: Propose['items'][number][] = [];
  let bytes = 0;
  const flush = (): void => {
    if (items.length > 0) send(core, leader, { type: 'propose', ...header(core), items });
    items = [];
    bytes = 0;
  };
  for (const id of desk.unsent) {
    const pending = desk.pending.get(id);
    if (!pending) continue;
    pending.attempts += 1;
    pending.sentMs = core.now.monoMs;
    pending.givenTo = leader;
    pending.givenTerm = core.hard.term;
    items.push({ id, kind: pending.kind, data: pending.data });
    bytes += pending.data.length;
    if (items.length >= itemsPerMessage || bytes >= bytesPerMessage) flush();
  }
  flush();
  desk.unsent = [];
  const resendAtMs = core.now.monoMs + core.options.timing.electionMsMax;
  desk.resendAtMs = Math.min(desk.resendAtMs, resendAtMs);
}

const codes: readonly string[] = [
  'not-leader',
  'no-quorum',
  'overloaded',
  'epoch-mismatch',
  'forbidden',
  'conflict',
  'bad-request',
  'stopped',
];
const isRefusal = (code: string): code is Refusal => codes.includes(code);

export function onProposeReply(core: Core, from: PeerId, message: ProposeReply): void {
  for (const item of message.answers) {
    const pending = core.desk.pending.get(item.id);
    if (!pending) continue;
    const { index, term, result, code, detail } = item;
    if (item.status === 'applied') settle(core, pending, { type: 'applied', index, term, result });
    else if (code === 'not-leader') {
      // Not taken there: it waits for the next leader, or for the resend to this one.
      if (pending.givenTo === from) {
        pending.givenTo = null;
        pending.attempts = Math.max(0, pending.attempts - 1);
      }
    } else {
      if (pending.givenTo === from) pending.attempts -= 1;
      settleRefused(core, pending, isRefusal(code) ? code : 'conflict', detail);
    }
  }
}

/** Deadlines, and repeats to a leader that did not answer. */
export function tickDesk(core: Core): void {
  const { desk } = core;
  const nowMs = core.now.monoMs;
  if (nowMs >= desk.nextDeadlineMs) expire(core);
  if (nowMs < desk.resendAtMs) return;
  desk.resendAtMs = Number.POSITIVE_INFINITY;
  if (!core.leader || core.leader === core.id) return;
  const after = core.options.timing.electionMsMax;
  const queued = new Set(desk.unsent);
  for (const pending of desk.pending.values()) {
    if (queued.has(pending.id) || pending.kind === 'transfer') continue;
    const dueMs = pending.sentMs + after;
    if (dueMs <= nowMs) desk.unsent.push(pending.id);
    else desk.resendAtMs = Math.min(desk.resendAtMs, dueMs);
  }
}

function expire(core: Core): void {
  const { desk } = core;
  desk.nextDeadlineMs = Number.POSITIVE_INFINITY;
  for (const pending of [...desk.pending.values()]) {
    if (pending.deadlineMs > core.now.monoMs) {
      desk.nextDeadlineMs = Math.min(desk.nextDeadlineMs, pending.deadlineMs);
      continue;
    }
    if (pending.attempts > 0) settle(core, pending, { type: 'unknown' });
    else {
      const detail = core.leader ? 'the leader took no proposals' : 'no leader is known';
      settle(core, pending, { type: 'refused', code: 'no-quorum', detail });
    }
  }
}
