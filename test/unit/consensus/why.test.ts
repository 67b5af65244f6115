/**
 * `why` counts stored ballots again: each disqualifier alone gives exactly its code, and over many
 * elections of simulated clusters the recount is what happened.
 */
import { decode, encode } from 'cborg';
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { Ballot } from '../../../src/consensus/api.ts';
import { goodFacts } from '../../../src/consensus/core.ts';
import { accountOf, recount, whyNotIn } from '../../../src/consensus/why.ts';
import { ballotSchema } from '../../../src/wire/ballot-record.ts';
import { formed } from '../../scenario/cluster.ts';

const answer = (from: string, extra: Partial<Ballot['answers'][number]> = {}) => ({
  ...{ from, granted: true, code: 'granted', rank: 3000, lastTerm: 4, lastIndex: 9 },
  ...{ cannotLead: null, ...extra },
});

/** `b` won among equals; `a` and `c` granted. */
const won: Ballot = {
  ...{ term: 5, epoch: 'e', candidate: 'b', kind: 'vote', won: true },
  ...{ startedMs: 0, endedMs: 10, candidateRank: 3000, health: null, linksClosed: [] },
  ...{ lastTerm: 4, lastIndex: 9, voters: ['a', 'b', 'c'], outgoing: null },
  answers: [answer('b'), answer('a'), answer('c')],
  ...{ transfer: false, heldBack: false, vetoes: [] },
  standings: ['a', 'b', 'c'].map((peer) => ({ peer, rank: 3000, leads: true })),
  patience: { firstVetoMs: null, patienceMs: 300, voidAfterMs: 20 },
};
const standing = (peer: string, extra: object): Ballot => ({
  ...won,
  standings: won.standings.map((one) => (one.peer === peer ? { ...one, ...extra } : one)),
});
const answered = (peer: string, extra: Partial<Ballot['answers'][number]>): Ballot => ({
  ...won,
  answers: won.answers.map((one) => (one.from === peer ? { ...one, ...extra } : one)),
});
const without = (peer: string, extra: Partial<Ballot> = {}): Ballot => ({
  ...won,
  answers: won.answers.filter(({ from }) => from !== peer),
  ...extra,
});

describe('one disqualifier, one code', () => {
  test.each<[string, string, Ballot]>([
    ['won', 'b', won],
    ['asked-later', 'a', won],
    ['peer-id', 'c', won],
    ['not-a-voter', 'x', won],
    ['role', 'a', standing('a', { leads: false })],
    ['rank', 'a', standing('a', { rank: 2000 })],
    ['log', 'a', answered('a', { lastIndex: 8 })],
    ['log', 'a', answered('a', { lastTerm: 3, lastIndex: 99 })],
    ['draining', 'a', answered('a', { cannotLead: 'draining' })],
    ['disk-full', 'a', answered('a', { cannotLead: 'disk-full' })],
    ['veto-void', 'a', answered('a', { granted: false, code: 'veto' })],
    ['unreachable', 'a', without('a', { linksClosed: ['a'] })],
    ['silent', 'a', without('a')],
    ['handed-over', 'a', { ...won, transfer: true }],
    ['lost', 'b', { ...won, won: false }],
  ])('%s', (code, peer, ballot) => expect(whyNotIn(ballot, peer, true)).toBe(code));

  test('whoever was no voter and may not lead is told its role', () => {
    expect(whyNotIn(won, 'x', false)).toBe('role');
  });
});

describe('the recount', () => {
  test('needs a majority of both halves', () => {
    expect(recount(won)).toBe('won');
    expect(recount({ ...won, outgoing: ['x', 'y', 'b'] })).toBe('pending');
    expect(recount({ ...won, answers: won.answers.slice(0, 1) })).toBe('pending');
  });

  test('counts a veto as long as it counted then', () => {
    const vetoed = answered('a', { granted: false, code: 'veto' });
    const answers = vetoed.answers.slice(0, 2);
    const veto = { ...vetoed, kind: 'pre-vote' as const, answers };
    const vetoes = [{ from: 'a', atMs: 5, followed: true }];
    const patience = { ...won.patience, firstVetoMs: 5 };
    expect(recount({ ...veto, vetoes, patience, endedMs: 10 })).toBe('pending');
    expect(recount({ ...veto, vetoes, patience, endedMs: 305 })).toBe('won');
    const unfollowed = [{ from: 'a', atMs: 5, followed: false }];
    expect(recount({ ...veto, vetoes: unfollowed, patience, endedMs: 25 })).toBe('won');
  });

  test('of a ballot that an older program stored works as far as it can', () => {
    const { transfer, heldBack, standings, vetoes, patience, ...old } = won;
    const read: Ballot = ballotSchema.parse(old);
    expect(recount(read)).toBe('won');
    expect(whyNotIn(read, 'c', true)).toBe('peer-id');
  });
});

/** Ballots of one cluster that is killed, cut, drained and healed by chance. */
function ballotsOf(seed: number): Ballot[] {
  const prng = createPrng(seed);
  const ballots: Ballot[] = [];
  const members = { a: 'master', b: 'master', c: 'worker', d: 'worker', e: 'witness' } as const;
  const cluster = formed(members, {
    linkMs: prng.range(0.2, 20),
    timing: { holdMs: 1000, takeoverCooldownMs: 1500, voterGraceMs: 60_000 },
    watch: (_, fact) => {
      // As it is stored: encoded and read back.
      if (fact.type === 'ballot')
        ballots.push(ballotSchema.parse(decode(encode({ ...fact.ballot }))));
    },
  });
  const ids = Object.keys(members);
  for (let step = 0; step < 12; step++) {
    const id = prng.pick(ids);
    const running = cluster.node(id).core !== null;
    const kind = prng.int(5);
    if (kind === 0 && running) cluster.kill(id, prng.chance(0.7));
    else if (kind === 1) cluster.isolate(id, prng.chance(0.7));
    else if (kind === 2) cluster.rejoin(id);
    else if (kind === 3 && running) {
      const facts = { ...goodFacts, draining: prng.chance(0.5) };
      cluster.step(cluster.node(id), { type: 'local', facts });
    } else if (!running) cluster.start(id);
    cluster.run(prng.range(50, 3000));
  }
  return ballots;
}

test('over simulated elections the recount is what happened, and nobody is told it won', () => {
  let wins = 0;
  let losses = 0;
  for (let seed = 1; seed <= 120; seed++)
    for (const ballot of ballotsOf(seed)) {
      const account = accountOf(ballot);
      const what = `seed ${seed}: ${JSON.stringify(account)}`;
      expect(account.agrees, what).toBe(true);
      if (ballot.kind === 'vote') expect(account.recount === 'won', what).toBe(ballot.won);
      expect(
        account.others.map(({ code }) => code),
        what,
      ).not.toContain('won');
      if (ballot.won) wins += 1;
      else losses += 1;
    }
  expect(wins).toBeGreaterThan(200);
  expect(losses).toBeGreaterThan(50);
});
