/** Planted bugs of the log, of durability, of reads and answers, of orders and snapshots. */
import type { PlantedBug } from './bugs.ts';

export const atomicityBugs: readonly PlantedBug[] = [
  {
    name: 'vote-not-persisted',
    what: 'a vote leaves before it is durable',
    edits: [
      {
        file: 'consensus/voting.ts',
        find: "  else core.out.sendAfter(core.out.hardStateJob, to, { type: 'vote-reply'",
        replace: "  else core.out.send(to, { type: 'vote-reply'",
      },
    ],
  },
  {
    name: 'append-not-persisted',
    what: 'entries are acknowledged before they are durable',
    edits: [
      {
        file: 'consensus/follow.ts',
        find: '  const job = ok && !durable ? core.out.newestJob : core.out.hardStateJob;\n',
        replace: '  const job = core.out.hardStateJob;\n',
      },
    ],
  },
  {
    name: 'lease-length-not-durable',
    what: 'a longer lease is acknowledged before its length is durable',
    directed: 'a longer lease survives a restart',
    edits: [
      {
        file: 'consensus/follow.ts',
        find:
          '  if (leaseMs > core.hard.leaseMsLongest) ' +
          'saveHardState(core, { leaseMsLongest: leaseMs });\n',
        replace:
          '  if (leaseMs > core.hard.leaseMsLongest)\n' +
          '    core.hard = { ...core.hard, leaseMsLongest: leaseMs };\n',
      },
    ],
  },
  {
    name: 'old-term-committed-by-count',
    what: 'an entry of an earlier term is committed because a majority holds it',
    directed: 'an old entry is not committed by counting',
    edits: [
      {
        file: 'consensus/leading.ts',
        find: '  if (index <= core.commit || core.log.termAt(index) !== core.hard.term) return;\n',
        replace: '  if (index <= core.commit) return;\n',
      },
    ],
  },
  {
    name: 'stale-read',
    what: 'a leader answers a read without proving that it still leads',
    edits: [
      {
        file: 'consensus/read-index.ts',
        find: '      read.round = lead.round;\n',
        replace: '      read.round = 0;\n',
      },
    ],
  },
  {
    name: 'lost-truncation',
    what: 'cutting the log back is not written to disk',
    edits: [
      {
        file: 'consensus/follow.ts',
        find: '    out.cutBackTo(keep, core.now.monoMs);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'snapshot-without-configuration',
    what: 'a snapshot does not say who belongs to the cluster',
    edits: [
      {
        file: 'consensus/snapshot.ts',
        find: '  return { clusterId, epoch, ...core.log.baseAt(index) };\n',
        replace:
          '  const configuration = { members: [], voters: [], outgoing: null };\n' +
          '  return { clusterId, epoch, ...core.log.baseAt(index), configuration };\n',
      },
    ],
  },
  {
    name: 'snapshot-without-sessions',
    what: 'a snapshot leaves the session table out',
    edits: [
      {
        file: 'catalog/dump.ts',
        find: '    for (const row of table.rows()) {\n',
        replace:
          "    const left = name === 'sessions' || name === 'session_results';\n" +
          '    for (const row of left ? [] : table.rows()) {\n',
      },
      {
        file: 'catalog/dump.ts',
        find: '  if (digest !== end.digest) throw',
        replace: '  if (digest.length === 0) throw',
      },
    ],
  },
  {
    name: 'session-runs-twice',
    what: 'a repeated sequence of a session takes effect again',
    edits: [
      {
        file: 'catalog/catalog.ts',
        find: "    if (turn.type === 'repeated') return turn.result;\n",
        replace: '',
      },
    ],
  },
  {
    name: 'acknowledged-before-apply',
    what: 'a write is acknowledged when it is committed, before it is applied',
    edits: [
      {
        file: 'consensus/leading.ts',
        find: '  advanceCommit(core, index);\n  lead.dirty = true;\n',
        replace:
          '  advanceCommit(core, index);\n' +
          '  lead.dirty = true;\n' +
          '  for (const [at, origin] of [...lead.waiting]) {\n' +
          '    if (at > index) continue;\n' +
          '    lead.waiting.delete(at);\n' +
          '    const result = new Uint8Array([0xa0]);\n' +
          '    const { term } = core.hard;\n' +
          "    settleOrigin(core, origin, { type: 'applied', index: at, term, result });\n" +
          '  }\n',
      },
      {
        file: 'consensus/leading.ts',
        find: "import { onLeaderKnown } from './forward.ts';",
        replace: "import { onLeaderKnown, settleOrigin } from './forward.ts';",
      },
    ],
  },
  {
    name: 'old-fence-executed',
    what: 'an order of a term below the fence is executed',
    edits: [{ file: 'consensus/fence.ts', find: ' || term < fence ||', replace: ' ||' }],
  },
  {
    name: 'fence-not-durable',
    what: 'an order of a new term is executed before the fence is durable',
    edits: [
      {
        file: 'consensus/fence.ts',
        find: 'core.out.answerOrderAfter(core.out.hardStateJob,',
        replace: 'core.out.answerOrderAfter(0,',
      },
    ],
  },
  {
    name: 'chain-hash-not-checked',
    what: 'entries are taken without a look at their hash',
    edits: [
      {
        file: 'wire/entry.ts',
        find: '  return entry.hash === chainHash({ previousHash, epoch, ...entry });\n',
        replace: '  return entry.hash.length + previousHash.length + epoch.length > 0;\n',
      },
    ],
  },
  {
    name: 'commit-beyond-match',
    what: 'a follower takes the commit index of a heartbeat for entries that may not be the same',
    edits: [
      {
        file: 'consensus/follow.ts',
        find:
          '  advanceCommit(core, Math.min(message.commit, core.matched));\n' +
          '  replyToHeartbeat(',
        replace:
          '  advanceCommit(core, Math.min(message.commit, core.log.lastIndex));\n' +
          '  replyToHeartbeat(',
      },
    ],
  },
  {
    name: 'fetch-acknowledges',
    what: 'what a candidate fetched counts as matching the log of the next leader',
    edits: [
      {
        file: 'consensus/suffix.ts',
        find: "  startPreVote(core, 'log-completed');\n",
        replace: "  core.matched = core.log.lastIndex;\n  startPreVote(core, 'log-completed');\n",
      },
      {
        file: 'consensus/election.ts',
        find: '    core.matched = core.commit;\n    core.election.suffix = null;\n',
        replace: '    core.election.suffix = null;\n',
      },
    ],
  },
  {
    name: 'read-before-own-commit',
    what: 'a new leader answers reads before it has committed an entry of its own term',
    edits: [
      {
        file: 'consensus/read-index.ts',
        find: '  if (!lead.committedOwn) return;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'snapshot-counts-as-applied',
    what: 'a received snapshot counts as applied before it is in the catalog',
    directed: 'a read waits for the installation of a snapshot',
    edits: [
      {
        file: 'consensus/snapshot.ts',
        find: '  core.installing = { job, index: meta.index };\n',
        replace:
          '  core.installing = { job, index: meta.index };\n' + '  core.applied = meta.index;\n',
      },
    ],
  },
];
