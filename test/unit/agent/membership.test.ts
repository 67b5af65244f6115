import { describe, expect, test } from 'vitest';
import type { Config } from '../../../src/agent/config.ts';
import { createDirectory } from '../../../src/agent/directory.ts';
import { certificateFrom, createMembership, multiaddrOf } from '../../../src/agent/membership.ts';
import { AgentError } from '../../../src/base/error.ts';
import type { Mesh } from '../../../src/mesh/api.ts';
import type { ConfigurationChange } from '../../../src/wire/configuration.ts';
import type { Certificate } from '../../../src/wire/member.ts';
import {
  admittedSchema,
  decodeNodeMessage,
  encodeNodeMessage,
  helloSchema,
  nodeProtocol,
} from '../../../src/wire/node-message.ts';

const clusterId = 'c'.repeat(32);
const epoch = 'e'.repeat(32);

function certificate(peerId: string, name: string): Certificate {
  const config = { role: 'worker', nodeId: name, zone: 'z', rank: 0, workersMayLead: true };
  return certificateFrom(config as unknown as Config, peerId);
}

/** A membership of `self` over a mesh that the test answers. */
function setUp(
  options: {
    leads?: boolean;
    leader?: string | null;
    cluster?: { clusterId: string | null; epoch: string | null };
    dial?: (address: string) => Promise<string>;
    answer?: (to: string, name: string, body: Uint8Array) => Promise<Uint8Array>;
    peers?: string[];
  } = {},
) {
  const own = certificate('self', 'self');
  const changes: ConfigurationChange[] = [];
  const directory = createDirectory('self', () => own);
  directory.setConfiguration({
    members: [own, certificate('other', 'other')],
    voters: ['self'],
    outgoing: null,
  });
  const mesh = {
    addresses: () => ['/ip4/127.0.0.1/tcp/1'],
    links: () => [{ peerId: 'other', connected: true }],
    dial: options.dial ?? (async () => 'other'),
    request: options.answer ?? (async () => new Uint8Array(0)),
  } as unknown as Mesh;
  const membership = createMembership({
    config: { nodeId: 'self', workersMayLead: true, peers: options.peers ?? ['a:1'] } as Config,
    mesh,
    directory,
    clock: { now: () => ({ monoMs: 5, skippedMs: 0 }), wallMs: () => 5 },
    certificate: () => own,
    cluster: () => ({
      ...(options.cluster ?? { clusterId, epoch }),
      epochNumber: 1,
      parentEpoch: null,
    }),
    strayed: () => undefined,
    learnEpoch: () => undefined,
    statusUrl: () => null,
    leader: () => options.leader ?? null,
    leads: () => options.leads ?? true,
    reconfigure: async (change) => {
      changes.push(change);
    },
  });
  return { membership, directory, changes };
}

const helloOf = (peerId: string, change: Record<string, unknown> = {}): Uint8Array =>
  encodeNodeMessage({
    protocol: nodeProtocol,
    certificate: certificate(peerId, peerId),
    clusterId,
    epoch,
    epochNumber: 1,
    parentEpoch: null,
    version: '1',
    statusUrl: 'http://x',
    addresses: ['/ip4/1.2.3.4/tcp/5'],
    leader: null,
    members: [{ peerId: 'third', addresses: ['/ip4/9.9.9.9/tcp/9'] }],
    ...change,
  });
const admitOf = (wanted: Certificate, change: Record<string, unknown> = {}): Uint8Array =>
  encodeNodeMessage({ certificate: wanted, clusterId, epoch, forwarded: false, ...change });

describe('hello', () => {
  test('both sides learn who the other is and whom it knows', () => {
    const { membership, directory } = setUp();
    const answer = decodeNodeMessage(
      'hello',
      helloSchema,
      membership.onHello('new', helloOf('new')),
    );
    expect(answer.certificate.name).toBe('self');
    expect(answer.clusterId).toBe(clusterId);
    expect(directory.certificateOf('new')?.name).toBe('new');
    expect(directory.factsOf('new')).toMatchObject({ statusUrl: 'http://x', version: '1' });
    expect(directory.factsOf('third').addresses).toEqual(['/ip4/9.9.9.9/tcp/9']);
  });

  test.each([
    ['somebody else’s certificate', 'liar', {}, 'forbidden'],
    ['another cluster', 'new', { clusterId: 'd'.repeat(32) }, 'cluster-mismatch'],
    ['another epoch', 'new', { epoch: 'd'.repeat(32) }, 'epoch-mismatch'],
    ['a protocol from the future', 'new', { protocol: { min: 7, max: 9 } }, 'forbidden'],
  ])('%s is refused', (_, from, change, code) => {
    const { membership } = setUp();
    try {
      membership.onHello(from, helloOf('new', change));
      throw new Error('it was accepted');
    } catch (error) {
      expect(error).toMatchObject({ code });
    }
  });

  test('a record of the configuration outweighs what a node says of itself', () => {
    const { membership, directory } = setUp();
    const claimed = { ...certificate('other', 'other'), role: 'master' as const };
    membership.onHello('other', helloOf('other', { certificate: claimed }));
    expect(directory.certificateOf('other')?.role).toBe('worker');
  });
});

