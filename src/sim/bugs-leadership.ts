/** Planted bugs of elections, leases, transfers and take-overs. */
import type { PlantedBug } from './bugs.ts';

export const leadershipBugs: readonly PlantedBug[] = [
  {
    name: 'two-votes',
    what: 'a voter gives its vote of a term twice',
    edits: [
      {
        file: 'consensus/voting.ts',
        find: "  if (core.hard.vote !== null && core.hard.vote !== from) return 'voted';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'fast-path-ignores-promise',
    what: 'a leader elected by the fast path acts while a promise to the old one still runs',
    edits: [
      {
        file: 'consensus/lease.ts',
        find: "  if (now.monoMs < lead.actAfterMs) return 'older-promise-runs';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'restart-forgets-promise',
    what: 'a restarted voter does not know that it may have promised something',
    directed: 'restart keeps the promise',
    edits: [
      {
        file: 'consensus/core.ts',
        find: '  if (lengthMs > 0) promises.assumeUnknown(now.monoMs + lengthMs, lengthMs);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'promise-shortened',
    what: 'a later acknowledgement moves the end of a promise earlier',
    edits: [
      {
        file: 'consensus/promises.ts',
        find: '      known.untilMs = Math.max(known.untilMs, nowMs + lengthMs);\n',
        replace: '      known.untilMs = nowMs + lengthMs / 4;\n',
      },
    ],
  },
  {
    name: 'transfer-keeps-lease',
    what: 'a leader keeps its lease when it tells its heir to campaign',
    edits: [
      {
        file: 'consensus/transfer.ts',
        find: '    lead.leaseDropped = true;\n    handover.sentMs = nowMs;\n',
        replace: '    handover.sentMs = nowMs;\n',
      },
    ],
  },
  {
    name: 'suspension-ignored',
    what: 'a machine that was suspended believes in its lease when it wakes',
    edits: [
      {
        file: 'consensus/lease.ts',
        find: 'if (!sent || skippedMs > skippedMsMax)',
        replace: 'if (!sent)',
      },
    ],
  },
  {
    name: 'wall-clock-hides-sleep',
    what: 'a wall clock that is set back while a machine sleeps hides the sleep',
    directed: 'a wall clock set right hides no sleep',
    edits: [
      {
        file: 'consensus/lease.ts',
        find: 'Math.abs(now.skippedMs - sent.skippedMs)',
        replace: 'now.skippedMs - sent.skippedMs',
      },
    ],
  },
  {
    name: 'lease-from-answer',
    what: 'the lease counts from the answer to a heartbeat instead of from before its send',
    edits: [
      {
        file: 'consensus/lease.ts',
        find: '  return sent.monoMs + leaseLengthMs(core.options.timing.leaseMs);\n',
        replace:
          '  let heard = sent.monoMs;\n' +
          '  for (const { lastAckMs } of lead.progress.values())\n' +
          '    heard = Math.max(heard, lastAckMs);\n' +
          '  return heard + leaseLengthMs(core.options.timing.leaseMs);\n',
      },
    ],
  },
  {
    name: 'takeover-without-hold',
    what: 'a higher rank gets the lead before it was steady for the hold time',
    edits: [
      {
        file: 'consensus/takeover.ts',
        find: '  if (nowMs < challenge.steadySinceMs + holdMs) return;\n',
        replace: '',
      },
      {
        file: 'consensus/takeover.ts',
        find:
          '  if (progress.steadySinceMs === null || nowMs - progress.steadySinceMs < holdMs) ' +
          "return 'hold';\n",
        replace: '',
      },
      {
        file: 'consensus/transfer.ts',
        find:
          '  return since !== null && ' +
          'core.now.monoMs - since >= core.options.timing.holdMs;\n',
        replace: '  return since === null || core.now.monoMs >= since;\n',
      },
    ],
  },
  {
    name: 'takeover-without-cooldown',
    what: 'take-overs by rank follow each other without a cool-down',
    edits: [
      {
        file: 'consensus/takeover.ts',
        find: '  if (lastTakeoverMs !== null && nowMs - lastTakeoverMs < cooldown)',
        replace: '  if (lastTakeoverMs !== null && nowMs < 0)',
      },
    ],
  },
  {
    name: 'witness-leads',
    what: 'a member without the right to lead campaigns',
    edits: [
      {
        file: 'consensus/core.ts',
        find: "  if (!certificate.leads) return 'role';\n",
        replace: '',
      },
      {
        file: 'consensus/core.ts',
        find: '({ peerId }) => peerId === core.id)?.leads === false)',
        replace: '({ peerId }) => peerId === core.id)?.leads === null)',
      },
    ],
  },
  {
    name: 'learner-counted',
    what: 'the copies of members without a vote count towards a commit',
    edits: [
      {
        file: 'consensus/leading.ts',
        find:
          '  const index = reached(core.log.configuration, (peer) =>\n' +
          '    peer === core.id ? core.log.durable',
        replace:
          '  const everybody = core.log.configuration.members.map(({ peerId }) => peerId);\n' +
          '  const index = reached({ voters: everybody, outgoing: null }, (peer) =>\n' +
          '    peer === core.id ? core.log.durable',
      },
    ],
  },
  {
    name: 'joint-left-early',
    what: 'a joint configuration is left before it is committed in both halves',
    edits: [
      {
        file: 'consensus/members.ts',
        find: 'configuration.outgoing !== null && index <= core.commit)',
        replace: 'configuration.outgoing !== null)',
      },
      {
        file: 'consensus/members.ts',
        find: '  // Alone, nobody',
        replace: '  if (next.outgoing !== null) onOwnCommit(core, lead);\n  // Alone, nobody',
      },
    ],
  },
  {
    name: 'fetch-not-checked-again',
    what: 'what a candidate fetched is installed without looking at what changed meanwhile',
    directed: 'a late fetch is dropped',
    edits: [
      {
        file: 'consensus/election.ts',
        find: '    core.matched = core.commit;\n    core.election.suffix = null;\n',
        replace: '    core.matched = core.commit;\n',
      },
      {
        file: 'consensus/suffix.ts',
        find:
          "    core.hard.term !== asked.term || core.state !== 'candidate' || " +
          'log.lastHash !== asked.end;\n',
        replace: '    false;\n',
      },
      {
        file: 'consensus/suffix.ts',
        find: '!last || !log.isBehind(last.term, last.index)) return;',
        replace: '!last) return;',
      },
    ],
  },
  {
    name: 'veto-without-budget',
    what: 'vetoes of a higher rank that can never win are respected for ever',
    directed: 'a deaf higher rank does not stop an election',
    edits: [
      {
        file: 'consensus/ballot.ts',
        find:
          '  if (firstVetoMs !== null && nowMs >= firstVetoMs + patienceMs) return true;\n' +
          '  return !veto.followed && nowMs >= veto.atMs + voidAfterMs;\n',
        replace:
          '  return firstVetoMs === null && patienceMs < 0 && nowMs > voidAfterMs + veto.atMs;\n',
      },
    ],
  },
  {
    name: 'transfer-releases-all',
    what: 'a transfer releases promises to other leaders and terms as well',
    directed: 'a transfer releases no older promise',
    edits: [
      {
        file: 'consensus/promises.ts',
        find:
          '        !(release && promise.leader === release.leader && ' +
          'promise.term === release.term),\n',
        replace: '        !release,\n',
      },
    ],
  },
];
