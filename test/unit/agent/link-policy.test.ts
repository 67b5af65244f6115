import { expect, test } from 'vitest';
import { createDirectory } from '../../../src/agent/directory.ts';
import { linkTargets } from '../../../src/agent/link-policy.ts';
import { type Certificate, type Role, rankOf, rightsOf } from '../../../src/wire/member.ts';

function directoryOf(counts: { workers: number; leechers: number }, voters: readonly string[]) {
  const make = (role: Role, name: string): Certificate => {
    const rights = rightsOf(role, true);
    return { peerId: name, name, role, rank: rankOf(role), zone: 'z', ...rights };
  };
  const members = [
    ...Array.from({ length: counts.workers }, (_, i) => make('worker', `w${i}`)),
    ...Array.from({ length: counts.leechers }, (_, i) => make('leecher', `l${i}`)),
  ];
  const directory = createDirectory('w0', () => make('worker', 'w0'));
  directory.setConfiguration({ members, voters, outgoing: null });
  return directory;
}

const linked = (of: ReturnType<typeof directoryOf>, leader: string | null): string[] =>
  linkTargets(of, leader)
    .filter((peer) => peer.votes)
    .map((peer) => peer.peerId);

test('while they are few, all that could vote are linked, leechers never', () => {
  const few = directoryOf({ workers: 4, leechers: 2 }, ['w1', 'w2', 'w3']);
  expect(linked(few, 'w1')).toEqual(['w0', 'w1', 'w2', 'w3']);
});

test('in a large cluster only the voters and the leader', () => {
  const many = directoryOf({ workers: 20, leechers: 0 }, ['w1', 'w2', 'w3']);
  expect(linked(many, 'w9')).toEqual(['w1', 'w2', 'w3', 'w9']);
});

test('a node that knows no leader looks for it among all that could be', () => {
  const many = directoryOf({ workers: 20, leechers: 3 }, ['w0', 'w1', 'w2']);
  expect(linked(many, null)).toHaveLength(20);
});
