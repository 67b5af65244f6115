/**
 * Proposals on the leader: taken into the log, or refused with a reason while nothing was done.
 * Answers leave after the leader's own apply and carry its result.
 */
import type { PeerId } from '../base/brand.ts';
import type { Propose } from '../wire/consensus-message.ts';
import { entryBytesMax } from '../wire/entry.ts';
import type { Event, Refusal } from './api.ts';
import { type Core, header, send } from './core.ts';
import { type ProposalKind, settleOrigin } from './forward.ts';
import type { Lead, Origin } from './lead.ts';
import { appendAsLeader } from './leading.ts';
import { queueChange } from './members.ts';
import { askTransfer } from './transfer.ts';

/** Entries and bytes that may wait for their commit, and entries for their apply. */
const uncommittedMax = 16_384;
const uncommittedBytesMax = 64 * 1024 * 1024;
const unappliedMax = 32_768;

interface Proposed {
  readonly kind: ProposalKind;
  readonly data: Uint8Array;
}

/** 'later': a hand-over is under way and the next leader takes it. */
type Taken = null | 'later' | { code: Refusal; detail: string };

export function takeProposal(core: Core, origin: Origin, proposed: Proposed): Taken {
  const { lead } = core;
  if (!lead) return { code: 'not-leader', detail: 'this node does not lead' };
  if (proposed.kind === 'transfer') return askTransfer(core, lead, origin, proposed.data);
  if (lead.handover || lead.leaseDropped) return 'later';
  if (proposed.kind === 'reconfigure') return queueChange(core, lead, origin, proposed.data);
  const refused = refuse(core, lead, proposed.data);
  if (refused) return refused;
  lead.waiting.set(appendAsLeader(core, lead, 'command', proposed.data), origin);
  return null;
}

function refuse(core: Core, lead: Lead, data: Uint8Array): Taken {
  if (data.length > entryBytesMax)
    return { code: 'bad-request', detail: `entry of ${data.length} bytes; max ${entryBytesMax}` };
  const uncommitted = core.log.lastIndex - core.commit;
  if (uncommitted >= uncommittedMax || lead.uncommittedBytes >= uncommittedBytesMax)
    return { code: 'overloaded', detail: `${uncommitted} entries wait for a majority` };
  if (core.log.lastIndex - core.applied >= unappliedMax)
    return { code: 'overloaded', detail: 'the catalog is behind the log' };
  return null;
}

export function onPropose(core: Core, from: PeerId, message: Propose): void {
  const { lead } = core;
  if (!lead) {
    const answers = message.items.map(({ id }) => ({
      id,
      status: 'refused' as const,
      index: 0,
      term: 0,
      result: new Uint8Array(),
      code: 'not-leader',
      detail: 'this node does not lead',
    }));
    send(core, from, { type: 'propose-reply', ...header(core), answers });
    return;
  }
  let known = lead.remote.get(from);
  if (!known) {
    known = new Set();
    lead.remote.set(from, known);
  }
  for (const item of message.items) {
    if (known.has(item.id)) continue;
    const origin = { from, id: item.id };
    const taken = takeProposal(core, origin, item);
    if (taken === null) known.add(item.id);
    else if (taken === 'later')
      settleOrigin(core, origin, { type: 'refused', code: 'not-leader', detail: 'handing over' });
    else settleOrigin(core, origin, { type: 'refused', ...taken });
  }
}

/** The catalog has applied up to `index`: answer whoever waits for these entries. */
export function onApplied(core: Core, event: Extract<Event, { type: 'applied' }>): void {
  if (event.index <= core.applied) return;
  core.applied = event.index;
  core.applySinceMs = core.applying > core.applied ? core.now.monoMs : null;
  const { lead } = core;
  if (!lead || lead.waiting.size === 0) return;
  for (const { index, result } of event.results) {
    const origin = lead.waiting.get(index);
    if (!origin) continue;
    lead.waiting.delete(index);
    settleOrigin(core, origin, { type: 'applied', index, term: core.hard.term, result });
  }
}
