import { describe, expect, test } from 'vitest';
import { modeOfRole } from '../../../../src/agent/daemons/role-mode.ts';
import { daemonMistakes } from '../../../../src/daemons/options.ts';
import type { Role } from '../../../../src/wire/member.ts';

const service = 'ipfs_cluster_service';
const follow = 'ipfs_cluster_follow';

describe('which of the two of ipfs-cluster runs by role', () => {
  test.each<[Role, boolean, string, string]>([
    ['master', true, 'managed', 'off'],
    ['master', false, 'managed', 'off'],
    ['worker', true, 'managed', 'off'],
    ['worker', false, 'off', 'managed'],
    ['leecher', true, 'off', 'managed'],
    ['leecher', false, 'off', 'managed'],
    ['witness', true, 'off', 'off'],
    ['witness', false, 'off', 'off'],
  ])('%s, workersMayLead %s: service %s, follower %s', (role, workersMayLead, one, other) => {
    const node = { role, workersMayLead };
    expect(modeOfRole(service, 'by-role', node)).toBe(one);
    expect(modeOfRole(follow, 'by-role', node)).toBe(other);
  });

  test('what is said outright counts whatever the role', () => {
    const node = { role: 'leecher' as const, workersMayLead: false };
    for (const mode of ['managed', 'external', 'off'] as const)
      expect(modeOfRole(service, mode, node)).toBe(mode);
  });

  test('it is refused where it means nothing', () => {
    expect(daemonMistakes('ipfs', { mode: 'by-role' })).toEqual([
      'daemons.ipfs.mode: by-role is for the two of ipfs-cluster. It takes managed, external, off',
    ]);
    const foreign = { clusterName: 'theirs', bootstrapPeers: ['10.0.0.7:9096'] };
    const mistakes = daemonMistakes(follow, { mode: 'by-role', follow: foreign });
    expect(mistakes.join()).toContain('with follow it takes managed');
    expect(daemonMistakes(service, { mode: 'by-role' })).toEqual([]);
  });
});
