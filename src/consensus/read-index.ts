/**
 * Linearizable reads. The leader notes its commit index, proves by a heartbeat round begun
 * afterwards that it still leads, and only then answers; it must have committed an entry of its own
 * term first. The asking node answers its caller once it has applied up to that index.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { Read, ReadReply } from '../wire/consensus-message.ts';
import { type Core, header, send } from './core.ts';
import type { Lead, Origin } from './lead.ts';
import { beat } from './leading.ts';
import { quorumRound } from './lease.ts';

interface PendingRead {
  readonly id: number;
  readonly ref: number;
  readonly deadlineMs: Ms;
  sentTo: PeerId | null;
  sentMs: Ms;
  index: LogIndex | null;
}

export interface ReadDesk {
  readonly pending: Map<number, PendingRead>;
  nextId: number;
  nextDeadlineMs: Ms;
  /** Some read may have to be sent, or may have become ready. */
  dirty: boolean;
}

/** Reads of this node, and reads that wait on a leader. */
const readsMax = 8192;
const leaderReadsMax = 32_768;
/** Reads in one message; the decoder takes no more than 4096. */
const idsMax = 1024;
/** Confirmation rounds in flight; more reads share the next one. */
const roundsInFlightMax = 4;

export function createReadDesk(prng: Prng): ReadDesk {
  return {
    pending: new Map(),
    nextId: 1 + prng.int(2 ** 31) * 2 ** 20,
    nextDeadlineMs: Number.POSITIVE_INFINITY,
    dirty: false,
  };
}

export function startRead(core: Core, ref: number, deadlineMs: Ms): void {
  const { readDesk } = core;
  if (readDesk.pending.size >= readsMax) {
    const detail = `${readDesk.pending.size} reads wait on this node`;
    core.out.reads.push({ ref, outcome: { type: 'refused', code: 'overloaded', detail } });
    return;
  }
  const id = readDesk.nextId;
  readDesk.nextId += 1;
  readDesk.nextDeadlineMs = Math.min(readDesk.nextDeadlineMs, deadlineMs);
  readDesk.pending.set(id, { id, ref, deadlineMs, sentTo: null, sentMs: 0, index: null });
  readDesk.dirty = true;
}

/** This node no longer leads: its own reads are asked again of the next leader. */
export function abandonOwnReads(core: Core): void {
  for (const read of core.readDesk.pending.values()) if (read.index === null) read.sentTo = null;
  core.readDesk.dirty = true;
}

export function onRead(core: Core, from: PeerId, message: Read): void {
  const { lead } = core;
  if (!lead || lead.reads.length + message.ids.length > leaderReadsMax) {
    const ids = [...message.ids];
    send(core, from, { type: 'read-reply', ...header(core), ids, index: null });
    return;
  }
  for (const id of message.ids) enqueue(lead, { from, id });
}

function enqueue(lead: Lead, origin: Origin): void {
  lead.reads.push({ origin, round: null, index: 0 });
}

export function onReadReply(core: Core, from: PeerId, message: ReadReply): void {
  for (const id of message.ids) {
    const read = core.readDesk.pending.get(id);
    if (!read || read.index !== null || read.sentTo !== from) continue;
    if (message.index === null) continue;
    read.index = message.index;
  }
  core.readDesk.dirty = true;
}

/** Called once per `ready`: hands reads on, starts rounds, answers what is ready. */
export function flushReads(core: Core): void {
  const { readDesk, leader, lead } = core;
  if (readDesk.dirty) {
    readDesk.dirty = false;
    const ids: number[] = [];
    for (const read of [...readDesk.pending.values()]) {
      if (read.index !== null) answerIfApplied(core, read);
      else if (leader && read.sentTo === null) {
        read.sentTo = leader;
        read.sentMs = core.now.monoMs;
        if (lead) enqueue(lead, { from: null, id: read.id });
        else ids.push(read.id);
      }
    }
    if (leader)
      for (const part of parts(ids))
        send(core, leader, { type: 'read', ...header(core), ids: part });
  }
  if (lead && lead.reads.length > 0) startRound(core, lead);
}

/** At most as many as one message may carry. */
export function parts(ids: readonly number[]): number[][] {
  const found: number[][] = [];
  for (let i = 0; i < ids.length; i += idsMax) found.push(ids.slice(i, i + idsMax));
  return found;
}

function answerIfApplied(core: Core, read: PendingRead): void {
  if (read.index === null || core.applied < read.index) return;
  core.readDesk.pending.delete(read.id);
  core.out.reads.push({ ref: read.ref, outcome: { type: 'ready', index: read.index } });
}

function startRound(core: Core, lead: Lead): void {
  if (!lead.committedOwn) return;
  const open = lead.reads.some((read) => read.round === null);
  if (open && lead.round - quorumRound(core, lead) < roundsInFlightMax) {
    beat(core, lead);
    for (const read of lead.reads) {
      if (read.round !== null) continue;
      read.round = lead.round;
      read.index = core.commit;
    }
  }
  resolveReads(core, lead);
}

/** Answers the reads whose round a majority has acknowledged. */
export function resolveReads(core: Core, lead: Lead): void {
  if (lead.reads.length === 0) return;
  const round = quorumRound(core, lead);
  const first = lead.reads[0];
  if (!first || first.round === null || first.round > round) return;
  const answers = new Map<string, { to: PeerId; index: LogIndex; ids: number[] }>();
  const waiting: typeof lead.reads = [];
  for (const read of lead.reads) {
    const { origin, index } = read;
    if (read.round === null || read.round > round) waiting.push(read);
    else if (origin.from === null) {
      const own = core.readDesk.pending.get(origin.id);
      if (own) own.index = index;
      core.readDesk.dirty = true;
    } else {
      const key = `${index} ${origin.from}`;
      const answer = answers.get(key);
      if (answer) answer.ids.push(origin.id);
      else answers.set(key, { to: origin.from, index, ids: [origin.id] });
    }
  }
  lead.reads = waiting;
  for (const { to, index, ids } of answers.values())
    for (const part of parts(ids))
      send(core, to, { type: 'read-reply', ...header(core), ids: part, index });
  if (core.readDesk.dirty) flushReads(core);
}

/** Deadlines, and repeats of what a leader did not answer. */
export function tickReads(core: Core): void {
  const { readDesk } = core;
  const nowMs = core.now.monoMs;
  if (readDesk.pending.size === 0) {
    readDesk.nextDeadlineMs = Number.POSITIVE_INFINITY;
    return;
  }
  if (nowMs >= readDesk.nextDeadlineMs) {
    readDesk.nextDeadlineMs = Number.POSITIVE_INFINITY;
    for (const read of [...readDesk.pending.values()]) {
      if (read.deadlineMs > nowMs) {
        readDesk.nextDeadlineMs = Math.min(readDesk.nextDeadlineMs, read.deadlineMs);
        continue;
      }
      readDesk.pending.delete(read.id);
      const detail = core.leader ? 'the leader did not answer in time' : 'no leader is known';
      const outcome = { type: 'refused', code: 'no-quorum', detail } as const;
      core.out.reads.push({ ref: read.ref, outcome });
    }
  }
  const repeatMs = core.options.timing.electionMsMin;
  for (const read of readDesk.pending.values()) {
    if (read.index !== null || read.sentTo === null || read.sentTo === core.id) continue;
    if (nowMs - read.sentMs < repeatMs) continue;
    read.sentTo = null;
    readDesk.dirty = true;
  }
}