describe('admission', () => {
  test('the leader makes the record, with the rights of the role and not those asked for', async () => {
    const { membership, changes } = setUp();
    const asked = { ...certificate('new', 'new'), role: 'leecher' as const, votes: true };
    const answer = await membership.onAdmit('new', admitOf(asked));
    const record = decodeNodeMessage('admitted', admittedSchema, answer).certificate;
    expect(record).toMatchObject({ peerId: 'new', votes: false, leads: false });
    expect(changes).toEqual([{ type: 'admit', member: record }]);
  });

  test('a member that asks again gets its record and changes nothing', async () => {
    const { membership, changes } = setUp();
    await membership.onAdmit('other', admitOf(certificate('other', 'other')));
    expect(changes).toEqual([]);
  });

  test.each([
    ['a taken name', 'new', certificate('new', 'other'), {}, /belongs to the key other/],
    ['a new name for a member', 'other', certificate('other', 'new'), {}, /is a member as other/],
    ['another one’s key', 'new', certificate('x', 'x'), {}, /new asks for x/],
    ['another cluster', 'new', certificate('new', 'new'), { clusterId: epoch }, /this is cluster/],
    ['another epoch', 'new', certificate('new', 'new'), { epoch: clusterId }, /this is epoch/],
  ])('%s is refused', async (_, from, asked, change, expected) => {
    const { membership, changes } = setUp();
    await expect(membership.onAdmit(from, admitOf(asked, change))).rejects.toThrow(expected);
    expect(changes).toEqual([]);
  });

  test('another node passes it on to the leader once, and no further', async () => {
    const asked: string[] = [];
    const { membership } = setUp({
      leads: false,
      leader: 'other',
      answer: async (to, name) => {
        asked.push(`${name} to ${to}`);
        return new Uint8Array(0);
      },
    });
    await membership.onAdmit('new', admitOf(certificate('new', 'new')));
    expect(asked).toEqual(['admit to other']);
    const again = membership.onAdmit('x', admitOf(certificate('new', 'new'), { forwarded: true }));
    await expect(again).rejects.toMatchObject({ code: 'not-leader' });
  });
});

describe('looking for a cluster', () => {
  const signal = new AbortController().signal;

  test('asks until somebody is in one', async () => {
    let asked = 0;
    const { membership } = setUp({
      cluster: { clusterId: null, epoch: null },
      answer: async () => {
        asked += 1;
        return helloOf('other', asked < 3 ? { clusterId: null, epoch: null } : {});
      },
    });
    expect(await membership.findCluster(signal)).toMatchObject({ clusterId, epoch });
    expect(asked).toBe(3);
  });

  test('its own address among the peers is no answer and no error', async () => {
    const { membership } = setUp({
      peers: ['self:1', 'other:1'],
      cluster: { clusterId: null, epoch: null },
      dial: async (address) => {
        if (address.includes('self')) throw new AgentError('conflict', 'this node itself');
        return 'other';
      },
      answer: async () => helloOf('other'),
    });
    expect(await membership.findCluster(signal)).toMatchObject({ clusterId, epoch });
  });

  test('a wrong network key is told after a few refusals', async () => {
    const { membership } = setUp({
      dial: async () => {
        throw new AgentError('forbidden', 'another network key');
      },
    });
    await expect(membership.findCluster(signal)).rejects.toThrow(/another network key/);
  });
});

test.each([
  ['10.0.0.1:4101', '/ip4/10.0.0.1/tcp/4101'],
  ['host.example:1', '/dns/host.example/tcp/1'],
  ['[::1]:4', '/ip6/::1/tcp/4'],
  ['/ip4/1.2.3.4/tcp/5', '/ip4/1.2.3.4/tcp/5'],
])('%s is %s', (peer, expected) => {
  expect(multiaddrOf(peer)).toBe(expected);
});

test.each(['nothing', ':1', 'host:port'])('%s is no address', (peer) => {
  expect(() => multiaddrOf(peer)).toThrow(/neither a multiaddr nor host:port/);
});
