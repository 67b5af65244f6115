/** The automatic voter rule as a table, and what it never does, by chance. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Candidate,
  eligibleOf,
  nextVoters,
  votersFor,
  votersWithout,
} from '../../../src/consensus/voters.ts';
import type { Role } from '../../../src/wire/member.ts';
import { certificateOf } from '../../scenario/cluster.ts';

const good: Candidate = { alive: true, ready: true, steady: true };
const fresh: Candidate = { alive: true, ready: true, steady: false };
const dead: Candidate = { alive: false, ready: false, steady: false };
const late: Candidate = { alive: true, ready: false, steady: false };

const letters: Record<string, Role> = { m: 'master', w: 'worker', l: 'leecher', t: 'witness' };

/** `m1 w2` is a master and a worker; the letter says the role. */
const membersOf = (text: string) =>
  text.split(' ').map((id) => certificateOf(id, letters[id[0] ?? ''] ?? 'leecher'));

interface Row {
  readonly story: string;
  readonly members: string;
  readonly voters: string;
  readonly states?: Record<string, Candidate>;
  readonly next: string | null;
}

const rows: Row[] = [
  { story: 'one of one', members: 'm1', voters: 'm1', next: null },
  { story: 'two of two', members: 'm1 w1', voters: 'm1', next: 'm1 w1' },
  { story: 'three', members: 'm1 m2 w1', voters: 'm1 m2', next: 'm1 m2 w1' },
  { story: 'two come at once', members: 'm1 m2 w1', voters: 'm1', next: 'm1 m2 w1' },
  { story: 'four stay three', members: 'm1 m2 w1 w2', voters: 'm1 m2 w1', next: null },
  { story: 'five of five', members: 'm1 m2 w1 w2 w3', voters: 'm1 m2 w1', next: 'm1 m2 w1 w2 w3' },
  {
    story: 'never four: the second is not ready',
    members: 'm1 m2 w1 w2 w3',
    voters: 'm1 m2 w1',
    states: { w3: late },
    next: null,
  },
  { story: 'leechers never', members: 'm1 l1 l2', voters: 'm1', next: null },
  { story: 'one witness', members: 'm1 w1 t1 t2', voters: 'm1 w1', next: 'm1 w1 t1' },
  {
    story: 'a dead voter waits',
    members: 'm1 m2 w1',
    voters: 'm1 m2 w1',
    states: { w1: dead },
    next: null,
  },
  {
    story: 'a dead voter is swapped for the best standby',
    members: 'm1 m2 w1 w2 w3',
    voters: 'm1 m2 w1 w2 w3',
    states: { w3: dead },
    next: null,
  },
  {
    story: 'dead swapped',
    members: 'm1 m2 w1 w2',
    voters: 'm1 m2 w1',
    states: { m2: dead },
    next: 'm1 w2 w1',
  },
  {
    story: 'a higher rank displaces the lowest',
    members: 'm1 m2 w1 w2',
    voters: 'm1 w1 w2',
    next: 'm1 w1 m2',
  },
  {
    story: 'only when steady',
    members: 'm1 m2 w1 w2',
    voters: 'm1 w1 w2',
    states: { m2: fresh },
    next: null,
  },
  {
    story: 'an equal rank displaces nobody',
    members: 'm1 w1 w2 w3',
    voters: 'm1 w2 w3',
    next: null,
  },
  {
    story: 'a witness is not displaced by rank',
    members: 'm1 w1 w2 t1',
    voters: 'm1 w1 t1',
    next: null,
  },
];

describe('nextVoters', () => {
  test.each(rows)('$story', ({ members, voters, states = {}, next }) => {
    const change = nextVoters({
      members: membersOf(members),
      voters: voters.split(' '),
      leader: voters.split(' ')[0] ?? '',
      stateOf: (peer) => states[peer] ?? good,
    });
    expect(change?.voters.join(' ') ?? null).toBe(next);
  });

  test('keeps the leader, never shrinks, asks only members that vote, settles', () => {
    const ids = ['m1', 'm2', 'm3', 'w1', 'w2', 'w3', 'w4', 'w5', 't1', 't2', 'l1'];
    const stateOf = fc.constantFrom(good, fresh, dead, late);
    const input = fc.record({
      members: fc.uniqueArray(fc.constantFrom(...ids), { minLength: 1, maxLength: 11 }),
      states: fc.dictionary(fc.constantFrom(...ids), stateOf),
    });
    fc.assert(
      fc.property(input, ({ members, states }) => {
        const all = membersOf(members.join(' '));
        const first = all.find((member) => member.leads);
        if (!first) return;
        const leader = first.peerId;
        let voters: readonly string[] = [leader];
        for (let step = 0; step < 30; step += 1) {
          const state = (peer: string): Candidate => states[peer] ?? good;
          const change = nextVoters({ members: all, voters, leader, stateOf: state });
          if (!change) break;
          expect(step).toBeLessThan(29);
          expect(change.voters).toContain(leader);
          expect(change.voters.length).toBeGreaterThanOrEqual(voters.length);
          expect(new Set(change.voters).size).toBe(change.voters.length);
          const chosen = all.filter((member) => change.voters.includes(member.peerId));
          expect(chosen.every((member) => member.votes)).toBe(true);
          expect(chosen.filter((member) => member.role === 'witness').length).toBeLessThan(2);
          voters = change.voters;
        }
        expect(voters.length).toBeLessThanOrEqual(votersFor(eligibleOf(all)));
      }),
    );
  });
});

test.each([
  [0, 0],
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 3],
  [5, 5],
  [6, 5],
  [7, 7],
  [40, 7],
])('%i eligible make %i voters', (eligible, voters) => {
  expect(votersFor(eligible)).toBe(voters);
});

describe('votersWithout', () => {
  test('removes the lowest other voter where the table asks for fewer', () => {
    const voters = ['m1', 'm2', 'w1', 'w2', 'w3'];
    const without = (peer: string, leader: string): string[] => {
      const members = membersOf('m1 m2 w1 w2 w3').filter(({ peerId }) => peerId !== peer);
      return votersWithout(members, voters, peer, leader);
    };
    expect(without('w1', 'm1')).toEqual(['m1', 'm2', 'w2']);
    expect(without('m2', 'w3')).toEqual(['m1', 'w1', 'w3']);
  });
  test('keeps the others while the table allows it', () => {
    const rest = membersOf('m1 m2 w2');
    expect(votersWithout(rest, ['m1', 'm2', 'w1'], 'w1', 'm1')).toEqual(['m1', 'm2']);
    expect(votersWithout(rest, ['m1', 'm2', 'w2'], 'w1', 'm1')).toEqual(['m1', 'm2', 'w2']);
  });
});
