/**
 * Leaving the lead. Proposals that wait go back to this node's desk or to whoever forwarded them;
 * reads are asked again elsewhere. The entries stay in the log and may still be committed, so
 * nobody is told that they failed.
 */
import { type Core, header, send } from './core.ts';
import { abandonOwn } from './forward.ts';
import { abandonOwnReads, parts } from './read-index.ts';
import { noteLeadEnded } from './takeover.ts';

/** Everything but the change of state itself. */
export function endLead(core: Core): void {
  const { lead } = core;
  if (!lead) return;
  core.lead = null;
  noteLeadEnded(core, lead);
  const reads = new Map<string, number[]>();
  for (const { origin } of lead.reads) {
    if (origin.from === null) continue;
    const ids = reads.get(origin.from);
    if (ids) ids.push(origin.id);
    else reads.set(origin.from, [origin.id]);
  }
  for (const [to, all] of reads)
    for (const ids of parts(all))
      send(core, to, { type: 'read-reply', ...header(core), ids, index: null });
  abandonOwn(core);
  abandonOwnReads(core);
}
