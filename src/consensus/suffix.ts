/**
 * A candidate that was refused for its log fetches what it lacks from the refuser and campaigns
 * again. The answer is dropped if term, role or log changed since the request, and what it brings
 * must still be strictly more up to date in the step that installs it. It acknowledges nothing to
 * anybody: only a leader's append does.
 */
import type { LogIndex, PeerId, Term } from '../base/brand.ts';
import type { Fetch, FetchReply } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import { type Core, header, saveHardState, send } from './core.ts';
import { endCampaign, startPreVote } from './election.ts';
import { acceptEntries } from './follow.ts';
import { appendBytesMax, appendEntriesMax } from './progress.ts';

/** Largest answer: beyond the usual page it goes on until it is ahead of the asker. */
const suffixBytesMax = 4 * 1024 * 1024;

interface LogEnd {
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
}

export function askSuffix(core: Core, from: PeerId, refuser: LogEnd): void {
  const { election, log, now } = core;
  if (!log.isBehind(refuser.lastTerm, refuser.lastIndex)) return;
  // A request that got no answer is given up after an election timeout.
  const waitMs = core.options.timing.electionMsMin;
  if (election.suffix && now.monoMs - election.suffix.sentMs < waitMs) return;
  election.fetchId += 1;
  const id = election.fetchId;
  const { term } = core.hard;
  election.suffix = { id, from, term, end: log.lastHash, sentMs: now.monoMs };
  send(core, from, {
    type: 'fetch',
    ...header(core),
    id,
    purpose: 'suffix',
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    commit: core.commit,
  });
}

/** Where the asker's log and ours surely agree: its end, if we hold it, or else its commit. */
function commonPoint(core: Core, message: Fetch): LogIndex | null {
  const { log } = core;
  if (log.termAt(message.lastIndex) === message.lastTerm) return message.lastIndex;
  return log.termAt(message.commit) === null ? null : message.commit;
}

export function answerSuffix(core: Core, from: PeerId, message: Fetch): void {
  const { log } = core;
  if (log.covers(message.lastTerm, message.lastIndex)) {
    replyTo(core, from, message, { ...nothing(core), code: 'behind' });
    return;
  }
  const prevIndex = commonPoint(core, message);
  if (prevIndex === null) {
    replyTo(core, from, message, { ...nothing(core), code: 'compacted' });
    return;
  }
  const entries = log.slice(prevIndex + 1, log.lastIndex, appendEntriesMax, appendBytesMax);
  const ahead = (entry: Entry): boolean =>
    entry.term > message.lastTerm ||
    (entry.term === message.lastTerm && entry.index > message.lastIndex);
  let bytes = 0;
  while (bytes < suffixBytesMax) {
    const last = entries.at(-1);
    if (!last || ahead(last) || last.index >= log.lastIndex) break;
    const more = log.slice(last.index + 1, log.lastIndex, appendEntriesMax, appendBytesMax);
    entries.push(...more);
    for (const entry of more) bytes += entry.data.length + 64;
  }
  replyTo(core, from, message, {
    code: 'ok',
    prevIndex,
    prevTerm: log.termAt(prevIndex) ?? 0,
    prevHash: log.hashAt(prevIndex) ?? log.base.hash,
    entries,
  });
}

type Found = Pick<FetchReply, 'code' | 'prevIndex' | 'prevTerm' | 'prevHash' | 'entries'>;

/** An answer without entries. */
export const nothing = (core: Core): Omit<Found, 'code'> => ({
  prevIndex: 0,
  prevTerm: 0,
  prevHash: core.log.base.hash,
  entries: [],
});

export function replyTo(core: Core, to: PeerId, message: Fetch, found: Found): void {
  send(core, to, {
    type: 'fetch-reply',
    ...header(core),
    ...found,
    id: message.id,
    purpose: message.purpose,
    commit: core.commit,
    leader: core.leader,
  });
}

export function onSuffix(core: Core, from: PeerId, message: FetchReply): void {
  const { election, log } = core;
  const asked = election.suffix;
  if (!asked || asked.id !== message.id || asked.from !== from) return;
  election.suffix = null;
  const changed =
    core.hard.term !== asked.term || core.state !== 'candidate' || log.lastHash !== asked.end;
  if (changed || core.broken) return;
  if (message.code === 'compacted') {
    election.fetchId += 1;
    send(core, from, { type: 'snapshot-request', ...header(core), id: election.fetchId });
    return;
  }
  const last = message.entries.at(-1);
  if (message.code !== 'ok' || !last || !log.isBehind(last.term, last.index)) return;
  if (acceptEntries(core, message) !== 'ok') return;
  endCampaign(core, false);
  const term = Math.max(core.hard.term, last.term);
  if (term > core.hard.term) saveHardState(core, { term, vote: null });
  startPreVote(core, 'log-completed');
}
