/**
 * Bugs planted into the agent itself, to see whether the judge sees them: patches of the source that
 * exist only in a bundle of their own (docs/decisions/0003). Each names the faults that bring it to
 * light, so that a round of a few of them is enough, and what the judge must say.
 */
import type { PlantedBug } from '../../src/sim/bugs.ts';
import type { Directed } from './faults.ts';

export interface ProductBug extends PlantedBug, Directed {
  /** A finding of a round with this bug. */
  readonly finding: RegExp;
}

export const productBugs: readonly ProductBug[] = [
  {
    name: 'own-copy-read',
    what: 'a linearizable read is answered from the own copy, without asking the leader',
    edits: [
      {
        file: 'consensus/read-index.ts',
        find: 'readDesk.pending.set(id, { id, ref, deadlineMs, sentTo: null, sentMs: 0, index: null });',
        replace:
          'readDesk.pending.set(id, { id, ref, deadlineMs, sentTo: null, sentMs: 0, index: core.applied });',
      },
    ],
    faults: ['isolated', 'hears nobody'],
    at: 'follower',
    finding: /"type":"violation"/,
  },
  {
    name: 'believes-it-leads',
    what: 'a leader that nobody answers goes on leading, and answers reads without asking anybody',
    edits: [
      {
        file: 'consensus/read-index.ts',
        find: '  const round = quorumRound(core, lead);\n  const first = lead.reads[0];',
        replace: '  const round = lead.round;\n  const first = lead.reads[0];',
      },
      {
        file: 'consensus/read-index.ts',
        find: 'if (open && lead.round - quorumRound(core, lead) < roundsInFlightMax) {',
        replace: 'if (open) {',
      },
      {
        file: 'consensus/leading.ts',
        find: '  if (nowMs - heardMs >= timeout) {',
        replace: '  if (nowMs - heardMs >= 100 * timeout) {',
      },
    ],
    faults: ['isolated'],
    at: 'leader',
    finding: /"type":"violation"/,
  },
  {
    name: 'commit-alone',
    what: 'the leader commits, applies and acknowledges what only it holds',
    edits: [
      {
        file: 'consensus/leading.ts',
        find: 'peer === core.id ? core.log.durable : (lead.progress.get(peer)?.match ?? 0),\n  );\n  if (index <= core.commit',
        replace:
          'peer === core.id ? core.log.durable : core.log.durable,\n  );\n  if (index <= core.commit',
      },
    ],
    faults: ['isolated'],
    at: 'leader',
    finding: /"type":"violation"|has every acknowledged write/,
  },
  {
    name: 'log-not-synced',
    what: 'entries count as durable, and are acknowledged, before the disk has them',
    edits: [
      {
        file: 'store/disk.ts',
        find: 'bySystem ? O_RDWR | O_DSYNC : O_RDWR',
        replace: 'O_RDWR',
      },
    ],
    faults: ['power cut'],
    at: 'leader',
    // The agent notices by itself: its hard state knows of batches that the log has lost.
    finding: /but batch \d+ was durable|"type":"violation"|has every acknowledged write/,
  },
];
