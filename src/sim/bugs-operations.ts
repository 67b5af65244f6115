/** Planted bugs of maintenance: pauses, drains, departures, changes of voters, forced epochs. */
import type { PlantedBug } from './bugs.ts';

export const operationBugs: readonly PlantedBug[] = [
  {
    name: 'pause-forgets-takeover',
    what: 'a higher rank takes over while the cluster is paused',
    directed: 'a paused cluster moves neither lead nor voters',
    edits: [
      {
        file: 'consensus/takeover.ts',
        find: "  if (core.local.paused) return 'paused';\n",
        replace: '',
      },
      {
        file: 'consensus/transfer.ts',
        find: '  const { paused } = core.local;\n',
        replace: '  const paused = false;\n',
      },
    ],
  },
  {
    name: 'pause-forgets-voters',
    what: 'the rule changes voters while the cluster is paused',
    directed: 'a standby waits for the end of a pause',
    edits: [
      {
        file: 'consensus/members.ts',
        find: '  if (core.local.paused) return;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'pause-not-bound',
    what: 'a command of the planner that follows a pause in the log is applied',
    directed: 'a pause is bound where commands are applied',
    edits: [
      {
        file: 'catalog/apply-command.ts',
        find: 'isAutomatic(command) ? whyPaused(context) : null;',
        replace: 'isAutomatic(command) && context.index < 0 ? whyPaused(context) : null;',
      },
    ],
  },
  {
    name: 'drained-leader-stays',
    what: 'a leader that is drained keeps the lead',
    directed: 'a drained leader hands over',
    edits: [
      {
        file: 'consensus/duty.ts',
        find: "  if (why !== 'draining') {\n",
        replace: "  if (why === 'draining') return;\n  if (why.length > 0) {\n",
      },
    ],
  },
  {
    name: 'no-last-resort',
    what: 'whoever should not lead never does, even where nobody better is left',
    directed: 'all are drained and somebody leads',
    edits: [
      {
        file: 'consensus/duty.ts',
        find: 'core.now.monoMs - lostAtMs < patientMs;',
        replace: 'lostAtMs < patientMs + core.now.monoMs;',
      },
    ],
  },
  {
    name: 'resigns-without-hold',
    what: 'a lead is given up as soon as there is trouble, however young it is',
    directed: 'trouble does not drag the lead along',
    edits: [
      {
        file: 'consensus/duty.ts',
        find: '    if (nowMs - lead.sinceMs < holdMs) return;\n',
        replace: '    if (nowMs - lead.sinceMs < holdMs / 1e6) return;\n',
      },
      {
        file: 'consensus/duty.ts',
        find: '  return Math.max(holdMs, 4 * electionMsMax);\n',
        replace: '  return Math.min(holdMs, electionMsMax) / 1e6;\n',
      },
    ],
  },
  {
    name: 'resigns-to-the-unfit',
    what: 'a leader in trouble hands over to a voter that says it is as bad',
    directed: 'trouble of all moves nothing',
    edits: [
      {
        file: 'consensus/transfer.ts',
        find: '  if (progress.cannotLead !== null) return progress.cannotLead;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'forgotten-let-in',
    what: 'a forgotten member is admitted without joining anew',
    directed: 'a forgotten member stays gone',
    edits: [
      {
        file: 'consensus/members.ts',
        find: '  if (gone && !change.anew)\n',
        replace: '  if (gone && change.anew === null)\n',
      },
    ],
  },
  {
    name: 'leecher-keeps-its-vote',
    what: 'a voter that becomes a leecher stays a voter',
    directed: 'a leecher by change of role is no voter',
    edits: [
      {
        file: 'consensus/members.ts',
        find: '  if (!isVoter || (votes && witnesses.length <= 1)) {',
        replace: '  if (!isVoter || votes || witnesses.length <= 1) {',
      },
    ],
  },
  {
    name: 'old-papers-lead',
    what: 'a node whose record may not lead campaigns until its certificate says so too',
    directed: 'a leecher with old papers does not campaign',
    edits: [
      {
        file: 'consensus/core.ts',
        find: '({ peerId }) => peerId === core.id)?.leads === false)',
        replace: '({ peerId }) => peerId === core.id)?.leads === null)',
      },
    ],
  },
  {
    name: 'leader-demotes-itself',
    what: 'a leader takes a role that never leads without handing over',
    directed: 'a leader gives itself no role that never leads',
    edits: [
      {
        file: 'consensus/members.ts',
        find: '  if (peer === core.id && !(votes && leads)) {',
        replace: '  if (peer === core.id && !(votes || leads || lead)) {',
      },
    ],
  },
  {
    name: 'change-on-silence',
    what: 'a joint change begins relying on a voter that was never heard in this lead',
    directed: 'no change of voters on the word of the silent',
    edits: [
      {
        file: 'consensus/members.ts',
        find: "return progress && progress.cannotLead !== 'unheard' ? progress.lastAckMs : 0;",
        replace: 'return progress ? progress.lastAckMs : 0;',
      },
    ],
  },
  {
    name: 'pause-never-ends',
    what: 'a pause is in force after its end',
    edits: [
      {
        file: 'catalog/apply-operations.ts',
        find: 'if (row === null || isOver(row.expires_at_ms, atMs)) return null;',
        replace: 'if (row === null || isOver(row.expires_at_ms, atMs / 2)) return null;',
      },
    ],
  },
  {
    name: 'resume-does-nothing',
    what: 'a resume is answered and the cluster stays paused',
    edits: [
      {
        file: 'catalog/apply-operations.ts',
        find: "'nothing is paused');\n  context.tables.pauses.remove(old);\n",
        replace: "'nothing is paused');\n",
      },
    ],
  },
  {
    name: 'drain-outlives-membership',
    what: 'who was forgotten while it was drained is drained when it comes back',
    edits: [
      {
        file: 'catalog/apply-members.ts',
        find: 'if (drain !== null) tables.drains.remove(drain);',
        replace: 'if (drain === undefined) tables.drains.remove(drain);',
      },
    ],
  },
  {
    name: 'departure-of-a-voter-forgotten',
    what: 'that a voter left is not remembered: it is let in again as if nothing had been',
    edits: [
      {
        file: 'consensus/members.ts',
        find: 'departed: departedAfter(configuration, departure),\n  });\n}\n\n/** Departures',
        replace: 'departed: departedAfter(configuration, null),\n  });\n}\n\n/** Departures',
      },
    ],
  },
  {
    name: 'drain-of-a-stranger',
    what: 'somebody who is no member is drained',
    edits: [
      {
        file: 'catalog/apply-operations.ts',
        find: 'owner, reason } = command;\n  if (tables.members.get(peer) === null)',
        replace: 'owner, reason } = command;\n  if (tables.members.get(peer) === undefined)',
      },
    ],
  },
  {
    name: 'order-of-another-epoch',
    what: 'a node executes orders of a leader of another epoch',
    edits: [
      {
        file: 'consensus/fence.ts',
        find: '  if (epoch !== core.options.epoch || term < fence',
        replace: "  if (epoch === '' || term < fence",
      },
    ],
  },
  {
    name: 'learner-asks-another-epoch',
    what: 'a learner goes on asking members of another epoch and spares its own leader',
    edits: [
      {
        file: 'consensus/learning.ts',
        find: 'links.get(peer)?.apart === true;',
        replace: 'links.get(peer)?.apart === null;',
      },
      {
        file: 'consensus/learning.ts',
        find: 'const spares = voting.length > 0 ? core.leader : null;',
        replace: 'const spares = core.leader;',
      },
    ],
  },
];
